//! Owns: bytes of JavaScript's, as pointers that are good until it runs again.
#![allow(unsafe_code)]

use std::ptr;

/// A buffer's bytes as JavaScript has them right now; stale as soon as JavaScript runs again.
#[derive(Clone, Copy)]
pub struct Bytes {
    start: *const u8,
    len: usize,
}

impl Bytes {
    /// # Safety
    /// `len` bytes from `start` on are readable until JavaScript runs again.
    pub unsafe fn new(start: *const u8, len: usize) -> Bytes {
        Bytes { start, len }
    }

    /// The part `offset..offset + length`, or None where the buffer is shorter than that.
    pub fn part(self, offset: usize, length: usize) -> Option<Bytes> {
        let end = offset.checked_add(length)?;
        // A detached buffer has no start; an empty part needs none.
        let start = self.start.wrapping_add(offset);
        (end <= self.len).then_some(Bytes { start, len: length })
    }

    /// Where the bytes start, for a system call made before JavaScript runs again.
    pub fn as_ptr(self) -> *const u8 {
        self.start
    }

    /// How many bytes there are.
    pub fn len(self) -> usize {
        self.len
    }

    /// A copy that is ours.
    pub fn to_vec(self) -> Vec<u8> {
        if self.len == 0 {
            return Vec::new();
        }
        // SAFETY: `new` vouched for start and len, and no JavaScript ran since (see type).
        // Read through a raw pointer: another thread may write to a SharedArrayBuffer meanwhile.
        unsafe {
            let mut copy = Vec::with_capacity(self.len);
            ptr::copy_nonoverlapping(self.start, copy.as_mut_ptr(), self.len);
            copy.set_len(self.len);
            copy
        }
    }
}

/// A buffer's bytes to write to; stale as soon as JavaScript runs again.
#[derive(Clone, Copy)]
pub struct Room {
    start: *mut u8,
    len: usize,
}

impl Room {
    /// # Safety
    /// `len` bytes from `start` on are readable and writable until JavaScript runs again.
    pub unsafe fn new(start: *mut u8, len: usize) -> Room {
        Room { start, len }
    }

    /// How many bytes there are; 0 for a detached buffer.
    pub fn len(self) -> usize {
        self.len
    }

    /// The part that starts at 0, or None where there is not as much.
    pub fn first(self, len: usize) -> Option<Room> {
        (len <= self.len).then_some(Room { start: self.start, len })
    }

    /// Where the bytes start, for a system call made before JavaScript runs again. Other threads
    /// may write to a SharedArrayBuffer meanwhile: no reference may be made of it.
    pub fn as_mut_ptr(self) -> *mut u8 {
        self.start
    }

    /// Copies the first bytes to `bytes`. Panics where there are not as many.
    pub fn read(self, bytes: &mut [u8]) {
        assert!(bytes.len() <= self.len, "beyond the buffer");
        // SAFETY: checked above; `new` vouched for start and len and no JavaScript ran since.
        unsafe { self.start.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Copies `bytes` to `offset`. Panics where they do not fit.
    pub fn write(self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.len && bytes.len() <= self.len - offset, "beyond the buffer");
        // SAFETY: checked above; `new` vouched for start and len and no JavaScript ran since.
        unsafe { self.start.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// Zeroes the bytes from `offset` on. Panics beyond the end.
    pub fn clear(self, offset: usize) {
        assert!(offset <= self.len, "beyond the buffer");
        // SAFETY: checked above; `new` vouched for start and len and no JavaScript ran since.
        unsafe { self.start.add(offset).write_bytes(0, self.len - offset) };
    }
}
