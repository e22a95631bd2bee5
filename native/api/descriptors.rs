//! Owns: the functions about descriptors that lib/ calls: arguments in, numbers out.
//!
//! They return a value, or `[errno, name of the system call]` with the errno negated.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use socket2::Type;

use crate::node::function::{BareFunction, Call, bare_function};
use crate::node::js::{Js, Value};
use crate::sys::descriptor;
use crate::sys::errno::{Errno, Result, in_call};
use crate::sys::memfd;
use crate::sys::peer;
use crate::sys::reuseport;
use crate::sys::socket;

/// Every function, by the name that lib/ knows it by. None needs an event loop.
const FUNCTIONS: &[(&CStr, BareFunction)] = &[
    (c"socketpair", socketpair),
    (c"describeFd", describe_fd),
    (c"setCloexec", set_cloexec),
    (c"dup", dup),
    (c"replaceFd", replace_fd),
    (c"memfd", memory_file),
    (c"reuseport", reuseport_socket),
    (c"ignoreNewConnections", ignore_new_connections),
    (c"waitingConnections", waiting_connections),
    (c"isAlive", is_alive),
];

/// Adds them, and the constants that go with them, to what lib/native/binding.js exports.
pub fn register(js: Js, target: Value) {
    for (name, function) in FUNCTIONS {
        js.set_named(target, name, bare_function(js, name, *function));
    }
    js.set_named(target, c"SOCK_STREAM", js.int(libc::SOCK_STREAM));
    js.set_named(target, c"SOCK_DGRAM", js.int(libc::SOCK_DGRAM));
    js.set_named(target, c"SOCK_SEQPACKET", js.int(libc::SOCK_SEQPACKET));
}

/// Argument 0 as one of the three types of socket.
fn socket_type(call: &Call) -> Result<Type> {
    let kind = Type::from(call.int(0)?);
    let known = [Type::STREAM, Type::DGRAM, Type::SEQPACKET];
    known.contains(&kind).then_some(kind).ok_or(Errno::INVAL)
}

/// Argument 0 as a descriptor that is the caller's.
fn borrowed(call: &Call) -> Result<BorrowedFd<'_>> {
    descriptor::borrow(call.int(0)?)
}

/// `socketpair(type)`: `[fd, fd]`
fn socketpair(call: &mut Call) -> Value {
    call.answer(socket_type(call).and_then(socket::pair).map_err(in_call("socketpair")))
}

/// `describeFd(fd)`: `[kind, listening, access, is it IPv6]`.
fn describe_fd(call: &mut Call) -> Value {
    let found = borrowed(call).and_then(descriptor::describe).map(|it| {
        let kind = call.answer(it.kind);
        [kind, call.answer(it.listening), call.answer(it.access), call.answer(it.is_ipv6)]
    });
    call.answer(found.map_err(in_call("fstat")))
}

/// `setCloexec(fd)`: 0
fn set_cloexec(call: &mut Call) -> Value {
    call.answer(borrowed(call).and_then(descriptor::set_cloexec).map_err(in_call("fcntl")))
}

/// `dup(fd)`: a descriptor
fn dup(call: &mut Call) -> Value {
    call.answer(borrowed(call).and_then(descriptor::duplicate).map_err(in_call("fcntl")))
}

/// `replaceFd(fd, over)`: 0
fn replace_fd(call: &mut Call) -> Value {
    let replace = |fd| descriptor::replace(fd, descriptor::borrow(call.int(1)?)?);
    call.answer(borrowed(call).and_then(replace).map_err(in_call("dup3")))
}

/// `memfd(name, bytes, seal)`: a descriptor
fn memory_file(call: &mut Call) -> Value {
    let arguments = || -> Result<_> {
        let name = CString::new(call.bytes(0)?.to_vec()).map_err(|_| Errno::INVAL)?;
        Ok((name, call.bytes(1)?, call.int(2)? != 0))
    };
    let arguments = arguments().map_err(in_call("memfd_create"));
    call.answer(arguments.and_then(|(name, bytes, seal)| {
        memfd::create(&name, std::ptr::slice_from_raw_parts(bytes.as_ptr(), bytes.len()), seal)
    }))
}

/// `reuseport(type, host, port, onlyV6)`: a descriptor
fn reuseport_socket(call: &mut Call) -> Value {
    let arguments = || -> Result<_> {
        let port = u16::try_from(call.int(2)?).map_err(|_| Errno::INVAL)?;
        let address = reuseport::parse(&call.bytes(1)?.to_vec(), port)?;
        Ok((socket_type(call)?, address, call.int(3)? != 0))
    };
    let arguments = arguments().map_err(in_call("bind"));
    call.answer(arguments.and_then(|(kind, address, v6)| reuseport::bound(kind, address, v6)))
}

/// `ignoreNewConnections(fd)`: 0
fn ignore_new_connections(call: &mut Call) -> Value {
    let done = borrowed(call).and_then(reuseport::ignore_new_connections);
    call.answer(done.map_err(in_call("setsockopt")))
}

/// `waitingConnections(fd)`: their number
fn waiting_connections(call: &mut Call) -> Value {
    let found = borrowed(call).and_then(reuseport::waiting_connections);
    call.answer(found.map_err(in_call("getsockopt")))
}

/// `isAlive(pidfd)`
fn is_alive(call: &mut Call) -> Value {
    call.answer(borrowed(call).and_then(peer::is_alive).map_err(in_call("pidfd_send_signal")))
}
