//! Owns: the engine of every socket: its life and end, and what it waits for. How it receives and
//! sends is in the two files of endpoint/.
//!
//! A socket kind is a [`Kind`] here and nothing more. The rule of the file: no `RefCell` borrow is
//! alive while JavaScript runs, and whatever was read before is read again afterwards.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};

use socket2::SockRef;

use crate::engine::env::Environment;
use crate::engine::handle::{Core, Event, Kind, Watched};
use crate::engine::receive::inbox::{Guess, Inbox};
use crate::engine::send::message_queue::{Outbox, PEER};
use crate::engine::send::stream_queue::Flow;
use crate::engine::sockets::Socket;
use crate::node::js::Reference;
use crate::node::uv::{READABLE, WRITABLE};
use crate::sys::ancillary::Credentials;
use crate::sys::errno::{Errno, Result};
use crate::sys::socket;
use crate::sys::unix_addr::UnixAddr;

mod receiving;
mod sending;

/// What a socket is configured with.
#[derive(Clone, Copy)]
pub struct Options {
    /// Descriptors are received.
    pub fds: bool,
    /// The sender's credentials are received.
    pub credentials: bool,
    /// So many descriptors may wait to be taken.
    pub max_pending: usize,
    /// SO_RCVBUF in bytes; None leaves it.
    pub receive_buffer: Option<usize>,
    /// SO_SNDBUF in bytes; None leaves it.
    pub send_buffer: Option<usize>,
}

/// One socket.
pub struct Endpoint {
    core: Core,
    kind: Kind,
    me: Weak<Endpoint>,
    reading: Cell<bool>,
    inbox: RefCell<Inbox>,
    outbox: RefCell<Outbox>,
    /// A stream's, once it sends.
    flow: RefCell<Option<Box<Flow>>>,
    /// Lanes wait for this socket's own descriptor to become writable.
    waits_for_self: Cell<bool>,
    /// The lane that was tried last when all of them were.
    turn: Cell<usize>,
    /// JavaScript wants to be told once there is room to send to the peer.
    wants_room: Cell<bool>,
    /// Messages only wait: the connection is not made yet.
    holding: Cell<bool>,
    /// An error that came before the peer's last messages, and is told after them.
    failure: Cell<Option<Errno>>,
    guess: Cell<Guess>,
    /// How many of a stream's bytes are expected at once; 0: few.
    chunk: Cell<usize>,
    /// In the pump, which is followed by [`Self::rearm`].
    pumping: Cell<bool>,
}

impl Endpoint {
    /// A socket without a descriptor yet.
    fn new(env: &Rc<Environment>, id: i32, loading: usize, kind: Kind) -> Rc<Endpoint> {
        Rc::new_cyclic(|me: &Weak<Endpoint>| Endpoint {
            core: Core::new(env, id, loading, me),
            kind,
            me: me.clone(),
            reading: Cell::new(false),
            inbox: RefCell::new(Inbox::new(kind == Kind::Stream)),
            outbox: RefCell::new(Outbox::new()),
            flow: RefCell::new(None),
            waits_for_self: Cell::new(false),
            turn: Cell::new(PEER),
            wants_room: Cell::new(false),
            holding: Cell::new(false),
            failure: Cell::new(None),
            guess: Cell::new(Guess::default()),
            chunk: Cell::new(0),
            pumping: Cell::new(false),
        })
    }

    /// A socket of a new descriptor: its number.
    pub fn open(
        env: &Rc<Environment>,
        loading: usize,
        kind: Kind,
        fd: OwnedFd,
        options: Option<Options>,
    ) -> Result<i32> {
        Endpoint::enter(env, loading, kind, |endpoint| {
            endpoint.prepare(fd.as_fd())?;
            endpoint.core.install(fd);
            options.map_or(Ok(()), |options| endpoint.configure(options))
        })
    }

    /// A new socket: its number.
    pub fn create(env: &Rc<Environment>, loading: usize, kind: Kind) -> Result<i32> {
        Endpoint::open(env, loading, kind, socket::create(kind.socket_type())?, None)
    }

    /// Two connected sockets.
    pub fn create_pair(env: &Rc<Environment>, loading: usize, kind: Kind) -> Result<[i32; 2]> {
        let (left, right) = socket::pair(kind.socket_type())?;
        let left = Endpoint::open(env, loading, kind, left, None)?;
        match Endpoint::open(env, loading, kind, right, None) {
            Ok(right) => Ok([left, right]),
            Err(errno) => env.close(left).and(Err(errno)),
        }
    }

    /// Takes over a descriptor that somebody else opened; EINVAL if it listens. On Err it is still
    /// the caller's.
    pub fn adopt(env: &Rc<Environment>, loading: usize, kind: Kind, fd: RawFd) -> Result<i32> {
        Endpoint::enter(env, loading, kind, |endpoint| {
            endpoint.core.adopt(fd, kind.socket_type(), |fd| {
                // Elsewhere than on Linux nothing says it of one that has no peer.
                let may_listen = kind.has_end() && cfg!(target_os = "linux");
                if may_listen && socket::is_listening(fd) {
                    return Err(Errno::INVAL);
                }
                endpoint.prepare(fd)
            })
        })
    }

    fn enter(
        env: &Rc<Environment>,
        loading: usize,
        kind: Kind,
        open: impl FnOnce(&Endpoint) -> Result<()>,
    ) -> Result<i32> {
        let mut made = None;
        let id = env.enter(|id| {
            Socket::Endpoint(made.insert(Endpoint::new(env, id, loading, kind)).clone())
        })?;
        let endpoint = made.ok_or(Errno::NOMEM)?;
        if let Err(errno) = open(&endpoint) {
            let _ = env.close(id);
            return Err(errno);
        }
        endpoint.core.start();
        Ok(id)
    }

    fn prepare(&self, fd: BorrowedFd<'_>) -> Result<()> {
        // Tells an empty message from the end: see Message::is_end.
        if self.kind == Kind::Seqpacket { socket::stamp_messages(fd) } else { Ok(()) }
    }

    fn with_fd<T>(&self, body: impl FnOnce(BorrowedFd<'_>) -> Result<T>) -> Result<T> {
        self.core.with_fd(body)
    }

    /// What kind of socket it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Connects. What waits for the peer before still goes there.
    pub fn connect(&self, to: &UnixAddr) -> Result<Vec<u32>> {
        self.change_peer(|fd| socket::connect(fd, to))
    }

    /// Dissolves a datagram connection. What waits for the peer still goes there.
    pub fn disconnect(&self) -> Result<Vec<u32>> {
        self.change_peer(socket::disconnect)
    }

    /// Returns the tickets of messages that lost their way, because the old peer has no name.
    fn change_peer(&self, change: impl FnOnce(BorrowedFd<'_>) -> Result<()>) -> Result<Vec<u32>> {
        let old = self.peer_address();
        self.with_fd(change)?;
        let Ok(old) = old else { return Ok(Vec::new()) };
        let lost = self.outbox.borrow_mut().readdress_peer(&old);
        self.waits_for_self.set(false);
        // The retry finds out what each lane has to wait for now.
        if self.outbox.borrow().waiting() > 0 {
            self.core.retry_later();
        }
        // The peer has changed: an error here would lose the tickets.
        self.rearm_or_retry();
        Ok(lost)
    }

    /// Gives the descriptor up: it, and what was received with it and not taken. EBUSY while sends
    /// wait.
    pub fn detach(&self) -> Result<Vec<OwnedFd>> {
        if self.is_waiting() {
            return Err(Errno::BUSY);
        }
        let mut fds = vec![self.core.release()?];
        fds.extend(self.inbox.borrow_mut().take_all_fds());
        Ok(fds)
    }

    fn is_waiting(&self) -> bool {
        let flows = self.flow.borrow().as_ref().is_some_and(|flow| flow.is_waiting());
        flows || self.outbox.borrow().waiting() > 0
    }

    /// Bytes of a stream that wait.
    pub fn queued_bytes(&self) -> usize {
        self.flow.borrow().as_ref().map_or(0, |flow| flow.len())
    }

    /// The peer's name.
    pub fn peer_address(&self) -> Result<UnixAddr> {
        self.with_fd(socket::peer_address)
    }

    /// Who the peer is.
    pub fn peer_credentials(&self) -> Result<Credentials> {
        self.with_fd(socket::peer_credentials)
    }

    /// SO_RCVBUF or SO_SNDBUF; sets it first where `size` is given.
    pub fn buffer_size(&self, receive: bool, size: Option<usize>) -> Result<usize> {
        self.with_fd(|fd| {
            let socket = SockRef::from(&fd);
            match (receive, size) {
                (true, Some(size)) => socket.set_recv_buffer_size(size)?,
                (false, Some(size)) => socket.set_send_buffer_size(size)?,
                _ => {}
            }
            let size = if receive { socket.recv_buffer_size() } else { socket.send_buffer_size() };
            Ok(size?)
        })
    }

    /// Applies options.
    pub fn configure(&self, options: Options) -> Result<()> {
        if options.credentials {
            self.with_fd(socket::pass_credentials)?;
        }
        if options.receive_buffer.is_some() {
            self.buffer_size(true, options.receive_buffer)?;
        }
        if options.send_buffer.is_some() {
            self.buffer_size(false, options.send_buffer)?;
        }
        let mut inbox = self.inbox.borrow_mut();
        (inbox.fds, inbox.credentials) = (options.fds, options.credentials);
        inbox.max_pending = options.max_pending;
        Ok(())
    }

    /// Starts or stops taking messages.
    pub fn set_reading(&self, reading: bool) -> Result<()> {
        self.with_fd(|_| Ok(()))?;
        self.reading.set(reading);
        // A reader that pauses and goes on within one batch costs no system call.
        if self.pumping.get() { Ok(()) } else { self.rearm() }
    }

    /// While corked, whatever is sent waits. Afterwards it goes, in order.
    pub fn set_corked(&self, holding: bool) -> Result<()> {
        if self.holding.replace(holding) && !holding {
            self.flush(PEER);
        }
        self.rearm()
    }

    /// Sends no more: the peer sees the end once it has read what was sent.
    pub fn shut_down_sending(&self) -> Result<()> {
        self.with_fd(socket::shut_down_sending)
    }

    /// Whether the open socket keeps the process alive.
    pub fn set_ref(&self, keeps_alive: bool) {
        self.core.set_ref(keeps_alive);
        for watch in self.outbox.borrow().watches() {
            watch.poll.set_ref(keeps_alive);
        }
    }

    /// Received descriptors, which are JavaScript's to close from here on.
    pub fn take_fds(&self, token: u32) -> Vec<OwnedFd> {
        self.inbox.borrow_mut().take_fds(token)
    }

    /// A stream's next `count` descriptors, as above.
    pub fn take_next_fds(&self, count: usize) -> Vec<OwnedFd> {
        self.inbox.borrow_mut().take_next_fds(count)
    }

    /// Takes a stream's descriptors back. On Err they are the caller's.
    pub fn put_back_fds(&self, fds: &[RawFd]) -> Result<()> {
        if fds.iter().any(|fd| self.core.env.owns(*fd)) {
            return Err(Errno::EXIST);
        }
        let owned = socket::claim(fds)?;
        self.inbox.borrow_mut().put_back_fds(owned).map_err(|(errno, owned)| {
            for fd in owned {
                let _ = fd.into_raw_fd();
            }
            errno
        })
    }

    /// Receives a stream's bytes into this memory of the user's from now on, if there is any.
    pub fn set_target(&self, target: Option<Reference>) {
        self.inbox.borrow_mut().target = target;
    }

    /// The lane in which messages to `to` wait.
    pub fn destination(&self, to: UnixAddr) -> usize {
        self.outbox.borrow_mut().lane_of(to)
    }

    /// Forgets idle lanes.
    pub fn sweep_destinations(&self) {
        self.outbox.borrow_mut().sweep();
    }

    /// Arms what is waited for and disarms the rest.
    fn rearm(&self) -> Result<()> {
        if !self.is_waiting() {
            self.waits_for_self.set(false);
            self.core.stop_retrying();
        }
        let mut mask = 0;
        if self.reading.get() {
            mask |= READABLE;
        }
        if self.waits_for_self.get() || self.wants_room.get() {
            mask |= WRITABLE;
        }
        self.core.arm(mask)
    }

    fn rearm_or_tell(&self) {
        if let Err(errno) = self.rearm() {
            self.core.tell(Event::Error, errno.to_js());
        }
    }

    /// For what was accepted to be sent later: where it cannot be watched for room, time has to do.
    fn rearm_or_retry(&self) {
        if self.rearm().is_err() {
            self.core.retry_later();
        }
    }
}

impl Watched for Endpoint {
    fn core(&self) -> &Core {
        &self.core
    }

    fn on_ready(&self, event: Result<i32>) {
        let events = event.unwrap_or(READABLE | WRITABLE);
        if event.is_err()
            && let Ok(Some(errno)) = self.with_fd(|fd| Ok(socket::take_error(fd)))
        {
            self.failure.set(Some(errno));
        }
        if events & READABLE != 0 {
            self.pump();
        }
        if events & WRITABLE != 0 && self.waits_for_self.replace(false) {
            self.flush_all();
        }
        if events & WRITABLE != 0 && self.wants_room.replace(false) {
            self.core.tell(Event::Writable, 0);
        }
        self.rearm_or_tell();
    }

    fn on_retry(&self) {
        self.flush_all();
        self.rearm_or_retry();
    }

    fn close(&self) {
        self.reading.set(false);
        self.waits_for_self.set(false);
        self.wants_room.set(false);
        // Watches go before the descriptor they serve.
        drop(self.outbox.replace(Outbox::new()));
        drop(self.flow.take());
        drop(self.inbox.take());
        self.core.close();
    }
}
