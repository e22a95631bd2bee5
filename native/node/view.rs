//! Owns: bytes of JavaScript's, borrowed for as long as it does not run.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr;

/// The bytes of a Buffer or ArrayBuffer, to read and to write. JavaScript may move or free them
/// when it runs: whatever lets it run needs what `'a` borrows for itself.
///
/// Other threads may write to a SharedArrayBuffer meanwhile: no reference is made of its bytes.
#[derive(Clone, Copy)]
pub struct JsBytes<'a> {
    start: *mut u8,
    len: usize,
    owner: PhantomData<&'a ()>,
}

impl<'a> JsBytes<'a> {
    /// # Safety
    /// `len` bytes from `start` on are readable and writable for as long as `'a`.
    pub unsafe fn new(start: *mut u8, len: usize) -> JsBytes<'a> {
        JsBytes { start, len, owner: PhantomData }
    }

    /// The part `offset..offset + length`, or None where there are not as many.
    pub fn part(self, offset: usize, length: usize) -> Option<JsBytes<'a>> {
        let end = offset.checked_add(length)?;
        // A detached buffer has no start; an empty part needs none.
        let start = self.start.wrapping_add(offset);
        (end <= self.len).then_some(JsBytes { start, len: length, ..self })
    }

    /// What follows the first `count` bytes.
    pub fn skip(self, count: usize) -> JsBytes<'a> {
        let count = count.min(self.len);
        JsBytes { start: self.start.wrapping_add(count), len: self.len - count, ..self }
    }

    /// Where the bytes start, for a system call made while `'a` lasts.
    pub fn as_ptr(self) -> *const u8 {
        self.start
    }

    /// The same for a call that writes.
    pub fn as_mut_ptr(self) -> *mut u8 {
        self.start
    }

    /// How many bytes there are; 0 for a detached buffer.
    pub fn len(self) -> usize {
        self.len
    }

    /// For a call that takes vectors.
    pub fn vector(self) -> libc::iovec {
        libc::iovec { iov_base: self.start.cast(), iov_len: self.len }
    }

    /// A copy that is ours.
    pub fn to_vec(self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(self.len);
        if self.len > 0 {
            // SAFETY: `new` vouched for start and len; the copy has room for as many.
            unsafe {
                ptr::copy_nonoverlapping(self.start, copy.as_mut_ptr(), self.len);
                copy.set_len(self.len);
            }
        }
        copy
    }

    /// Copies the first bytes to `bytes`. Panics where there are not as many.
    pub fn read(self, bytes: &mut [u8]) {
        assert!(bytes.len() <= self.len, "beyond the buffer");
        // SAFETY: checked above; `new` vouched for start and len.
        unsafe { self.start.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Copies `bytes` to `offset`. Panics where they do not fit.
    pub fn write(self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.len && bytes.len() <= self.len - offset, "beyond the buffer");
        // SAFETY: checked above; `new` vouched for start and len.
        unsafe { self.start.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// Zeroes the bytes from `offset` on. Panics beyond the end.
    pub fn clear(self, offset: usize) {
        assert!(offset <= self.len, "beyond the buffer");
        // SAFETY: checked above; `new` vouched for start and len.
        unsafe { self.start.add(offset).write_bytes(0, self.len - offset) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(memory: &mut [u8]) -> JsBytes<'_> {
        // SAFETY: the slice is borrowed for as long as the bytes.
        unsafe { JsBytes::new(memory.as_mut_ptr(), memory.len()) }
    }

    #[test]
    fn parts_are_within_the_bytes() {
        let mut memory = *b"0123456789";
        let bytes = bytes_of(&mut memory);
        for (offset, length, expected) in
            [(0, 10, Some(&b"0123456789"[..])), (3, 4, Some(b"3456")), (10, 0, Some(b""))]
                .into_iter()
                .chain([(10, 1, None), (0, 11, None), (11, 0, None), (1, usize::MAX, None)])
        {
            let part = bytes.part(offset, length).map(JsBytes::to_vec);
            assert_eq!(part.as_deref(), expected, "{length} from {offset}");
        }
    }

    #[test]
    fn what_is_skipped_is_no_more_than_there_is() {
        let mut memory = *b"0123456789";
        let bytes = bytes_of(&mut memory);
        for (count, expected) in [(0, &b"0123456789"[..]), (7, b"789"), (10, b""), (99, b"")] {
            assert_eq!(bytes.skip(count).to_vec(), expected);
        }
    }

    #[test]
    fn a_detached_buffer_has_no_bytes() {
        // SAFETY: no bytes.
        let bytes = unsafe { JsBytes::new(ptr::null_mut(), 0) };
        assert!(bytes.to_vec().is_empty());
        assert!(bytes.part(0, 0).is_some_and(|part| part.len() == 0));
        assert!(bytes.part(0, 1).is_none());
    }

    #[test]
    fn bytes_are_copied_and_cleared_where_they_are() {
        let mut memory = [1; 8];
        let bytes = bytes_of(&mut memory);
        bytes.write(2, &[7, 8]);
        bytes.clear(5);
        let mut first = [0; 6];
        bytes.read(&mut first);
        assert_eq!((first, bytes.to_vec()), ([1, 1, 7, 8, 1, 0], vec![1, 1, 7, 8, 1, 0, 0, 0]));
    }

    #[test]
    fn what_follows_the_bytes_is_left_alone() {
        let mut memory = [1; 32];
        let bytes = bytes_of(&mut memory[..8]);
        bytes.clear(5);
        bytes.write(4, &[2, 2]);
        assert_eq!(memory[..8], [1, 1, 1, 1, 2, 2, 0, 0]);
        assert_eq!(memory[8..], [1; 24]);
    }

    #[test]
    fn system_calls_get_the_bytes_themselves() {
        let mut memory = [1; 8];
        let start = memory.as_mut_ptr();
        let bytes = bytes_of(&mut memory).skip(3);
        let expected = start.wrapping_add(3);
        assert_eq!((bytes.as_ptr(), bytes.as_mut_ptr()), (expected.cast_const(), expected));
        assert_eq!(bytes.len(), 5);
        let libc::iovec { iov_base, iov_len } = bytes.vector();
        assert_eq!((iov_base, iov_len), (expected.cast(), 5));
    }

    #[test]
    #[should_panic(expected = "beyond the buffer")]
    fn nothing_is_written_beyond_the_bytes() {
        bytes_of(&mut [0; 4]).write(3, &[1, 2]);
    }
}
