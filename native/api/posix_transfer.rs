//! Owns: the synchronous calls that move bytes and nothing else, `send`, `recv` and their like, as
//! lib/posix/index.js makes them.
//!
//! They are on the hot path: they return [`ODD`] for arguments that JavaScript has to look at more
//! closely, so that it looks at no others.
#![allow(unsafe_code)]

use std::os::fd::RawFd;
use std::ptr;

use crate::api::posix_address::{read_slot, write_slot};
use crate::node::function::{Quick, quick_function};
use crate::node::js::{Js, Value};
use crate::node::view::JsBytes;
use crate::sys::blocking::interruptible;
use crate::sys::errno::{Errno, Result};
use crate::sys::sockaddr::SockAddr;

/// "JavaScript has to look at the arguments": no errno is that large.
const ODD: i32 = i32::MIN;

/// Never raise SIGPIPE.
#[cfg(target_os = "linux")]
pub const NOSIGNAL: libc::c_int = libc::MSG_NOSIGNAL;
/// Sockets have SO_NOSIGPIPE there, see [`crate::sys::socket::protect`].
#[cfg(not(target_os = "linux"))]
pub const NOSIGNAL: libc::c_int = 0;

/// Adds them to an object.
pub fn register(js: Js, target: Value) {
    js.set_named(target, c"sendPlain", quick_function::<3, SendPlain>(js, c"sendPlain"));
    js.set_named(target, c"recvPlain", quick_function::<3, ReceivePlain>(js, c"recvPlain"));
    js.set_named(target, c"send", quick_function::<4, Send>(js, c"send"));
    js.set_named(target, c"recv", quick_function::<4, Receive>(js, c"recv"));
    js.set_named(target, c"sendto", quick_function::<5, SendTo>(js, c"sendto"));
    js.set_named(target, c"recvfrom", quick_function::<5, ReceiveFrom>(js, c"recvfrom"));
    js.set_named(target, c"ODD", js.int(ODD));
}

/// The arguments of the calls that move bytes: descriptor, where the bytes are, flags. None if
/// JavaScript has to look at them; an empty buffer may be one that was detached. That the numbers
/// are integers is for JavaScript to see to, where it costs nothing.
#[inline]
fn transfer(js: Js, args: &[Value]) -> Option<(RawFd, JsBytes<'_>, libc::c_int)> {
    let (fd, bytes) = plain_transfer(js, args)?;
    Some((fd, bytes, js.as_int(args[3])?))
}

/// The same without flags: each argument costs about a tenth of a call.
#[inline]
fn plain_transfer(js: Js, args: &[Value]) -> Option<(RawFd, JsBytes<'_>)> {
    let (fd, length) = (js.as_int(args[0])?, js.as_int(args[2])?);
    // SAFETY: nothing runs JavaScript before these functions return.
    let whole = unsafe { js.bytes_of_any(args[1]) }?;
    let bytes = whole.part(0, usize::try_from(length).ok()?)?;
    (whole.len() > 0).then_some((fd, bytes))
}

/// What the calls that move bytes return. The kernel moves less than 2 GiB at a time.
#[inline]
fn count(moved: Result<isize>) -> i32 {
    moved.map_or_else(Errno::to_js, |moved| moved as i32)
}

/// `sendPlain(fd, memory, length)`
struct SendPlain;

impl Quick<3> for SendPlain {
    fn run(js: Js, args: &[Value; 3]) -> i32 {
        let Some((fd, bytes)) = plain_transfer(js, args) else { return ODD };
        // SAFETY: no address is passed.
        count(unsafe { send_bytes(fd, bytes, 0, ptr::null(), 0) })
    }
}

/// `recvPlain(fd, memory, length)`
struct ReceivePlain;

impl Quick<3> for ReceivePlain {
    fn run(js: Js, args: &[Value; 3]) -> i32 {
        let Some((fd, room)) = plain_transfer(js, args) else { return ODD };
        // SAFETY: no address is asked for.
        count(unsafe { receive_bytes(fd, room, 0, ptr::null_mut(), ptr::null_mut()) })
    }
}

/// `send(fd, memory, length, flags)`
struct Send;

impl Quick<4> for Send {
    fn run(js: Js, args: &[Value; 4]) -> i32 {
        let Some((fd, bytes, flags)) = transfer(js, args) else { return ODD };
        // SAFETY: no address is passed.
        count(unsafe { send_bytes(fd, bytes, flags, ptr::null(), 0) })
    }
}

/// `recv(fd, memory, length, flags)`
struct Receive;

impl Quick<4> for Receive {
    fn run(js: Js, args: &[Value; 4]) -> i32 {
        let Some((fd, room, flags)) = transfer(js, args) else { return ODD };
        // SAFETY: no address is asked for.
        count(unsafe { receive_bytes(fd, room, flags, ptr::null_mut(), ptr::null_mut()) })
    }
}

/// `sendto(fd, memory, length, flags, slot)`
struct SendTo;

impl Quick<5> for SendTo {
    fn run(js: Js, args: &[Value; 5]) -> i32 {
        let Some((fd, bytes, flags)) = transfer(js, args) else { return ODD };
        // SAFETY: pointer and length come from one address.
        let send = |to: SockAddr| unsafe { send_bytes(fd, bytes, flags, to.as_ptr(), to.len()) };
        count(read_slot(js, args[4]).and_then(send))
    }
}

/// `recvfrom(fd, memory, length, flags, slot)`
struct ReceiveFrom;

impl Quick<5> for ReceiveFrom {
    fn run(js: Js, args: &[Value; 5]) -> i32 {
        let Some((fd, room, flags)) = transfer(js, args) else { return ODD };
        let mut from = SockAddr::empty();
        let (addr, addr_len) = from.as_out();
        // SAFETY: room for an address and its length.
        let received = unsafe { receive_bytes(fd, room, flags, addr, addr_len) };
        count(received.and_then(|received| {
            write_slot(js, args[4], fd, from)?;
            Ok(received)
        }))
    }
}

/// `sendto(2)`, `send(2)`.
///
/// # Safety
/// `addr` and `addr_len` are of one address, or null and 0.
#[inline]
unsafe fn send_bytes(
    fd: RawFd,
    bytes: JsBytes<'_>,
    flags: libc::c_int,
    addr: *const libc::sockaddr,
    addr_len: libc::socklen_t,
) -> Result<isize> {
    let (start, len, flags) = (bytes.as_mut_ptr(), bytes.len(), flags | NOSIGNAL);
    interruptible(fd, libc::POLLOUT, || {
        // Past the C library, which prepares for the thread's cancellation each time.
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        // SAFETY: as this function demands.
        unsafe {
            libc::syscall(libc::SYS_sendto, fd, start, len, flags, addr, addr_len) as isize
        }
        #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
        // SAFETY: as this function demands.
        unsafe {
            libc::sendto(fd, start.cast(), len, flags, addr, addr_len)
        }
    })
}

/// `recvfrom(2)`, `recv(2)`.
///
/// # Safety
/// `addr` and `addr_len` are null or have room for an address and its length.
#[inline]
unsafe fn receive_bytes(
    fd: RawFd,
    room: JsBytes<'_>,
    flags: libc::c_int,
    addr: *mut libc::sockaddr,
    addr_len: *mut libc::socklen_t,
) -> Result<isize> {
    let (start, len) = (room.as_mut_ptr(), room.len());
    interruptible(fd, libc::POLLIN, || {
        // As in `send_bytes`.
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        // SAFETY: as this function demands.
        unsafe {
            libc::syscall(libc::SYS_recvfrom, fd, start, len, flags, addr, addr_len) as isize
        }
        #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
        // SAFETY: as this function demands.
        unsafe {
            libc::recvfrom(fd, start.cast(), len, flags, addr, addr_len)
        }
    })
}
