//! Owns: the classes that lib/ uses, thin over the engine: arguments in, numbers out.
//!
//! Methods return a count, an id or 0; failures are errnos, negated.

use std::os::fd::IntoRawFd;
use std::rc::Rc;

use crate::engine::endpoint::Endpoint;
use crate::engine::env::Environment;
use crate::engine::handle::{Kind, Watched};
use crate::engine::listener::Listener;
use crate::engine::send::message_queue::Offer;
use crate::engine::send::stream_queue::{Errand, Piece};
use crate::node::function::{Call, Class, Method, Wrapper};
use crate::node::js::{Reference, Value};
use crate::sys::errno::{Errno, Result};
use crate::sys::socket;
use crate::sys::unix_addr::UnixAddr;

impl Class for Endpoint {
    type Context = Environment;
    const TAG: u64 = 1;
    const NAME: &'static std::ffi::CStr = c"Endpoint";
    const METHODS: &'static [(&'static std::ffi::CStr, Method<Endpoint>)] = &[
        (c"create", |call, endpoint| done(call, endpoint.create())),
        (c"createPair", create_pair),
        (c"adopt", |call, endpoint| done(call, call.int(0).and_then(|fd| endpoint.adopt(fd)))),
        (c"bind", |call, endpoint| done(call, bind(call, endpoint))),
        (c"connect", |call, endpoint| {
            lost(call, address(call, 0).and_then(|to| endpoint.connect(&to)))
        }),
        (c"disconnect", |call, endpoint| lost(call, endpoint.disconnect())),
        (c"close", |call, endpoint| {
            endpoint.close();
            done(call, Ok(()))
        }),
        (c"acceptFrom", |call, endpoint| done(call, accept_from(call, endpoint))),
        (c"shutDownSending", |call, endpoint| done(call, endpoint.shut_down_sending())),
        (c"fail", |call, endpoint| {
            done(call, call.int(0).and_then(|errno| endpoint.fail(Errno::from_uv(errno))))
        }),
        (c"setHolding", |call, endpoint| {
            done(call, call.int(0).and_then(|on| endpoint.set_holding(on != 0)))
        }),
        (c"tellRoom", |call, endpoint| done(call, endpoint.tell_room())),
        (c"fd", |call, endpoint| call.status(endpoint.core().fd())),
        (c"lane", |call, endpoint| {
            call.status(address(call, 0).map(|to| endpoint.lane_of(to) as i32))
        }),
        (c"sweepLanes", |call, endpoint| {
            endpoint.sweep_lanes();
            done(call, Ok(()))
        }),
        (c"number", |call, endpoint| call.status(Ok(endpoint.core().number() as i32))),
        (c"setReading", |call, endpoint| {
            done(call, call.int(0).and_then(|on| endpoint.set_reading(on != 0)))
        }),
        (c"setRef", |call, endpoint| done(call, call.int(0).map(|on| endpoint.set_ref(on != 0)))),
        (c"receiveBeside", |call, endpoint| done(call, receive_beside(call, endpoint))),
        (c"takeFds", |call, endpoint| {
            let fds =
                call.int(0).map_or_else(|_| Vec::new(), |token| endpoint.take_fds(token as u32));
            call.js.int_array(fds.into_iter().map(IntoRawFd::into_raw_fd))
        }),
        (c"takeNextFds", |call, endpoint| {
            let fds =
                call.size(0).map_or_else(|_| Vec::new(), |count| endpoint.take_next_fds(count));
            call.js.int_array(fds.into_iter().map(IntoRawFd::into_raw_fd))
        }),
        (c"putBackFds", |call, endpoint| {
            done(call, call.ints(0).and_then(|fds| endpoint.put_back_fds(&fds)))
        }),
        (c"setTarget", |call, endpoint| {
            endpoint.set_target(Reference::new(call.js, call.arg(0)));
            done(call, Ok(()))
        }),
        (c"keepFds", |call, endpoint| {
            let token = call.ints(0).and_then(|fds| endpoint.keep_fds(&fds));
            call.status(token.map(|token| token as i32))
        }),
        (c"dropKept", |call, endpoint| {
            done(call, call.int(0).map(|token| endpoint.drop_kept(token as u32)))
        }),
        (c"dropFds", |call, endpoint| {
            done(call, call.int(0).map(|token| drop(endpoint.take_fds(token as u32))))
        }),
        (c"localAddress", |call, endpoint| {
            name(call, endpoint.core().with_fd(socket::local_address))
        }),
        (c"peerAddress", |call, endpoint| name(call, endpoint.peer_address())),
        (c"peerCredentials", peer_credentials),
        (c"bufferSize", |call, endpoint| call.status(buffer_size(call, endpoint))),
    ];

    fn construct(call: &Call, env: &Rc<Environment>) -> Rc<Endpoint> {
        Endpoint::new(env, kind(call))
    }

    fn attach(self: &Rc<Endpoint>, call: &Call, wrapper: Wrapper) {
        self.core().attach(call, wrapper);
    }

    fn detach(self: &Rc<Endpoint>) {
        self.close();
        self.core().detach();
    }
}

impl Class for Listener {
    type Context = Environment;
    const TAG: u64 = 2;
    const NAME: &'static std::ffi::CStr = c"Listener";
    const METHODS: &'static [(&'static std::ffi::CStr, Method<Listener>)] = &[
        (c"listen", |call, listener| done(call, listen(call, listener))),
        (c"adopt", |call, listener| done(call, call.int(0).and_then(|fd| listener.adopt(fd)))),
        (c"setAccepting", |call, listener| {
            done(call, call.int(0).and_then(|on| listener.set_accepting(on != 0)))
        }),
        (c"setRef", |call, listener| {
            done(call, call.int(0).map(|on| listener.core().set_ref(on != 0)))
        }),
        (c"close", |call, listener| {
            listener.close();
            done(call, Ok(()))
        }),
        (c"fd", |call, listener| call.status(listener.core().fd())),
        (c"localAddress", |call, listener| {
            name(call, listener.core().with_fd(socket::local_address))
        }),
    ];

    fn construct(call: &Call, env: &Rc<Environment>) -> Rc<Listener> {
        Listener::new(env, kind(call))
    }

    fn attach(self: &Rc<Listener>, call: &Call, wrapper: Wrapper) {
        self.core().attach(call, wrapper);
    }

    fn detach(self: &Rc<Listener>) {
        self.close();
        self.core().detach();
    }
}

/// Argument 0 as a kind; throws for anything else.
fn kind(call: &Call) -> Kind {
    let kind = call.int(0).ok().and_then(Kind::from_js);
    if kind.is_none() {
        call.js.throw(c"ERR_INVALID_ARG_VALUE", c"unknown kind of socket");
    }
    kind.unwrap_or(Kind::Datagram)
}

/// `listen(name, backlog, mode)`: a negative mode leaves permissions to the umask.
fn listen(call: &Call, listener: &Listener) -> Result<()> {
    listener.listen(&address(call, 0)?, call.int(1)?, u32::try_from(call.int(2)?).ok())
}

/// `acceptFrom(listener)`: takes the next connection that it has accepted; EAGAIN if there is none.
fn accept_from(call: &Call, endpoint: &Endpoint) -> Result<()> {
    let listener = call.object::<Listener>(0)?;
    endpoint.install_accepted(listener.take().ok_or(Errno::AGAIN)?)
}

fn done(call: &Call, result: Result<()>) -> Value {
    call.status(result.map(|()| 0))
}

/// Argument `index` as an address.
fn address(call: &Call, index: usize) -> Result<UnixAddr> {
    UnixAddr::new(&call.bytes(index)?.to_vec())
}

/// A Buffer with the name, empty for unnamed; or an errno.
fn name(call: &Call, found: Result<UnixAddr>) -> Value {
    match found {
        Ok(addr) => call.js.buffer_from(&addr.name().collect::<Vec<_>>()),
        Err(errno) => call.js.int(errno.to_js()),
    }
}

/// An array of tickets, or an errno.
fn lost(call: &Call, result: Result<Vec<u32>>) -> Value {
    match result {
        Ok(tickets) => call.js.int_array(tickets.into_iter().map(|ticket| ticket as i32)),
        Err(errno) => call.js.int(errno.to_js()),
    }
}

/// `createPair(other)`: `other` is an Endpoint.
fn create_pair(call: &Call, endpoint: &Rc<Endpoint>) -> Value {
    let pair = call.object::<Endpoint>(0).and_then(|other| endpoint.create_pair(&other));
    done(call, pair)
}

/// `bind(name, mode)`: a negative mode leaves permissions to the umask.
fn bind(call: &Call, endpoint: &Endpoint) -> Result<()> {
    endpoint.bind(&address(call, 0)?, u32::try_from(call.int(1)?).ok())
}

/// `send(number, lane, buffer[, offset, length[, fds]])`: 0, a ticket or an errno. All of the buffer
/// where no part is named.
///
/// A function, not a method: finding an endpoint by its number costs a tenth of `napi_unwrap`.
pub fn send(call: &Call, env: &Rc<Environment>) -> Value {
    let sent = with_offer(call, env, |endpoint, lane, offer| endpoint.send(lane, offer));
    call.status(sent.map(|ticket| ticket as i32))
}

/// The endpoint whose number is argument 0.
fn numbered(call: &Call, env: &Environment) -> Result<Rc<Endpoint>> {
    let resource = env.resource(call.int(0)? as usize).ok_or(Errno::BADF)?;
    resource.as_any().downcast::<Endpoint>().map_err(|_| Errno::BADF)
}

/// `write(number, buffer[, fds])`: 0, 1 if it waits, or an errno.
pub fn write(call: &Call, env: &Rc<Environment>) -> Value {
    call.status(try_write(call, env).map(i32::from))
}

fn try_write(call: &Call, env: &Environment) -> Result<bool> {
    // Before the bytes: an array's getters may move them.
    let fds = call.ints(2)?;
    let endpoint = numbered(call, env)?;
    endpoint.write(Piece { buffer: call.arg(1), bytes: call.bytes(1)? }, &fds)
}

/// The longest string, in bytes, that [`write_string`] takes; lib/sockets/stream-writer.js knows it too.
const MAX_STRING: usize = 16 << 10;

/// `writeString(number, string, latin1)`: how many bytes were sent, 0 if they wait, or an errno.
///
/// For short strings: it spares the Buffer.
pub fn write_string(call: &Call, env: &Rc<Environment>) -> Value {
    call.status(try_write_string(call, env))
}

fn try_write_string(call: &Call, env: &Environment) -> Result<i32> {
    let endpoint = numbered(call, env)?;
    // One more for the NUL.
    let mut room = [0; MAX_STRING + 1];
    let latin1 = call.int(2)? != 0;
    let len = call.js.read_string(call.arg(1), &mut room, latin1).ok_or(Errno::INVAL)?;
    let waits = endpoint.write_copy(&room[..len])?;
    Ok(if waits { 0 } else { len as i32 })
}

/// `writeMany(number, buffers, errands)`: 0, 1 if it waits, or an errno. `errands` are triples: the index
/// of a buffer, a token of `keepFds`, and how many of its descriptors go with the buffer.
pub fn write_many(call: &Call, env: &Rc<Environment>) -> Value {
    call.status(try_write_many(call, env).map(i32::from))
}

fn try_write_many(call: &Call, env: &Environment) -> Result<bool> {
    // Before the bytes: an array's getters may move them.
    let numbers = call.ints(2)?;
    let buffers = call.js.elements(call.arg(1)).ok_or(Errno::INVAL)?;
    let endpoint = numbered(call, env)?;
    let pieces = buffers.into_iter().map(|buffer| {
        call.js.as_bytes(buffer).map(|bytes| Piece { buffer, bytes }).ok_or(Errno::INVAL)
    });
    let pieces: Vec<_> = pieces.collect::<Result<_>>()?;
    let errands = numbers.chunks_exact(3).map(|triple| Errand {
        piece: triple[0] as usize,
        token: triple[1] as u32,
        count: triple[2] as usize,
    });
    endpoint.write_many(&pieces, &errands.collect::<Vec<_>>())
}

/// `trySend(number, lane, buffer[, offset, length[, fds]])`: 0 or an errno. As `send`, but nothing
/// waits: EAGAIN where there is no room, or where others wait for the same destination.
pub fn try_send(call: &Call, env: &Rc<Environment>) -> Value {
    done(call, with_offer(call, env, |endpoint, lane, offer| endpoint.try_send(lane, offer)))
}

/// Reads the arguments of `send` and hands them to `body`.
fn with_offer<T>(
    call: &Call,
    env: &Environment,
    body: impl FnOnce(&Endpoint, usize, &Offer<'_>) -> Result<T>,
) -> Result<T> {
    // Before the bytes: an array's getters may move them.
    let fds = call.ints(5)?;
    let endpoint = numbered(call, env)?;
    let lane = call.int(1)? as usize;
    let whole = call.bytes(2)?;
    let (offset, length) =
        if call.passed() > 3 { (call.size(3)?, call.size(4)?) } else { (0, whole.len()) };
    let bytes = whole.part(offset, length).ok_or(Errno::INVAL)?;
    body(&endpoint, lane, &Offer { buffer: call.arg(2), offset, bytes, fds: &fds })
}

/// `receiveBeside(fds, credentials, maxPending)`
fn receive_beside(call: &Call, endpoint: &Endpoint) -> Result<()> {
    endpoint.receive_beside(call.int(0)? != 0, call.int(1)? != 0, call.size(2)?)
}

/// `[pid, uid, gid]`, or an errno.
fn peer_credentials(call: &Call, endpoint: &Rc<Endpoint>) -> Value {
    let js = call.js;
    match endpoint.peer_credentials() {
        Ok(found) => js.array(&[js.int(found.pid), js.uint(found.uid), js.uint(found.gid)]),
        Err(errno) => js.int(errno.to_js()),
    }
}

/// `bufferSize(receive, size)`: a negative size only asks.
fn buffer_size(call: &Call, endpoint: &Endpoint) -> Result<i32> {
    let size = usize::try_from(call.int(1)?).ok();
    endpoint.buffer_size(call.int(0)? != 0, size).map(|size| size.min(i32::MAX as usize) as i32)
}
