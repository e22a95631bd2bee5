//! Owns: the sending side of a socket.

pub mod helper_socket;
pub mod message_queue;
pub mod payload;
pub mod sender;
pub mod stream_queue;
