//! Owns: how socket addresses cross to lib/posix/: a slot of JavaScript's, see [`SockAddr`].
#![allow(unsafe_code)]

use std::os::fd::RawFd;

use crate::node::function::Call;
use crate::node::js::{Js, Value};
use crate::node::view::JsBytes;
use crate::sys::errno::{Errno, Result, syscall};
use crate::sys::sockaddr::{SLOT, SockAddr};

/// Argument `index`, a slot that JavaScript filled.
pub fn address(call: &Call, index: usize) -> Result<SockAddr> {
    read_slot(call.js, call.arg(index))
}

/// Gives JavaScript an address through argument `index`, a slot.
pub fn report(call: &Call, index: usize, fd: RawFd, addr: SockAddr) -> Result<()> {
    write_slot(call.js, call.arg(index), fd, addr)
}

/// A slot's bytes. EINVAL for what is none.
fn slot<T>(js: Js, slot: Value, copy: impl FnOnce(JsBytes<'_>) -> T) -> Result<T> {
    // SAFETY: what copies them runs no JavaScript.
    let bytes = unsafe { js.bytes_of_any(slot) };
    bytes.and_then(|bytes| bytes.part(0, SLOT)).map(copy).ok_or(Errno::INVAL)
}

/// The address in a slot.
pub fn read_slot(js: Js, from: Value) -> Result<SockAddr> {
    let mut bytes = [0; SLOT];
    slot(js, from, |from| from.read(&mut bytes))?;
    SockAddr::from_slot(&bytes)
}

/// Fills a slot with what a call on `fd` reported.
pub fn write_slot(js: Js, to: Value, fd: RawFd, mut addr: SockAddr) -> Result<()> {
    // The kernel reports no address of an unbound sender. Other families report none where there is
    // none: then the family stays AF_UNSPEC.
    if addr.len() == 0 && is_unix(fd) {
        addr = SockAddr::unnamed();
    }
    let mut bytes = [0; SLOT];
    addr.to_slot(&mut bytes);
    slot(js, to, |to| to.write(0, &bytes))
}

fn is_unix(fd: RawFd) -> bool {
    let mut own = SockAddr::empty();
    let (addr, len) = own.as_out();
    // SAFETY: room for an address and its length.
    unsafe { syscall!(getsockname(fd, addr, len)) }.is_ok() && own.is_unix()
}
