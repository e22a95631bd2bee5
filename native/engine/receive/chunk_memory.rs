//! Owns: where a stream's bytes are received: in memory that sockets share, in a Buffer that
//! JavaScript gets, or in the user's own.

use std::cell::RefCell;

use crate::engine::batch::Batch;
use crate::engine::handle::Handle;
use crate::node::js::{Reference, Value};
use crate::node::view::Room;
use crate::sys::errno::{Errno, Result};

/// Bytes of a stream asked for at once, as libuv does. Larger chunks (128, 256 KiB) are now much
/// faster and now much slower: sender and receiver then tend to wait for each other.
const CHUNK: usize = 64 << 10;

/// Where a stream's next bytes are received.
pub enum ChunkMemory {
    /// Memory that all sockets share.
    Shared,
    /// A Buffer, perhaps the spare one.
    Store {
        /// The Buffer.
        buffer: Value,
        /// Its bytes.
        room: Room,
        /// Where it is referenced already.
        spare: Option<Reference>,
    },
    /// Memory of the user's. Perhaps shared with other threads: no reference to it is made.
    User(Room),
}

impl ChunkMemory {
    /// The user's memory, if there is any; for many bytes (`is_bulk`) a Buffer. EFAULT where the
    /// user's has no bytes any more.
    pub fn choose(
        handle: &Handle,
        user: &RefCell<Option<Reference>>,
        is_bulk: bool,
    ) -> Result<ChunkMemory> {
        let js = handle.env.js;
        if let Some(buffer) = user.borrow().as_ref() {
            let room = js.as_memory(buffer.get()).filter(|room| room.len() > 0);
            return room.map(ChunkMemory::User).ok_or(Errno::FAULT);
        }
        let store = if is_bulk { ChunkMemory::store(handle) } else { None };
        Ok(store.unwrap_or(ChunkMemory::Shared))
    }

    /// A Buffer for a chunk: the spare one, if there is.
    fn store(handle: &Handle) -> Option<ChunkMemory> {
        let env = &handle.env;
        if let Some(spare) = env.spare.borrow_mut().take() {
            let buffer = spare.get();
            if let Some(room) = env.js.as_memory(buffer).filter(|room| room.len() == CHUNK) {
                return Some(ChunkMemory::Store { buffer, room, spare: Some(spare) });
            }
        }
        let (buffer, room) = env.js.buffer(CHUNK)?;
        Some(ChunkMemory::Store { buffer, room, spare: None })
    }

    /// Its start and length.
    pub fn place(&self, batch: &mut Batch) -> (*mut u8, usize) {
        match self {
            ChunkMemory::Store { room, .. } | ChunkMemory::User(room) => {
                (room.as_mut_ptr(), room.len())
            }
            ChunkMemory::Shared => {
                let (start, len) = batch.receiver.room();
                (start, len.min(CHUNK))
            }
        }
    }

    /// JavaScript does not see it: a Buffer is kept for the next bytes.
    pub fn keep(self, handle: &Handle) {
        if let ChunkMemory::Store { buffer, spare, .. } = self {
            let env = &handle.env;
            *env.spare.borrow_mut() = spare.or_else(|| Reference::new(env.js, buffer));
        }
    }
}
