//! Owns: the functions about sockets that lib/ calls, thin over the engine: arguments in, numbers
//! out.
//!
//! A socket is a number, which comes first. Functions return a count, an id or 0, and what is
//! described with them; failures are errnos, negated. A number that is closed is EBADF.

use std::ffi::CStr;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::rc::Rc;

use crate::engine::batch;
use crate::engine::endpoint::{Endpoint, Options};
use crate::engine::env::{Environment, Hooks};
use crate::engine::handle::{Event, Kind, Source};
use crate::engine::listener::Listener;
use crate::engine::receive::inbox::DEFAULT_MAX_PENDING;
use crate::engine::send::message_queue::Offer;
use crate::engine::send::stream_queue::Piece;
use crate::engine::sockets::{INDEX_MASK, Socket};
use crate::engine::watch::Watch;
use crate::node::function::{Call, Method, function};
use crate::node::js::{Js, Reference, Value};
use crate::sys::ancillary::MAX_FDS;
use crate::sys::descriptor::{self, close_passed};
use crate::sys::errno::{Errno, Result};
use crate::sys::socket;
use crate::sys::socket_file::{self, Access};
use crate::sys::unix_addr::UnixAddr;

/// Every function by its name.
const FUNCTIONS: &[(&CStr, Method<Environment>)] = &[
    (c"attach", |call, env| call.js.int(attach(call, env) as i32)),
    (c"create", |call, env| {
        call.status(with_kind(call, |loading, kind| Endpoint::create(env, loading, kind)))
    }),
    (c"createPair", |call, env| {
        let pair = with_kind(call, |loading, kind| Endpoint::create_pair(env, loading, kind));
        answer(call, pair, |ids| call.js.int_array(ids.into_iter()))
    }),
    (c"adopt", |call, env| {
        let adopt = |loading, kind| Endpoint::adopt(env, loading, kind, call.int(2)?);
        call.status(with_kind(call, adopt))
    }),
    (c"createListener", |call, env| {
        call.status(with_kind(call, |loading, kind| Listener::create(env, loading, kind)))
    }),
    (c"adoptListener", |call, env| {
        let adopt = |loading, kind| Listener::adopt(env, loading, kind, call.int(2)?);
        call.status(with_kind(call, adopt))
    }),
    (c"configure", |call, env| {
        done(call, with_socket(call, env, |socket| configure(call, socket)))
    }),
    (c"bind", |call, env| {
        let bind = |socket: &Socket| bind(call, socket, 2, None);
        done(call, with_socket(call, env, bind))
    }),
    (c"listen", |call, env| {
        done(call, with_socket(call, env, |socket| bind(call, socket, 3, Some(call.int(2)?))))
    }),
    (c"accept", |call, env| {
        call.status(listener(call, env).and_then(|listener| listener.accept()))
    }),
    (c"setAccepting", |call, env| {
        let accepting =
            listener(call, env).and_then(|listener| listener.set_accepting(call.int(1)? != 0));
        done(call, accepting)
    }),
    (c"connect", |call, env| {
        let connect = |endpoint: &Endpoint| match call.passed() {
            1 => endpoint.connect(None),
            _ => endpoint.connect(Some(&name(call)?)),
        };
        let lost = with_endpoint(call, env, |endpoint| Ok((connect(endpoint)?, endpoint.kind)));
        answer(call, lost, |(lost, kind)| match kind {
            Kind::Datagram => tickets(call, lost),
            Kind::Seqpacket | Kind::Stream => call.js.int(0),
        })
    }),
    (c"disconnect", |call, env| {
        let lost = with_endpoint(call, env, Endpoint::disconnect);
        answer(call, lost, |lost| tickets(call, lost))
    }),
    (c"setCorked", |call, env| {
        done(call, with_endpoint(call, env, |endpoint| endpoint.set_corked(call.int(1)? != 0)))
    }),
    (c"finish", |call, env| {
        let finish = |endpoint: &Endpoint| endpoint.finish(call.int(1)? != 0);
        done(call, with_endpoint(call, env, finish))
    }),
    (c"takeError", |call, env| {
        let pending = with_endpoint(call, env, Endpoint::take_error);
        call.status(pending.and_then(|errno| errno.map_or(Ok(0), Err)))
    }),
    (c"setReading", |call, env| {
        done(call, with_endpoint(call, env, |endpoint| endpoint.set_reading(call.int(1)? != 0)))
    }),
    (c"setRef", |call, env| done(call, set_ref(call, env))),
    (c"close", |call, env| done(call, call.int(0).and_then(|id| env.close(id)))),
    (c"detach", |call, env| {
        let fds = call
            .int(0)
            .and_then(|id| env.socket(id).ok_or(Errno::BADF))
            .and_then(|socket| match socket {
                Socket::Endpoint(endpoint) => endpoint.detach(),
                Socket::Listener(listener) => listener.handle().release().map(|fd| vec![fd]),
                Socket::Watch(_) => Err(Errno::BADF),
            })
            .and_then(|fds| call.int(0).and_then(|id| env.close(id)).map(|()| fds));
        answer(call, fds, |fds| given(call, fds))
    }),
    (c"receiveNow", |call, env| {
        call.status(with_endpoint(call, env, |endpoint| Ok(i32::from(!endpoint.receive_now()))))
    }),
    (c"queuedBytes", |call, env| {
        let queued = with_endpoint(call, env, |endpoint| Ok(endpoint.queued_bytes()));
        call.status(queued.map(clamped))
    }),
    (c"notifyWritable", |call, env| {
        done(call, with_endpoint(call, env, Endpoint::notify_writable))
    }),
    (c"fd", |call, env| {
        call.status(with_socket(call, env, |socket| socket.source().handle().fd()))
    }),
    (c"localAddress", |call, env| {
        let name = with_socket(call, env, |it| it.source().handle().with_fd(socket::local_address));
        answer(call, name, |name| buffer(call, &name))
    }),
    (c"peerAddress", |call, env| {
        let name = with_endpoint(call, env, Endpoint::peer_address);
        answer(call, name, |name| buffer(call, &name))
    }),
    (c"peerCredentials", |call, env| {
        let (js, found) = (call.js, with_endpoint(call, env, Endpoint::peer_credentials));
        answer(call, found, |it| js.array(&[js.int(it.pid), js.uint(it.uid), js.uint(it.gid)]))
    }),
    (c"peerPidfd", |call, env| {
        let found = with_endpoint(call, env, Endpoint::peer_pidfd).and_then(known);
        call.status(found.map(IntoRawFd::into_raw_fd))
    }),
    (c"peerGroups", |call, env| {
        let found = with_endpoint(call, env, Endpoint::peer_groups).and_then(known);
        answer(call, found, |groups| {
            call.js.array(&groups.into_iter().map(|group| call.js.uint(group)).collect::<Vec<_>>())
        })
    }),
    (c"peerLabel", |call, env| {
        let found = with_endpoint(call, env, Endpoint::peer_label).and_then(known);
        answer(call, found, |label| call.js.buffer_from(&label))
    }),
    (c"watchProcess", |call, env| call.status(watch_process(call, env))),
    (c"bufferSize", |call, env| {
        let size = with_endpoint(call, env, |endpoint| {
            endpoint.buffer_size(call.int(1)? != 0, usize::try_from(call.int(2)?).ok())
        });
        call.status(size.map(clamped))
    }),
    (c"destination", |call, env| {
        let to = |endpoint: &Endpoint| Ok(endpoint.destination(&name(call)?)? as i32);
        call.status(with_endpoint(call, env, to))
    }),
    (c"sweepDestinations", |call, env| {
        done(
            call,
            with_endpoint(call, env, |endpoint| {
                endpoint.sweep_destinations();
                Ok(())
            }),
        )
    }),
    (c"send", |call, env| {
        let sent = with_offer(call, env, |endpoint, to, offer| endpoint.send(to, offer));
        call.status(sent.map(|ticket| ticket as i32))
    }),
    (c"trySend", |call, env| {
        done(call, with_offer(call, env, |endpoint, to, offer| endpoint.try_send(to, offer)))
    }),
    (c"write", |call, env| call.status(write(call, env).map(i32::from))),
    (c"writeString", |call, env| call.status(write_string(call, env))),
    (c"writeMany", |call, env| call.status(write_many(call, env).map(i32::from))),
    (c"queueFds", |call, env| {
        // Before anything is looked at: an array's getters run.
        let fds = call.ints(1);
        done(call, with_endpoint(call, env, |endpoint| endpoint.queue_fds(&fds?)))
    }),
    (c"dropQueuedFds", |call, env| {
        done(
            call,
            with_endpoint(call, env, |endpoint| {
                endpoint.drop_queued_fds();
                Ok(())
            }),
        )
    }),
    (c"takeFds", |call, env| {
        let take = |endpoint: &Endpoint| Ok(endpoint.take_fds(call.int(1)? as u32));
        given(call, with_endpoint(call, env, take).unwrap_or_default())
    }),
    (c"takePidfd", |call, env| {
        let take =
            |endpoint: &Endpoint| endpoint.take_pidfd(call.int(1)? as u32).ok_or(Errno::AGAIN);
        call.status(with_endpoint(call, env, take).map(IntoRawFd::into_raw_fd))
    }),
    (c"dropFds", |call, env| {
        done(
            call,
            with_endpoint(call, env, |endpoint| {
                let token = call.int(1)? as u32;
                drop(endpoint.take_pidfd(token));
                close_passed(endpoint.take_fds(token));
                Ok(())
            }),
        )
    }),
    (c"takeNextFds", |call, env| {
        let skipped = || if call.passed() > 2 { call.size(2) } else { Ok(0) };
        let take = |endpoint: &Endpoint| Ok(endpoint.take_next_fds(call.size(1)?, skipped()?));
        given(call, with_endpoint(call, env, take).unwrap_or_default())
    }),
    (c"putBackFds", |call, env| {
        let fds = call.ints(1);
        done(call, with_endpoint(call, env, |endpoint| endpoint.put_back_fds(&fds?)))
    }),
    (c"setTarget", |call, env| {
        done(
            call,
            with_endpoint(call, env, |endpoint| {
                endpoint.set_target(call.reference(1));
                Ok(())
            }),
        )
    }),
    (c"removeFile", |call, env| {
        done(call, with_socket(call, env, |socket| socket.source().handle().remove_file()))
    }),
];

/// Adds them, and the layout of what they hand over, to what lib/native/binding.js exports.
pub fn register(js: Js, target: Value, env: &Rc<Environment>) {
    for (name, method) in FUNCTIONS {
        js.set_named(target, name, function(js, name, env, *method));
    }
    let layout = js.object();
    let set = |name, value| js.set_named(layout, name, js.int(value));
    for (name, value) in batch::LAYOUT {
        set(name, *value as i32);
    }
    set(c"INDEX_MASK", INDEX_MASK);
    set(c"EVENT_ERROR", Event::Error as i32);
    set(c"EVENT_END", Event::End as i32);
    set(c"EVENT_SHORTAGE", Event::Shortage as i32);
    set(c"EVENT_WRITABLE", Event::Writable as i32);
    set(c"EVENT_FINISHED", Event::Finished as i32);
    set(c"EVENT_WRITTEN", Event::Written as i32);
    set(c"MAX_STRING", MAX_STRING as i32);
    set(c"MAX_FDS", MAX_FDS as i32);
    set(c"DEFAULT_MAX_PENDING_FDS", DEFAULT_MAX_PENDING as i32);
    js.set_named(target, c"layout", layout);
}

/// `attach(messages, settled, connections, event)`: the number of a loading; see [`Hooks`].
fn attach(call: &Call, env: &Environment) -> usize {
    let hook = |index| Reference::new(call.js, call.arg(index));
    match [0, 1, 2, 3].map(hook) {
        [Some(messages), Some(settled), Some(connections), Some(event)] => {
            env.attach(Hooks { messages, settled, connections, event })
        }
        // What is made for a loading that is none reports nothing.
        _ => usize::MAX,
    }
}

/// Arguments 0 and 1 as a loading and a kind; EINVAL.
fn with_kind<T>(call: &Call, body: impl FnOnce(usize, Kind) -> Result<T>) -> Result<T> {
    body(call.size(0)?, Kind::from_js(call.int(1)?).ok_or(Errno::INVAL)?)
}

/// The socket or listener that argument 0 is the number of.
fn with_socket<T>(
    call: &Call,
    env: &Environment,
    body: impl FnOnce(&Socket) -> Result<T>,
) -> Result<T> {
    body(&env.socket(call.int(0)?).ok_or(Errno::BADF)?)
}

fn endpoint(call: &Call, env: &Environment) -> Result<Rc<Endpoint>> {
    match env.socket(call.int(0)?) {
        Some(Socket::Endpoint(endpoint)) => Ok(endpoint),
        _ => Err(Errno::BADF),
    }
}

fn with_endpoint<T>(
    call: &Call,
    env: &Environment,
    body: impl FnOnce(&Endpoint) -> Result<T>,
) -> Result<T> {
    body(&*endpoint(call, env)?)
}

fn listener(call: &Call, env: &Environment) -> Result<Rc<Listener>> {
    match env.socket(call.int(0)?) {
        Some(Socket::Listener(listener)) => Ok(listener),
        _ => Err(Errno::BADF),
    }
}

fn answer<T>(call: &Call, outcome: Result<T>, value: impl FnOnce(T) -> Value) -> Value {
    match outcome {
        Ok(found) => value(found),
        Err(errno) => call.js.int(errno.to_js()),
    }
}

fn done(call: &Call, outcome: Result<()>) -> Value {
    call.status(outcome.map(|()| 0))
}

fn clamped(count: usize) -> i32 {
    count.min(i32::MAX as usize) as i32
}

/// Argument 1 as a name; empty where it is undefined.
fn name(call: &Call) -> Result<Vec<u8>> {
    if call.js.is_undefined(call.arg(1)) { Ok(Vec::new()) } else { Ok(call.bytes(1)?.to_vec()) }
}

/// A Buffer with the name, empty for unnamed.
fn buffer(call: &Call, name: &UnixAddr) -> Value {
    call.js.buffer_from(&name.name().collect::<Vec<_>>())
}

/// An array of tickets.
fn tickets(call: &Call, tickets: Vec<u32>) -> Value {
    call.js.int_array(tickets.into_iter().map(|ticket| ticket as i32))
}

/// An array of descriptors, which are JavaScript's from here on.
fn given(call: &Call, fds: Vec<OwnedFd>) -> Value {
    call.js.int_array(fds.into_iter().map(IntoRawFd::into_raw_fd))
}

/// `configure(id, receiveFds, credentials, maxPendingFds, receiveBufferSize, sendBufferSize, pidfd)`:
/// a negative size leaves what the system has.
fn configure(call: &Call, socket: &Socket) -> Result<()> {
    let size = |index| Result::Ok(usize::try_from(call.int(index)?).ok());
    let options = Options {
        fds: call.int(1)? != 0,
        credentials: call.int(2)? != 0,
        pidfd: call.int(6)? != 0,
        max_pending: call.size(3)?,
        receive_buffer: size(4)?,
        send_buffer: size(5)?,
    };
    match socket {
        Socket::Endpoint(endpoint) => endpoint.configure(options),
        Socket::Listener(listener) => listener.configure(options),
        Socket::Watch(_) => Err(Errno::BADF),
    }
}

/// `bind(id, name, mode, uid, gid, unlink)`, and `listen(id, name, backlog, mode, uid, gid, unlink)`:
/// a negative mode, user or group is left as it is; without `unlink` the file stays at close.
fn bind(call: &Call, socket: &Socket, index: usize, backlog: Option<i32>) -> Result<()> {
    let number = |index| Result::Ok(u32::try_from(call.int(index)?).ok());
    let access = Access { mode: number(index)?, uid: number(index + 1)?, gid: number(index + 2)? };
    let stays = call.int(index + 3)? == 0;
    let (name, options) = (name(call)?, socket_file::Options { access, stays, backlog });
    match (socket, backlog) {
        (Socket::Listener(listener), Some(_)) => listener.listen(&name, &options),
        _ => socket.source().handle().bind(&name, &options),
    }
}

/// `setRef(id, on)`
fn set_ref(call: &Call, env: &Environment) -> Result<()> {
    let keeps_alive = call.int(1)? != 0;
    match env.socket(call.int(0)?).ok_or(Errno::BADF)? {
        Socket::Endpoint(endpoint) => endpoint.set_ref(keeps_alive),
        Socket::Listener(listener) => listener.handle().set_ref(keeps_alive),
        Socket::Watch(watch) => watch.handle().set_ref(keeps_alive),
    }
    Ok(())
}

/// `write(id, buffer[, fds])`: 0, 1 if it waits, or an errno.
fn write(call: &Call, env: &Environment) -> Result<bool> {
    // Before the bytes: an array's getters may move them.
    let fds = call.ints(2)?;
    let endpoint = endpoint(call, env)?;
    endpoint.write(Piece { buffer: call.arg(1), bytes: call.bytes(1)? }, &fds)
}

/// The longest string, in bytes, that [`write_string`] takes.
const MAX_STRING: usize = 16 << 10;

/// `writeString(id, string, latin1)`: how many bytes were sent, 0 if they wait, or an errno.
///
/// For short strings: it spares the Buffer.
fn write_string(call: &Call, env: &Environment) -> Result<i32> {
    let endpoint = endpoint(call, env)?;
    let latin1 = call.int(2)? != 0;
    let mut room = env.scratch.borrow_mut();
    // One more for the NUL.
    room.resize(MAX_STRING + 1, 0);
    let len = call.js.read_string(call.arg(1), &mut room, latin1).ok_or(Errno::INVAL)?;
    let waits = endpoint.write_copy(&room[..len])?;
    Ok(if waits { 0 } else { len as i32 })
}

/// `writeMany(id, buffers[, counts])`: 0, 1 if it waits, or an errno. `counts[i]` of the queued
/// descriptors go with `buffers[i]`.
fn write_many(call: &Call, env: &Environment) -> Result<bool> {
    // Before the bytes: an array's getters may move them.
    let counts: Vec<usize> = call.ints(2)?.into_iter().map(|count| count.max(0) as usize).collect();
    let buffers = call.elements(1)?;
    let endpoint = endpoint(call, env)?;
    let pieces = buffers.into_iter().map(|buffer| {
        call.js.as_bytes(buffer).map(|bytes| Piece { buffer, bytes }).ok_or(Errno::INVAL)
    });
    endpoint.write_many(&pieces.collect::<Result<Vec<_>>>()?, &counts)
}

/// `send(id, destination, buffer[, offset, length[, fds]])`: 0, a ticket or an errno. All of the
/// buffer where no part is named. `trySend`, with the same arguments: 0 or an errno; nothing waits:
/// EAGAIN where there is no room, or where others wait for the same destination.
fn with_offer<T>(
    call: &Call,
    env: &Environment,
    body: impl FnOnce(&Endpoint, usize, &Offer<'_>) -> Result<T>,
) -> Result<T> {
    // Before the bytes: an array's getters may move them.
    let fds = call.ints(5)?;
    let endpoint = endpoint(call, env)?;
    let to = call.size(1)?;
    let whole = call.bytes(2)?;
    let (offset, length) =
        if call.passed() > 3 { (call.size(3)?, call.size(4)?) } else { (0, whole.len()) };
    let bytes = whole.part(offset, length).ok_or(Errno::INVAL)?;
    body(&endpoint, to, &Offer { buffer: call.arg(2), offset, bytes, fds: &fds })
}

/// What this system says of a peer; ENOPROTOOPT where it says nothing.
fn known<T>(found: Option<T>) -> Result<T> {
    found.ok_or(Errno::NOPROTOOPT)
}

/// `watchProcess(loading, pidfd)`: the number of a watch, which reports the end of the process. The
/// descriptor stays the caller's.
fn watch_process(call: &Call, env: &Rc<Environment>) -> Result<i32> {
    let pidfd = descriptor::borrow(call.int(1)?).and_then(descriptor::duplicate)?;
    Watch::create(env, call.size(0)?, pidfd)
}
