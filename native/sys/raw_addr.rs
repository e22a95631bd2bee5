//! Owns: what an address of any family is to the kernel: a structure, and how many bytes of it
//! count.

use std::mem::size_of;

/// An address as system calls read and write it: `sockaddr_un`, or `sockaddr_storage`.
#[derive(Clone, Copy)]
pub struct RawAddr<T> {
    /// The structure.
    pub raw: T,
    /// See [`RawAddr::len`].
    pub len: libc::socklen_t,
}

impl<T> RawAddr<T> {
    /// The room a call may write to.
    pub const fn capacity() -> libc::socklen_t {
        size_of::<T>() as libc::socklen_t
    }

    /// For a call that reads an address.
    pub fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.raw).cast()
    }

    /// For a call that writes an address: pass [`RawAddr::capacity`], then [`RawAddr::set_len`].
    pub fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        (&raw mut self.raw).cast()
    }

    /// For a call that writes both an address and its length, which has to be the capacity before.
    /// Of one borrow: a second would end the first pointer.
    pub fn as_out(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        ((&raw mut self.raw).cast(), &raw mut self.len)
    }

    /// The length to pass with [`RawAddr::as_ptr`]; 0 after a call that had no address to report.
    pub fn len(&self) -> libc::socklen_t {
        self.len
    }

    /// Records the length a call reported.
    pub fn set_len(&mut self, len: libc::socklen_t) {
        self.len = len;
    }
}
