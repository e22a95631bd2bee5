//! Owns: a listening socket for tests.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use socket2::Type;

use crate::sys::errno::syscall;
use crate::sys::socket;
use crate::sys::unix_addr::UnixAddr;

/// One that listens, and the name that the kernel has chosen for it.
pub fn listening(kind: Type) -> (OwnedFd, UnixAddr) {
    let listener = socket::create(kind).unwrap();
    let unnamed = UnixAddr::unnamed();
    // SAFETY: pointer and length come from one address.
    unsafe { syscall!(bind(listener.as_raw_fd(), unnamed.as_ptr(), unnamed.len())) }.unwrap();
    socket::listen(listener.as_fd(), 5).unwrap();
    let name = socket::local_address(listener.as_fd()).unwrap();
    (listener, name)
}
