//! Owns: the receiving side of a socket.

pub mod inbox;
