//! Owns: the functions about descriptors that lib/ calls: arguments in, numbers out.
//!
//! They return a value, or `[errno, name of the system call]` with the errno negated.

use std::ffi::{CStr, CString};
use std::os::fd::{IntoRawFd, OwnedFd};

use socket2::Type;

use crate::node::function::{BareFunction, Call, bare_function};
use crate::node::js::{Js, Value};
use crate::sys::descriptor;
use crate::sys::errno::{Errno, Failure, Result, in_call};
use crate::sys::memfd;
use crate::sys::peer;
use crate::sys::reuseport;
use crate::sys::socket;

type Outcome<T> = std::result::Result<T, Failure>;

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

fn answer<T>(call: &Call, outcome: Outcome<T>, value: impl FnOnce(T) -> Value) -> Value {
    match outcome {
        Ok(found) => value(found),
        Err(Failure { call: name, errno }) => {
            call.js.array(&[call.js.int(errno.to_js()), call.js.string(name)])
        }
    }
}

fn number(call: &Call, outcome: Outcome<i32>) -> Value {
    answer(call, outcome, |value| call.js.int(value))
}

fn descriptor(call: &Call, outcome: Outcome<OwnedFd>) -> Value {
    answer(call, outcome, |fd| call.js.int(fd.into_raw_fd()))
}

/// Argument 0 as one of the three types of socket.
fn socket_type(call: &Call) -> Result<Type> {
    let kind = Type::from(call.int(0)?);
    let known = [Type::STREAM, Type::DGRAM, Type::SEQPACKET];
    known.contains(&kind).then_some(kind).ok_or(Errno::INVAL)
}

/// `socketpair(type)`: `[fd, fd]`
fn socketpair(call: &Call) -> Value {
    let pair = socket_type(call).and_then(socket::pair).map_err(in_call("socketpair"));
    answer(call, pair, |(left, right)| {
        call.js.int_array([left, right].into_iter().map(IntoRawFd::into_raw_fd))
    })
}

/// `describeFd(fd)`: `[kind, listening, access, is it IPv6]`.
fn describe_fd(call: &Call) -> Value {
    let found = call.int(0).and_then(descriptor::borrow).and_then(descriptor::describe);
    answer(call, found.map_err(in_call("fstat")), |it| {
        let [listening, access, is_ipv6] =
            [it.listening.into(), it.access, it.is_ipv6.into()].map(|number| call.js.int(number));
        call.js.array(&[call.js.string(it.kind), listening, access, is_ipv6])
    })
}

/// `setCloexec(fd)`: 0
fn set_cloexec(call: &Call) -> Value {
    let done = call.int(0).and_then(descriptor::borrow).and_then(descriptor::set_cloexec);
    number(call, done.map(|()| 0).map_err(in_call("fcntl")))
}

/// `dup(fd)`: a descriptor
fn dup(call: &Call) -> Value {
    let made = call.int(0).and_then(descriptor::borrow).and_then(descriptor::duplicate);
    descriptor(call, made.map_err(in_call("fcntl")))
}

/// `replaceFd(fd, over)`: 0
fn replace_fd(call: &Call) -> Value {
    let both = || Ok((descriptor::borrow(call.int(0)?)?, descriptor::borrow(call.int(1)?)?));
    let done = both().and_then(|(fd, over)| descriptor::replace(fd, over));
    number(call, done.map(|()| 0).map_err(in_call("dup3")))
}

/// `memfd(name, bytes, seal)`: a descriptor
fn memory_file(call: &Call) -> Value {
    descriptor(call, try_memory_file(call))
}

fn try_memory_file(call: &Call) -> Outcome<OwnedFd> {
    let invalid = in_call("memfd_create");
    let arguments = || -> Result<_> {
        let name = CString::new(call.bytes(0)?.to_vec()).map_err(|_| Errno::INVAL)?;
        Ok((name, call.bytes(1)?, call.int(2)? != 0))
    };
    let (name, bytes, seal) = arguments().map_err(invalid)?;
    let bytes = std::ptr::slice_from_raw_parts(bytes.as_ptr(), bytes.len());
    memfd::create(&name, bytes, seal)
}

/// `reuseport(type, host, port, onlyV6)`: a descriptor
fn reuseport_socket(call: &Call) -> Value {
    descriptor(call, try_reuseport(call))
}

fn try_reuseport(call: &Call) -> Outcome<OwnedFd> {
    let arguments = || -> Result<_> {
        let port = u16::try_from(call.int(2)?).map_err(|_| Errno::INVAL)?;
        let address = reuseport::parse(&call.bytes(1)?.to_vec(), port)?;
        Ok((socket_type(call)?, address, call.int(3)? != 0))
    };
    let (kind, address, only_v6) = arguments().map_err(in_call("bind"))?;
    reuseport::bound(kind, address, only_v6)
}

/// `ignoreNewConnections(fd)`: 0
fn ignore_new_connections(call: &Call) -> Value {
    let fd = call.int(0).and_then(descriptor::borrow);
    let done = fd.and_then(reuseport::ignore_new_connections);
    number(call, done.map(|()| 0).map_err(in_call("setsockopt")))
}

/// `waitingConnections(fd)`: their number
fn waiting_connections(call: &Call) -> Value {
    let found = call.int(0).and_then(descriptor::borrow).and_then(reuseport::waiting_connections);
    number(call, found.map(|count| count as i32).map_err(in_call("getsockopt")))
}

/// `isAlive(pidfd)`: 1 or 0
fn is_alive(call: &Call) -> Value {
    let alive = call.int(0).and_then(descriptor::borrow).and_then(peer::is_alive);
    number(call, alive.map(i32::from).map_err(in_call("pidfd_send_signal")))
}
