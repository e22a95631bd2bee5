//! Owns: what the unit tests share.

pub mod folder;
#[cfg(target_os = "linux")]
pub mod listening;
pub mod own_thread;
pub mod random;
#[cfg(target_os = "linux")]
mod real_sockets;
