//! Owns: the bytes of a connection to and from the kernel, with what travels along.
#![allow(unsafe_code)]

use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::sys::ancillary::{RECEIVE_CAPACITY, RECEIVE_WORDS, Received, Rights};
use crate::sys::errno::{Result, syscall};
use crate::sys::message::{RECEIVE_FLAGS, SEND_FLAGS};

/// Parts that one call sends at most: the kernel's IOV_MAX.
pub const MAX_PARTS: usize = 1024;

/// Bytes received, and what came with them.
pub struct Chunk {
    /// How many; 0 is the end.
    pub len: usize,
    /// Empty unless control messages were asked for.
    pub ancillary: Received,
    /// Descriptors were dropped by the kernel.
    pub control_truncated: bool,
}

/// Receives up to `len` bytes, `recvmsg(2)`. EAGAIN when nothing waits.
///
/// With `control`, descriptors and credentials are received too; without it the kernel discards
/// them.
///
/// # Safety
/// `room` is writable for `len` bytes.
pub unsafe fn receive(
    fd: BorrowedFd<'_>,
    room: *mut u8,
    len: usize,
    control: bool,
) -> Result<Chunk> {
    let raw = fd.as_raw_fd();
    if !control {
        // SAFETY: as this function demands.
        let got = unsafe { syscall!(recv(raw, room.cast(), len, RECEIVE_FLAGS)) }? as usize;
        return Ok(Chunk { len: got, ancillary: Received::default(), control_truncated: false });
    }
    let mut words = [const { MaybeUninit::<usize>::uninit() }; RECEIVE_WORDS];
    let mut vector = libc::iovec { iov_base: room.cast(), iov_len: len };
    // SAFETY: plain integers and pointers, for which zero is valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &mut vector;
    header.msg_iovlen = 1;
    header.msg_control = words.as_mut_ptr().cast();
    header.msg_controllen = RECEIVE_CAPACITY as _;
    // SAFETY: the header points at memory that is live and as large as it says.
    let got = unsafe { syscall!(recvmsg(raw, &mut header, RECEIVE_FLAGS)) }? as usize;
    // Not a usize on every system.
    #[allow(clippy::unnecessary_cast)]
    let written = (header.msg_controllen as usize).min(RECEIVE_CAPACITY);
    let ancillary = if written == 0 {
        Received::default()
    } else {
        let control = std::ptr::slice_from_raw_parts(words.as_ptr().cast(), written);
        // SAFETY: the kernel wrote the control messages there, which are decoded only here.
        unsafe { Received::decode(control) }
    };
    let control_truncated = header.msg_flags & libc::MSG_CTRUNC != 0;
    Ok(Chunk { len: got, ancillary, control_truncated })
}

/// Sends what the kernel takes of `len` bytes now, `send(2)`; EAGAIN if that is nothing.
///
/// # Safety
/// `bytes` is readable for `len` bytes.
pub unsafe fn send(fd: BorrowedFd<'_>, bytes: *const u8, len: usize) -> Result<usize> {
    let raw = fd.as_raw_fd();
    // SAFETY: as this function demands.
    unsafe { syscall!(send(raw, bytes.cast(), len, SEND_FLAGS)) }.map(|sent| sent as usize)
}

/// The same for many parts, `sendmsg(2)`. Descriptors go with the first byte, if any goes.
///
/// # Safety
/// Every part is readable for its length.
pub unsafe fn send_parts(
    fd: BorrowedFd<'_>,
    parts: &[libc::iovec],
    rights: Option<&Rights>,
) -> Result<usize> {
    // SAFETY: plain integers and pointers, for which zero is valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = parts.as_ptr().cast_mut();
    header.msg_iovlen = parts.len().min(MAX_PARTS) as _;
    if let Some(rights) = rights {
        header.msg_control = rights.as_ptr().cast_mut().cast();
        header.msg_controllen = rights.len() as _;
    }
    let raw = fd.as_raw_fd();
    // SAFETY: parts as demanded, rights whole.
    unsafe { syscall!(sendmsg(raw, &header, SEND_FLAGS)) }.map(|sent| sent as usize)
}
