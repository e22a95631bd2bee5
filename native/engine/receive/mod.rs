//! Owns: the receiving side of a socket.

pub mod inbox;
pub mod read_ahead;
pub mod receiver;
