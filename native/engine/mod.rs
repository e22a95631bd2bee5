//! Owns: sockets, listeners and processes that are waited for, on Node's event loop.

pub mod batch;
pub mod endpoint;
pub mod env;
pub mod handle;
pub mod in_vain;
pub mod listener;
pub mod receive;
pub mod send;
pub mod sockets;
pub mod watch;
