//! Owns: bytes that wait to be sent.
#![allow(unsafe_code)]

use crate::node::js::{Js, Reference, Value};
use crate::node::view::JsBytes;
use crate::sys::errno::{Errno, Result};

/// Up to this size waiting bytes are copied, which costs less than the reference to their Buffer
/// that more of them keep (measured: 30 ns against 150).
const COPY_LIMIT: usize = 1024;

/// Bytes that JavaScript gave and the kernel has not taken yet.
pub enum Payload {
    /// Ours.
    Copied(Vec<u8>),
    /// The Buffer is asked for its memory anew for each attempt: it may have been detached.
    Referenced {
        /// The Buffer.
        buffer: Reference,
        /// Where they start in it.
        offset: usize,
        /// How many they are.
        len: usize,
    },
}

impl Payload {
    /// Keeps `bytes`, which start at `offset` in `buffer`.
    pub fn keep(js: Js, buffer: Value, offset: usize, bytes: JsBytes<'_>) -> Payload {
        if bytes.len() > COPY_LIMIT
            && let Some(buffer) = Reference::new(js, buffer)
        {
            return Payload::Referenced { buffer, offset, len: bytes.len() };
        }
        Payload::Copied(bytes.to_vec())
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        match self {
            Payload::Copied(bytes) => bytes.len(),
            Payload::Referenced { len, .. } => *len,
        }
    }

    /// The bytes as they are just now. EFAULT if the Buffer has been detached.
    ///
    /// # Safety
    /// No JavaScript runs while they are borrowed; copies are not written to.
    pub unsafe fn bytes(&self, js: Js) -> Result<JsBytes<'_>> {
        match self {
            Payload::Copied(bytes) => {
                // SAFETY: as many bytes, borrowed with the payload.
                Ok(unsafe { JsBytes::new(bytes.as_ptr().cast_mut(), bytes.len()) })
            }
            Payload::Referenced { buffer, offset, len } => {
                // SAFETY: as this function demands.
                let bytes = unsafe { js.bytes(buffer.get()) };
                bytes.and_then(|bytes| bytes.part(*offset, *len)).ok_or(Errno::FAULT)
            }
        }
    }
}
