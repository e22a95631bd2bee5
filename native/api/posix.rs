//! Owns: the synchronous socket calls as lib/posix/index.js makes them. Each is the system's own
//! call: it blocks if the descriptor does, and the event loop waits.
//!
//! Functions return a count, a descriptor or 0; failures are errnos, negated. Those on the hot path
//! are in `posix_transfer`.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::{Duration, Instant};

use crate::api::posix_address::{address, report};
use crate::api::posix_transfer::NOSIGNAL;
use crate::api::{posix_constants, posix_transfer};
use crate::node::answer::Answer;
use crate::node::function::{BareFunction, Call, bare_function};
use crate::node::js::Value;
use crate::sys::ancillary::{Credentials, RECEIVE_CAPACITY, Received, Rights};
use crate::sys::blocking::{finish_connecting, interruptible, option, poll, resume};
use crate::sys::descriptor;
use crate::sys::errno::{Errno, Result, check_once, syscall};
use crate::sys::sockaddr::{SLOT, SockAddr};
use crate::sys::socket::protect;

#[cfg(target_os = "linux")]
const CLOEXEC_FDS: libc::c_int = libc::MSG_CMSG_CLOEXEC;
/// [`Received::decode`] sees to it there.
#[cfg(not(target_os = "linux"))]
const CLOEXEC_FDS: libc::c_int = 0;

/// Room for control messages of any kind, on top of those that we decode.
const CONTROL_WORDS: usize = (RECEIVE_CAPACITY + 1024).div_ceil(size_of::<usize>());

/// Every function, by the name that lib/posix/index.js knows it by.
const FUNCTIONS: &[(&CStr, BareFunction)] = &[
    (c"socket", |call| call.answer(open(call))),
    (c"socketpair", |call| call.answer(open_pair(call))),
    (c"pipe", |call| call.answer(call.int(0).and_then(|flag| descriptor::pipe(flag != 0)))),
    (c"fcntl", |call| call.answer(control(call))),
    (c"bind", |call| call.answer(bind(call))),
    (c"connect", |call| call.answer(connect(call))),
    (c"listen", |call| {
        let args = call.int(0).and_then(|fd| Ok((fd, call.int(1)?)));
        // SAFETY: a plain call.
        call.answer(args.and_then(|(fd, backlog)| unsafe { syscall!(listen(fd, backlog)) }))
    }),
    (c"accept", |call| call.answer(accept(call))),
    (c"sendmsg", |call| send_message(call).to_value(call.js)),
    (c"recvmsg", |call| receive_message(call).to_value(call.js)),
    (c"shutdown", |call| {
        let args = call.int(0).and_then(|fd| Ok((fd, call.int(1)?)));
        // SAFETY: a plain call.
        call.answer(args.and_then(|(fd, how)| unsafe { syscall!(shutdown(fd, how)) }))
    }),
    (c"getsockopt", |call| call.answer(get_option(call))),
    (c"setsockopt", |call| call.answer(set_option(call))),
    (c"getsockname", |call| {
        // SAFETY: `name` passes room for an address and its length.
        call.answer(name(call, |fd, addr, len| unsafe { syscall!(getsockname(fd, addr, len)) }))
    }),
    (c"getpeername", |call| {
        // SAFETY: as above.
        call.answer(name(call, |fd, addr, len| unsafe { syscall!(getpeername(fd, addr, len)) }))
    }),
    (c"poll", |call| call.answer(poll_many(call))),
];

/// `posix()`: an object with all of it. Made when asked for: most programs never do.
pub fn exports(call: &mut Call) -> Value {
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
fn open(call: &Call) -> Result<OwnedFd> {
    let (domain, kind, protocol) = (call.int(0)?, call.int(1)?, call.int(2)?);
    #[cfg(target_os = "linux")]
    let kind = kind | libc::SOCK_CLOEXEC;
    // SAFETY: a plain call.
    let fd = unsafe { syscall!(socket(domain, kind, protocol)) }?;
    // SAFETY: a new descriptor that is ours.
    protect(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `fcntl(fd, command, argument)`: what the command returns. EINVAL for a command whose argument is
/// no int.
fn control(call: &Call) -> Result<i32> {
    let fd = call.int(0).and_then(descriptor::borrow)?;
    descriptor::control(fd, call.int(1)?, call.int(2)?)
}

/// `socketpair(domain, type, protocol)`
fn open_pair(call: &Call) -> Result<[OwnedFd; 2]> {
    let (domain, kind, protocol) = (call.int(0)?, call.int(1)?, call.int(2)?);
    #[cfg(target_os = "linux")]
    let kind = kind | libc::SOCK_CLOEXEC;
    let mut fds = [-1; 2];
    // SAFETY: room for two descriptors.
    unsafe { syscall!(socketpair(domain, kind, protocol, fds.as_mut_ptr())) }?;
    // SAFETY: new descriptors that are ours.
    let [left, right] = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    Ok([protect(left)?, protect(right)?])
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
fn accept(call: &Call) -> Result<OwnedFd> {
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
    Ok(accepted)
}

/// Views or ArrayBuffers, for `msg_iov`.
fn vectors(call: &Call, memories: &[Value]) -> Result<Vec<libc::iovec>> {
    memories.iter().map(|memory| Ok(call.memory_of(*memory)?.vector())).collect()
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
fn send_message(call: &mut Call) -> Result<i32> {
    let (fd, flags) = (call.int(0)?, call.int(2)? | NOSIGNAL);
    // Before the memory: an array's getters may move it.
    let (fds, claimed, memories) = (call.ints(4)?, call.ints(5)?, call.elements(1)?);
    let mut vectors = vectors(call, &memories)?;
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

/// `recvmsg(fd, memories, flags, slot, pidfd)`: `[size, flags, fds, credentials, pidfd]`, or an
/// errno. A pidfd that was not asked for is closed: a stranger may have set the option before it
/// passed the socket.
fn receive_message(call: &mut Call) -> Result<[Value; 5]> {
    let (fd, flags) = (call.int(0)?, call.int(2)? | CLOEXEC_FDS);
    let (wants_pidfd, memories) = (call.int(4)? != 0, call.elements(1)?);
    let mut vectors = vectors(call, &memories)?;
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
    // From here on they are JavaScript's.
    let pidfd = ancillary.pidfd.filter(|_| wants_pidfd);
    let credentials = ancillary.credentials.map(|it| [it.pid as u32, it.uid, it.gid]);
    let [size, flags] = [size as i32, header.msg_flags].map(|number| call.answer(number));
    let (fds, credentials) = (call.answer(ancillary.fds), call.answer(credentials));
    Ok([size, flags, fds, credentials, call.answer(pidfd)])
}

/// `getsockopt(fd, level, name, memory)`: how many bytes the option has.
fn get_option(call: &Call) -> Result<i32> {
    let (fd, level, name) = (call.int(0)?, call.int(1)?, call.int(2)?);
    let bytes = call.memory(3)?;
    // SAFETY: as many bytes, borrowed until the call returns.
    let filled = unsafe { option(fd, level, name, bytes.as_mut_ptr(), bytes.len()) };
    filled.map(|len| len as i32)
}

/// `setsockopt(fd, level, name, memory)`
fn set_option(call: &Call) -> Result<i32> {
    let (fd, level, name) = (call.int(0)?, call.int(1)?, call.int(2)?);
    let bytes = call.memory(3)?;
    let len = libc::socklen_t::try_from(bytes.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: as many bytes, borrowed until the call returns.
    unsafe { syscall!(setsockopt(fd, level, name, bytes.as_ptr().cast(), len)) }
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
    let words = call.memory(0)?.part(0, size).ok_or(Errno::INVAL)?;
    let mut bytes = words.to_vec();
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
    words.write(0, &bytes);
    Ok(ready)
}
