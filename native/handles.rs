//! Owns: the classes that lib/ uses, thin over the engine: arguments in, numbers out.
//! May import: everything below it.
//!
//! Methods return a count, an id or 0; failures are errnos, negated.

use std::os::fd::IntoRawFd;
use std::rc::Rc;

use crate::addr::UnixAddr;
use crate::class::{Call, Class, Method, Wrapper};
use crate::core::Watched;
use crate::endpoint::{Endpoint, Kind};
use crate::env::Environment;
use crate::errno::{Errno, Result};
use crate::js::Value;
use crate::listener::Listener;
use crate::outbox::Offer;
use crate::socket;

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
    endpoint.install(listener.take().ok_or(Errno::AGAIN)?)
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
    call.status(try_send(call, env))
}

fn try_send(call: &Call, env: &Environment) -> Result<i32> {
    let resource = env.resource(call.int(0)? as usize).ok_or(Errno::BADF)?;
    let endpoint = resource.as_any().downcast::<Endpoint>().map_err(|_| Errno::BADF)?;
    let lane = call.int(1)? as usize;
    let whole = call.bytes(2)?;
    let (offset, length) =
        if call.passed() > 3 { (call.size(3)?, call.size(4)?) } else { (0, whole.len()) };
    let bytes = whole.part(offset, length).ok_or(Errno::INVAL)?;
    let fds = call.ints(5)?;
    let offer = Offer { buffer: call.arg(2), offset, bytes, fds: &fds };
    endpoint.send(lane, &offer).map(|ticket| ticket as i32)
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
