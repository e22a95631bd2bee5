//! Owns: the receiving side of a socket.

pub mod chunk_memory;
pub mod inbox;
pub mod read_ahead;
pub mod receiver;
pub mod trouble;
