//! Owns: what the unit tests share.

pub mod random;
#[cfg(target_os = "linux")]
mod real_sockets;
