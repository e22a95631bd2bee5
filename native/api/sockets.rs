//! Owns: the functions about sockets that lib/ calls, thin over the engine: arguments in, numbers
//! out.
//!
//! A socket is a number, which comes first. Functions return a count, an id or 0, and what is
//! described with them; failures are errnos, negated. A number that is closed is EBADF.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

use crate::engine::batch;
use crate::engine::endpoint::{Endpoint, Options};
use crate::engine::env::{Environment, Hooks};
use crate::engine::handle::{Event, Kind, Source};
use crate::engine::listener::Listener;
use crate::engine::receive::inbox::{DEFAULT_MAX_PENDING, Inbox};
use crate::engine::send::message_queue::{Offer, PEER};
use crate::engine::send::stream_queue::Piece;
use crate::engine::sockets::{INDEX_MASK, Socket};
use crate::engine::watch::Watch;
use crate::node::answer::Answer;
use crate::node::function::{Call, Method, function};
use crate::node::js::{Js, Reference, Value};
use crate::sys::ancillary::{Credentials, MAX_FDS};
use crate::sys::descriptor::{self, close_passed};
use crate::sys::errno::{Errno, Result};
use crate::sys::socket_file::{self, Access};
use crate::sys::{peer, socket};

/// Every function by its name.
const FUNCTIONS: &[(&CStr, Method<Environment>)] = &[
    (c"attach", |call, env| call.answer(attach(call, env))),
    (c"create", |call, env| {
        with_kind(call, |_, loading, kind| Endpoint::create(env, loading, kind))
    }),
    (c"createPair", |call, env| {
        with_kind(call, |_, loading, kind| Endpoint::create_pair(env, loading, kind))
    }),
    (c"adopt", |call, env| {
        with_kind(call, |call, loading, kind| Endpoint::adopt(env, loading, kind, call.int(2)?))
    }),
    (c"createListener", |call, env| {
        with_kind(call, |_, loading, kind| Listener::create(env, loading, kind))
    }),
    (c"adoptListener", |call, env| {
        with_kind(call, |call, loading, kind| Listener::adopt(env, loading, kind, call.int(2)?))
    }),
    (c"watchProcess", |call, env| call.answer(watch_process(call, env))),
    (c"configure", |call, env| with_socket(call, env, configure)),
    (c"bind", |call, env| with_socket(call, env, |call, socket| bind(call, socket, 2, None))),
    (c"listen", |call, env| {
        with_socket(call, env, |call, socket| bind(call, socket, 3, Some(call.int(2)?)))
    }),
    (c"accept", |call, env| with_listener(call, env, |_, listener| listener.accept())),
    (c"setAccepting", |call, env| {
        with_listener(call, env, |call, listener| listener.set_accepting(call.int(1)? != 0))
    }),
    (c"isShort", |call, env| with_listener(call, env, |_, listener| Ok(listener.is_short()))),
    (c"connect", |call, env| with_endpoint(call, env, connect)),
    (c"reportConnect", |call, env| {
        with_endpoint(call, env, |call, endpoint| endpoint.report_connect(call.int(1)? != 0))
    }),
    (c"disconnect", |call, env| with_endpoint(call, env, |_, endpoint| endpoint.disconnect())),
    (c"setCorked", |call, env| {
        with_endpoint(call, env, |call, endpoint| endpoint.set_corked(call.int(1)? != 0))
    }),
    (c"finish", |call, env| {
        with_endpoint(call, env, |call, endpoint| endpoint.finish(call.int(1)? != 0))
    }),
    (c"takeError", |call, env| {
        of_descriptor(call, env, |fd| socket::take_error(fd).map_or(Ok(()), Err))
    }),
    (c"setReading", |call, env| {
        with_endpoint(call, env, |call, endpoint| endpoint.set_reading(call.int(1)? != 0))
    }),
    (c"setRef", |call, env| {
        with_socket(call, env, |call, socket| {
            let keeps_alive = call.int(1)? != 0;
            if let Socket::Endpoint(endpoint) = socket {
                endpoint.sender.set_ref(keeps_alive);
            }
            socket.source().handle().set_ref(keeps_alive);
            Ok(())
        })
    }),
    (c"close", |call, env| call.answer(call.int(0).and_then(|id| env.close(id)))),
    (c"detach", |call, env| {
        with_socket(call, env, |call, socket| {
            let fds = match socket {
                Socket::Endpoint(endpoint) => endpoint.detach(),
                Socket::Listener(listener) => listener.handle().release().map(|fd| vec![fd]),
                Socket::Watch(_) => Err(Errno::BADF),
            }?;
            env.close(call.int(0)?).map(|()| fds)
        })
    }),
    (c"receiveNow", |call, env| {
        with_endpoint(call, env, |_, endpoint| Ok(!endpoint.receive_now()))
    }),
    (c"queuedBytes", |call, env| {
        with_endpoint(call, env, |_, endpoint| Ok(endpoint.sender.queued_bytes()))
    }),
    (c"notifyWritable", |call, env| {
        with_endpoint(call, env, |_, endpoint| endpoint.notify_writable())
    }),
    (c"fd", |call, env| with_socket(call, env, |_, socket| socket.source().handle().fd())),
    (c"localAddress", |call, env| of_descriptor(call, env, socket::local_address)),
    (c"peerAddress", |call, env| of_descriptor(call, env, socket::peer_address)),
    (c"peerCredentials", |call, env| {
        of_descriptor(call, env, |fd| {
            let Credentials { pid, uid, gid } = peer::credentials(fd)?;
            Ok([pid as u32, uid, gid])
        })
    }),
    (c"peerPidfd", |call, env| of_descriptor(call, env, |fd| known(peer::pidfd(fd)))),
    (c"peerGroups", |call, env| of_descriptor(call, env, |fd| known(peer::groups(fd)))),
    (c"peerLabel", |call, env| of_descriptor(call, env, |fd| known(peer::label(fd)))),
    (c"bufferSize", |call, env| {
        with_endpoint(call, env, |call, endpoint| {
            endpoint.buffer_size(call.int(1)? != 0, usize::try_from(call.int(2)?).ok())
        })
    }),
    (c"destination", |call, env| {
        with_endpoint(call, env, |call, endpoint| endpoint.destination(&name(call)?))
    }),
    (c"sweepDestinations", |call, env| {
        with_endpoint(call, env, |_, endpoint| endpoint.sender.sweep())
    }),
    (c"send", |call, env| with_offer(call, env, Endpoint::send)),
    (c"trySend", |call, env| {
        with_offer(call, env, |endpoint, to, offer| {
            endpoint.sender.try_send(endpoint.handle(), to, offer)
        })
    }),
    (c"write", |call, env| write(call, env).to_value(call.js)),
    (c"writeString", |call, env| call.answer(write_string(call, env))),
    (c"writeMany", |call, env| write_many(call, env).to_value(call.js)),
    (c"queueFds", |call, env| {
        // Before the socket is looked for: an array's getters run.
        let fds = call.ints(1);
        with_endpoint(call, env, |_, endpoint| endpoint.sender.queue_fds(&fds?))
    }),
    (c"dropQueuedFds", |call, env| {
        with_endpoint(call, env, |_, endpoint| {
            endpoint.sender.drop_queued_fds();
            Ok(())
        })
    }),
    (c"takeFds", |call, env| {
        call.answer(taken(call, env, |inbox| Ok(inbox.take(call.int(1)? as u32))))
    }),
    (c"takePidfd", |call, env| {
        with_inbox(call, env, |call, inbox| {
            inbox.take_pidfd(call.int(1)? as u32).ok_or(Errno::AGAIN)
        })
    }),
    (c"dropFds", |call, env| {
        with_inbox(call, env, |call, inbox| {
            let token = call.int(1)? as u32;
            drop(inbox.take_pidfd(token));
            close_passed(inbox.take(token));
            Ok(())
        })
    }),
    (c"takeNextFds", |call, env| {
        call.answer(taken(call, env, |inbox| {
            let skipped = if call.passed() > 2 { call.size(2)? } else { 0 };
            Ok(inbox.take_next(call.size(1)?, skipped))
        }))
    }),
    (c"putBackFds", |call, env| {
        let fds = call.ints(1);
        with_endpoint(call, env, |_, endpoint| endpoint.put_back_fds(&fds?))
    }),
    (c"setTarget", |call, env| {
        with_endpoint(call, env, |call, endpoint| {
            endpoint.receiver.set_target(call.reference(1));
            Ok(())
        })
    }),
    (c"removeFile", |call, env| {
        with_socket(call, env, |_, socket| socket.source().handle().remove_file())
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
    set(c"EVENT_WRITTEN", Event::Written as i32);
    set(c"EVENT_FINISHED", Event::Finished as i32);
    set(c"EVENT_CONNECTED", Event::Connected as i32);
    set(c"MAX_STRING", MAX_STRING as i32);
    set(c"MAX_FDS", MAX_FDS as i32);
    set(c"DEFAULT_MAX_PENDING_FDS", DEFAULT_MAX_PENDING as i32);
    js.set_named(target, c"layout", layout);
}

/// `attach(messages, settled, connections, event)`: the number of a loading; see [`Hooks`].
fn attach(call: &Call, env: &Environment) -> i32 {
    let hook = |index| Reference::new(call.js, call.arg(index));
    match [0, 1, 2, 3].map(hook) {
        [Some(messages), Some(settled), Some(connections), Some(event)] => {
            env.attach(Hooks { messages, settled, connections, event }) as i32
        }
        // What is made for a loading that is none reports nothing.
        _ => i32::MAX,
    }
}

/// For arguments 0 and 1, a loading and a kind; EINVAL.
fn with_kind<T: Answer>(call: &Call, body: impl FnOnce(&Call, usize, Kind) -> Result<T>) -> Value {
    let kind = call.int(1).and_then(|kind| Kind::from_js(kind).ok_or(Errno::INVAL));
    call.answer(call.size(0).and_then(|loading| body(call, loading, kind?)))
}

/// The socket, listener or watch that argument 0 is the number of.
fn socket(call: &Call, env: &Environment) -> Result<Socket> {
    env.socket(call.int(0)?).ok_or(Errno::BADF)
}

fn endpoint(call: &Call, env: &Environment) -> Result<Rc<Endpoint>> {
    match socket(call, env)? {
        Socket::Endpoint(endpoint) => Ok(endpoint),
        _ => Err(Errno::BADF),
    }
}

fn with_socket<T: Answer>(
    call: &Call,
    env: &Environment,
    body: impl FnOnce(&Call, &Socket) -> Result<T>,
) -> Value {
    call.answer(socket(call, env).and_then(|socket| body(call, &socket)))
}

fn with_endpoint<T: Answer>(
    call: &Call,
    env: &Environment,
    body: impl FnOnce(&Call, &Endpoint) -> Result<T>,
) -> Value {
    call.answer(endpoint(call, env).and_then(|endpoint| body(call, &endpoint)))
}

fn with_listener<T: Answer>(
    call: &Call,
    env: &Environment,
    body: impl FnOnce(&Call, &Listener) -> Result<T>,
) -> Value {
    with_socket(call, env, |call, socket| match socket {
        Socket::Listener(listener) => body(call, listener),
        _ => Err(Errno::BADF),
    })
}

fn with_inbox<T: Answer>(
    call: &Call,
    env: &Environment,
    body: impl FnOnce(&Call, &mut Inbox) -> Result<T>,
) -> Value {
    with_endpoint(call, env, |call, endpoint| body(call, &mut endpoint.receiver.inbox()))
}

/// Descriptors of a socket's inbox; none where it is closed.
fn taken(
    call: &Call,
    env: &Environment,
    take: impl FnOnce(&mut Inbox) -> Result<Vec<OwnedFd>>,
) -> Vec<OwnedFd> {
    let endpoint = endpoint(call, env);
    let fds = endpoint.and_then(|endpoint| take(&mut endpoint.receiver.inbox()));
    let fds = fds.unwrap_or_default();
    env.note_given(&fds);
    fds
}

fn of_descriptor<T: Answer>(
    call: &Call,
    env: &Environment,
    ask: impl FnOnce(BorrowedFd<'_>) -> Result<T>,
) -> Value {
    with_socket(call, env, |_, socket| socket.source().handle().with_fd(ask))
}

/// What this system says of a peer; ENOPROTOOPT where it says nothing.
fn known<T>(found: Result<Option<T>>) -> Result<T> {
    found?.ok_or(Errno::NOPROTOOPT)
}

/// Argument 1 as a name; empty where it is undefined.
fn name(call: &Call) -> Result<Vec<u8>> {
    if call.js.is_undefined(call.arg(1)) { Ok(Vec::new()) } else { Ok(call.bytes(1)?.to_vec()) }
}

/// `configure(id, receiveFds, credentials, maxPendingFds, receiveBufferSize, sendBufferSize,
/// pidfd)`: a negative size leaves what the system has.
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

/// `bind(id, name, mode, uid, gid, unlink)`, and `listen(id, name, backlog, mode, uid, gid,
/// unlink)`: a negative mode, user or group is left as it is; without `unlink` the file stays at
/// close.
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

/// `connect(id[, name])`: the tickets of messages that have lost their way, of a datagram socket.
fn connect(call: &Call, endpoint: &Endpoint) -> Result<Value> {
    let lost = match call.passed() {
        1 => endpoint.connect(None),
        _ => endpoint.connect(Some(&name(call)?)),
    }?;
    Ok(if endpoint.kind == Kind::Datagram { call.answer(lost) } else { call.answer(()) })
}

/// `write(id, buffer[, fds])`: 0, 1 if it waits, or an errno.
fn write(call: &mut Call, env: &Environment) -> Result<bool> {
    // Before the bytes: an array's getters may move them.
    let fds = call.ints(2)?;
    let piece = Piece { buffer: call.arg(1), bytes: call.bytes(1)? };
    endpoint(call, env)?.write(|stream, fd| stream.send(call.js, fd, piece, &fds))
}

/// The longest string, in bytes, that [`write_string`] takes.
const MAX_STRING: usize = 16 << 10;

/// `writeString(id, string, latin1)`: how many bytes were sent, 0 if they wait, or an errno.
///
/// For short strings: it spares the Buffer.
fn write_string(call: &Call, env: &Environment) -> Result<usize> {
    let endpoint = endpoint(call, env)?;
    let latin1 = call.int(2)? != 0;
    let mut bytes = env.scratch.borrow_mut();
    // One more for the NUL.
    bytes.resize(MAX_STRING + 1, 0);
    let len = call.js.read_string(call.arg(1), &mut bytes, latin1).ok_or(Errno::INVAL)?;
    let waits = endpoint.write(|stream, fd| stream.send_copy(fd, &bytes[..len]))?;
    Ok(if waits { 0 } else { len })
}

/// `writeMany(id, buffers[, counts])`: 0, 1 if it waits, or an errno. `counts[i]` of the queued
/// descriptors go with `buffers[i]`.
fn write_many(call: &mut Call, env: &Environment) -> Result<bool> {
    // Before the bytes: an array's getters may move them.
    let counts: Vec<usize> = call.ints(2)?.into_iter().map(|count| count.max(0) as usize).collect();
    let buffers = call.elements(1)?;
    let endpoint = endpoint(call, env)?;
    let pieces =
        buffers.into_iter().map(|buffer| Ok(Piece { buffer, bytes: call.bytes_of(buffer)? }));
    let pieces = pieces.collect::<Result<Vec<_>>>()?;
    endpoint.write(|stream, fd| stream.send_many(call.js, fd, &pieces, &counts))
}

/// `send(id, buffer[, destination[, offset, length[, fds]]])`: 0, a ticket or an errno. To the peer
/// where no destination is named, and all of the buffer where no part is. `trySend`, with the same
/// arguments: 0 or an errno; nothing waits: EAGAIN where there is no room, or where others wait for
/// the same destination.
fn with_offer<T: Answer>(
    call: &mut Call,
    env: &Environment,
    body: impl FnOnce(&Endpoint, usize, &Offer<'_>) -> Result<T>,
) -> Value {
    // Before the bytes: an array's getters may move them.
    let fds = call.ints(5);
    with_endpoint(call, env, |call, endpoint| {
        let (whole, fds) = (call.bytes(1)?, fds?);
        let to = if call.passed() > 2 { call.size(2)? } else { PEER };
        let (offset, length) =
            if call.passed() > 3 { (call.size(3)?, call.size(4)?) } else { (0, whole.len()) };
        let bytes = whole.part(offset, length).ok_or(Errno::INVAL)?;
        body(endpoint, to, &Offer { buffer: call.arg(1), offset, bytes, fds: &fds })
    })
}

/// `watchProcess(loading, pidfd)`: the number of a watch, which reports the end of the process. The
/// descriptor stays the caller's.
fn watch_process(call: &Call, env: &Rc<Environment>) -> Result<i32> {
    let pidfd = descriptor::borrow(call.int(1)?).and_then(descriptor::duplicate)?;
    Watch::create(env, call.size(0)?, pidfd)
}
