//! Owns: what the unit tests share.

pub mod folder;
pub mod own_thread;
pub mod random;
#[cfg(target_os = "linux")]
mod real_sockets;
