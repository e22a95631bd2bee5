//! Owns: the sending side of a socket.

pub mod message_queue;
pub mod payload;
pub mod stream_queue;
