//! Owns: the synchronous socket calls as lib/posix/index.js makes them. Each is the system's own call:
//! it blocks if the descriptor does, and the event loop waits.
//!
//! Functions return a count, a descriptor or 0; failures are errnos, negated. Those on the hot path are in
//! `posix_transfer`.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::{Duration, Instant};

use crate::api::{posix_constants, posix_transfer};
use crate::node::function::{BareFunction, Call, bare_function};
use crate::node::js::{Js, Value};
use crate::sys::ancillary::{Credentials, RECEIVE_CAPACITY, Received, Rights};
use crate::sys::blocking::{finish_connecting, interruptible, option, poll, resume};
use crate::sys::descriptor;
use crate::sys::errno::{Errno, Result, check_once, syscall};
use crate::sys::sockaddr::{SLOT, SockAddr};
use crate::sys::socket::protect;

/// Never raise SIGPIPE.
#[cfg(target_os = "linux")]
pub const NOSIGNAL: libc::c_int = libc::MSG_NOSIGNAL;
/// Sockets have SO_NOSIGPIPE there, see [`protect`].
#[cfg(not(target_os = "linux"))]
pub const NOSIGNAL: libc::c_int = 0;
#[cfg(target_os = "linux")]
const CLOEXEC_FDS: libc::c_int = libc::MSG_CMSG_CLOEXEC;
/// [`Received::decode`] sees to it there.
#[cfg(not(target_os = "linux"))]
const CLOEXEC_FDS: libc::c_int = 0;

/// Room for control messages of any kind, on top of those that we decode.
const CONTROL_WORDS: usize = (RECEIVE_CAPACITY + 1024).div_ceil(size_of::<usize>());

/// Every function, by the name that lib/posix/index.js knows it by.
const FUNCTIONS: &[(&CStr, BareFunction)] = &[
    (c"socket", |call| call.status(open(call))),
    (c"socketpair", open_pair),
    (c"pipe", open_pipe),
    (c"fcntl", |call| call.status(control(call))),
    (c"bind", |call| call.status(bind(call))),
    (c"connect", |call| call.status(connect(call))),
    (c"listen", |call| {
        let args = call.int(0).and_then(|fd| Ok((fd, call.int(1)?)));
        // SAFETY: a plain call.
        call.status(args.and_then(|(fd, backlog)| unsafe { syscall!(listen(fd, backlog)) }))
    }),
    (c"accept", |call| call.status(accept(call))),
    (c"sendmsg", |call| call.status(send_message(call))),
    (c"recvmsg", |call| receive_message(call).unwrap_or_else(|errno| call.js.int(errno.to_js()))),
    (c"shutdown", |call| {
        let args = call.int(0).and_then(|fd| Ok((fd, call.int(1)?)));
        // SAFETY: a plain call.
        call.status(args.and_then(|(fd, how)| unsafe { syscall!(shutdown(fd, how)) }))
    }),
    (c"getsockopt", |call| call.status(get_option(call))),
    (c"setsockopt", |call| call.status(set_option(call))),
    (c"getsockname", |call| {
        // SAFETY: `name` passes room for an address and its length.
        call.status(name(call, |fd, addr, len| unsafe { syscall!(getsockname(fd, addr, len)) }))
    }),
    (c"getpeername", |call| {
        // SAFETY: as above.
        call.status(name(call, |fd, addr, len| unsafe { syscall!(getpeername(fd, addr, len)) }))
    }),
    (c"poll", |call| call.status(poll_many(call))),
];

/// `posix()`: an object with all of it. Made when asked for: most programs never do.
pub fn exports(call: &Call) -> Value {
    let js = call.js;
    let target = js.object();
    for (name, function) in FUNCTIONS {
        js.set_named(target, name, bare_function(js, name, *function));
    }
    posix_transfer::register(js, target);
    js.set_named(target, c"SLOT", js.int(SLOT as i32));
    js.set_named(target, c"constants", posix_constants::object(js));
    target
}

/// `socket(domain, type, protocol)`
fn open(call: &Call) -> Result<RawFd> {
    let (domain, kind, protocol) = (call.int(0)?, call.int(1)?, call.int(2)?);
    #[cfg(target_os = "linux")]
    let kind = kind | libc::SOCK_CLOEXEC;
    // SAFETY: a plain call.
    let fd = unsafe { syscall!(socket(domain, kind, protocol)) }?;
    // SAFETY: a new descriptor that is ours.
    protect(unsafe { OwnedFd::from_raw_fd(fd) }).map(IntoRawFd::into_raw_fd)
}

/// `[fd, fd]`, or an errno.
fn both(call: &Call, made: impl FnOnce() -> Result<[OwnedFd; 2]>) -> Value {
    match made() {
        Ok(fds) => call.js.int_array(fds.into_iter().map(IntoRawFd::into_raw_fd)),
        Err(errno) => call.js.int(errno.to_js()),
    }
}

/// `pipe(nonblocking)`: the end to read from and the end to write to.
fn open_pipe(call: &Call) -> Value {
    both(call, || descriptor::pipe(call.int(0)? != 0))
}

/// `fcntl(fd, command, argument)`: what the command returns. EINVAL for a command whose argument is
/// no int.
fn control(call: &Call) -> Result<i32> {
    let fd = call.int(0).and_then(descriptor::borrow)?;
    descriptor::control(fd, call.int(1)?, call.int(2)?)
}

/// `socketpair(domain, type, protocol)`
fn open_pair(call: &Call) -> Value {
    both(call, || {
        let (domain, kind, protocol) = (call.int(0)?, call.int(1)?, call.int(2)?);
        #[cfg(target_os = "linux")]
        let kind = kind | libc::SOCK_CLOEXEC;
        let mut fds = [-1; 2];
        // SAFETY: room for two descriptors.
        unsafe { syscall!(socketpair(domain, kind, protocol, fds.as_mut_ptr())) }?;
        // SAFETY: new descriptors that are ours.
        let [left, right] = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        Ok([protect(left)?, protect(right)?])
    })
}

/// Argument `index`, a slot that JavaScript filled.
fn address(call: &Call, index: usize) -> Result<SockAddr> {
    read_slot(call.js, call.arg(index))
}

/// Gives JavaScript an address through argument `index`, a slot.
fn report(call: &Call, index: usize, fd: RawFd, addr: SockAddr) -> Result<()> {
    write_slot(call.js, call.arg(index), fd, addr)
}

/// The address in a slot that JavaScript filled.
pub fn read_slot(js: Js, slot: Value) -> Result<SockAddr> {
    let mut bytes = [0; SLOT];
    js.as_memory(slot).and_then(|room| room.first(SLOT)).ok_or(Errno::INVAL)?.read(&mut bytes);
    SockAddr::from_slot(&bytes)
}

/// Puts an address of the socket `fd`, or of its peer, into a slot.
pub fn write_slot(js: Js, slot: Value, fd: RawFd, mut addr: SockAddr) -> Result<()> {
    // The kernel reports no address of an unbound sender. Other families report none where there is
    // none: then the family stays AF_UNSPEC.
    if addr.len() == 0 && is_unix(fd) {
        addr = SockAddr::unnamed();
    }
    let mut bytes = [0; SLOT];
    addr.to_slot(&mut bytes);
    js.as_memory(slot).and_then(|room| room.first(SLOT)).ok_or(Errno::INVAL)?.write(0, &bytes);
    Ok(())
}

fn is_unix(fd: RawFd) -> bool {
    let mut own = SockAddr::empty();
    let (addr, len) = own.as_out();
    // SAFETY: room for an address and its length.
    unsafe { syscall!(getsockname(fd, addr, len)) }.is_ok() && own.is_unix()
}

/// `bind(fd, slot)`
fn bind(call: &Call) -> Result<i32> {
    let (fd, to) = (call.int(0)?, address(call, 1)?);
    // SAFETY: pointer and length come from one address.
    unsafe { syscall!(bind(fd, to.as_ptr(), to.len())) }
}

/// `connect(fd, slot)`
fn connect(call: &Call) -> Result<i32> {
    let (fd, to) = (call.int(0)?, address(call, 1)?);
    // SAFETY: pointer and length come from one address.
    let attempt = || unsafe { libc::connect(fd, to.as_ptr(), to.len()) };
    match check_once(attempt()) {
        // An interrupted connect of a Unix socket was not begun; that of another goes on.
        Err(Errno::INTR) if to.is_unix() => resume(fd, libc::POLLOUT, attempt),
        Err(Errno::INTR) => finish_connecting(fd).map(|()| 0),
        result => result,
    }
}

/// `accept(fd[, slot])`
fn accept(call: &Call) -> Result<RawFd> {
    let fd = call.int(0)?;
    let mut from = SockAddr::empty();
    let (addr, len) = from.as_out();
    let accepted = interruptible(fd, libc::POLLIN, || {
        // SAFETY: room for an address and its length, which an earlier attempt left alone.
        #[cfg(target_os = "linux")]
        unsafe {
            libc::accept4(fd, addr, len, libc::SOCK_CLOEXEC)
        }
        // SAFETY: as above.
        #[cfg(not(target_os = "linux"))]
        unsafe {
            libc::accept(fd, addr, len)
        }
    })?;
    // SAFETY: a new descriptor that is ours.
    let accepted = protect(unsafe { OwnedFd::from_raw_fd(accepted) })?;
    if call.passed() > 1 {
        report(call, 1, accepted.as_raw_fd(), from)?;
    }
    Ok(accepted.into_raw_fd())
}

/// The elements of argument `index`, views or ArrayBuffers, for `msg_iov`.
fn vectors(call: &Call, index: usize) -> Result<Vec<libc::iovec>> {
    let vector = |part: Value| {
        let room = call.js.as_memory(part).ok_or(Errno::INVAL)?;
        Ok(libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() })
    };
    // All elements before the first one's memory: getters may move it.
    call.elements(index)?.into_iter().map(vector).collect()
}

/// A header over vectors and nothing else.
fn header(vectors: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: plain integers and pointers, for which zero is valid.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = vectors.as_mut_ptr();
    header.msg_iovlen = vectors.len() as _;
    header
}

/// `sendmsg(fd, memories, flags, slot | undefined, fds, credentials)`: credentials are none or
/// three numbers.
fn send_message(call: &Call) -> Result<i32> {
    let (fd, flags) = (call.int(0)?, call.int(2)? | NOSIGNAL);
    // Before the memory: an array's getters may move it.
    let (fds, claimed) = (call.ints(4)?, call.ints(5)?);
    let mut vectors = vectors(call, 1)?;
    let mut header = header(&mut vectors);
    let to = call.memory(3).is_ok().then(|| address(call, 3)).transpose()?;
    if let Some(to) = &to {
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len();
    }
    let claimed = match claimed[..] {
        [pid, uid, gid] => Some(Credentials { pid, uid: uid as u32, gid: gid as u32 }),
        _ => None,
    };
    let control = Rights::with_credentials(&fds, claimed)?;
    if control.len() > 0 {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len() as _;
    }
    // SAFETY: every pointer in the header is to something that lives here.
    let sent = interruptible(fd, libc::POLLOUT, || unsafe { libc::sendmsg(fd, &header, flags) });
    sent.map(|sent| sent as i32)
}

/// `recvmsg(fd, memories, flags, slot, pidfd)`: `[size, flags, fds, credentials, pidfd]`, or an errno. A
/// pidfd that was not asked for is closed: a stranger may have set the option before it passed the
/// socket.
fn receive_message(call: &Call) -> Result<Value> {
    let (fd, flags) = (call.int(0)?, call.int(2)? | CLOEXEC_FDS);
    let wants_pidfd = call.int(4)? != 0;
    let mut vectors = vectors(call, 1)?;
    let mut header = header(&mut vectors);
    let mut from = SockAddr::empty();
    header.msg_name = from.as_mut_ptr().cast();
    header.msg_namelen = SockAddr::capacity();
    let mut control = [0usize; CONTROL_WORDS];
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    let message = &raw mut header;
    // SAFETY: every pointer in the header is to something that lives here.
    let size = interruptible(fd, libc::POLLIN, || unsafe { libc::recvmsg(fd, message, flags) })?;
    // Not a usize on every system.
    #[allow(clippy::unnecessary_cast)]
    let filled = (header.msg_controllen as usize).min(size_of_val(&control));
    // SAFETY: the kernel wrote this many bytes for this message; they are decoded once.
    let ancillary =
        unsafe { Received::decode(ptr::slice_from_raw_parts(control.as_ptr().cast(), filled)) };
    from.set_len(header.msg_namelen);
    report(call, 3, fd, from)?;
    let js = call.js;
    let credentials = match ancillary.credentials {
        Some(sender) => js.array(&[js.int(sender.pid), js.uint(sender.uid), js.uint(sender.gid)]),
        None => js.undefined(),
    };
    // From here on they are JavaScript's.
    let pidfd = ancillary
        .pidfd
        .filter(|_| wants_pidfd)
        .map_or_else(|| js.undefined(), |fd| js.int(fd.into_raw_fd()));
    let fds = js.int_array(ancillary.fds.into_iter().map(IntoRawFd::into_raw_fd));
    Ok(js.array(&[js.int(size as i32), js.int(header.msg_flags), fds, credentials, pidfd]))
}

/// `getsockopt(fd, level, name, memory)`: how many bytes the option has.
fn get_option(call: &Call) -> Result<i32> {
    let (fd, level, name) = (call.int(0)?, call.int(1)?, call.int(2)?);
    let room = call.memory(3)?;
    // SAFETY: memory of JavaScript's, which does not run before the call returns.
    let filled = unsafe { option(fd, level, name, room.as_mut_ptr(), room.len()) };
    filled.map(|len| len as i32)
}

/// `setsockopt(fd, level, name, memory)`
fn set_option(call: &Call) -> Result<i32> {
    let (fd, level, name) = (call.int(0)?, call.int(1)?, call.int(2)?);
    let bytes = call.memory(3)?;
    let (start, len) = (bytes.as_mut_ptr().cast_const().cast(), bytes.len());
    let len = libc::socklen_t::try_from(len).map_err(|_| Errno::INVAL)?;
    // SAFETY: `len` bytes that Node-API vouched for.
    unsafe { syscall!(setsockopt(fd, level, name, start, len)) }
}

/// `getsockname(fd, slot)`, `getpeername(fd, slot)`
fn name(
    call: &Call,
    ask: impl FnOnce(RawFd, *mut libc::sockaddr, *mut libc::socklen_t) -> Result<i32>,
) -> Result<i32> {
    let fd = call.int(0)?;
    let mut found = SockAddr::empty();
    let (addr, len) = found.as_out();
    ask(fd, addr, len)?;
    report(call, 1, fd, found)?;
    Ok(0)
}

/// `poll(words, count, timeout)`: words are pairs of descriptor and events, and the second of each
/// becomes what happened. A negative timeout waits for ever.
fn poll_many(call: &Call) -> Result<i32> {
    let (count, timeout) = (call.size(1)?, call.int(2)?);
    let size = count.checked_mul(8).ok_or(Errno::INVAL)?;
    let room = call.memory(0)?.first(size).ok_or(Errno::INVAL)?;
    let mut bytes = vec![0; size];
    room.read(&mut bytes);
    let number = |bytes: &[u8]| i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let mut wanted: Vec<libc::pollfd> = bytes
        .chunks_exact(8)
        .map(|pair| {
            let (fd, events) = (number(pair), number(&pair[4..]) as libc::c_short);
            libc::pollfd { fd, events, revents: 0 }
        })
        .collect();
    let limit = u64::try_from(timeout).ok().map(Duration::from_millis);
    let ready = poll(&mut wanted, limit.map(|limit| Instant::now() + limit))?;
    for (pair, polled) in bytes.chunks_exact_mut(8).zip(&wanted) {
        // Through u16: what happened is bits, not a negative number.
        let happened = i32::from(polled.revents as u16);
        pair[4..].copy_from_slice(&happened.to_ne_bytes());
    }
    room.write(0, &bytes);
    Ok(ready)
}
