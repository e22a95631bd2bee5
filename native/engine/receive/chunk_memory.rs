//! Owns: where a stream's bytes are received: in memory that sockets share, in a Buffer that
//! JavaScript gets, or in the user's own.
#![allow(unsafe_code)]

use std::cell::RefCell;

use crate::engine::batch::Batch;
use crate::engine::handle::Handle;
use crate::node::js::{Reference, Value};
use crate::node::view::JsBytes;
use crate::sys::errno::{Errno, Result};

/// Bytes of a stream asked for at once, as libuv does. Larger chunks (128, 256 KiB) are now much
/// faster and now much slower: sender and receiver then tend to wait for each other.
const CHUNK: usize = 64 << 10;

/// Where a stream's next bytes are received. No JavaScript runs while it borrows the batch.
pub struct ChunkMemory<'a> {
    /// Perhaps shared with other threads, where it is the user's: no reference to it is made.
    pub bytes: JsBytes<'a>,
    /// Whose it is.
    pub owner: Owner,
}

/// Whose memory it is.
pub enum Owner {
    /// That of all sockets.
    Sockets,
    /// A Buffer's, which is referenced already if it is the spare one.
    Buffer(Value, Option<Reference>),
    /// The user's.
    User,
}

impl<'a> ChunkMemory<'a> {
    /// The user's memory, if there is any; for many bytes (`is_bulk`) a Buffer. EFAULT where the
    /// user's has no bytes any more.
    pub fn choose(
        handle: &Handle,
        batch: &'a Batch,
        user: &RefCell<Option<Reference>>,
        is_bulk: bool,
    ) -> Result<ChunkMemory<'a>> {
        if let Some(buffer) = user.borrow().as_ref() {
            // SAFETY: no JavaScript runs while the batch is borrowed.
            let bytes = unsafe { handle.env.js.bytes_of_any(buffer.get()) };
            let bytes = bytes.filter(|bytes| bytes.len() > 0).ok_or(Errno::FAULT)?;
            return Ok(ChunkMemory { bytes, owner: Owner::User });
        }
        if is_bulk && let Some(memory) = ChunkMemory::buffer(handle) {
            return Ok(memory);
        }
        let (start, len) = batch.receiver.memory();
        // SAFETY: nothing else uses it while the batch is borrowed.
        let bytes = unsafe { JsBytes::new(start, len.min(CHUNK)) };
        Ok(ChunkMemory { bytes, owner: Owner::Sockets })
    }

    /// A Buffer for a chunk: the spare one, if there is.
    fn buffer(handle: &Handle) -> Option<ChunkMemory<'a>> {
        let env = &handle.env;
        if let Some(spare) = env.spare.borrow_mut().take() {
            let buffer = spare.get();
            // SAFETY: as in `choose`, which alone calls it.
            let bytes = unsafe { env.js.bytes(buffer) };
            if let Some(bytes) = bytes.filter(|bytes| bytes.len() == CHUNK) {
                return Some(ChunkMemory { bytes, owner: Owner::Buffer(buffer, Some(spare)) });
            }
        }
        // SAFETY: as above.
        let (buffer, bytes) = unsafe { env.js.buffer(CHUNK) }?;
        Some(ChunkMemory { bytes, owner: Owner::Buffer(buffer, None) })
    }

    /// JavaScript does not see it: a Buffer is kept for the next bytes.
    pub fn keep(self, handle: &Handle) {
        if let Owner::Buffer(buffer, spare) = self.owner {
            let env = &handle.env;
            *env.spare.borrow_mut() = spare.or_else(|| Reference::new(env.js, buffer));
        }
    }
}
