//! Owns: the engine of every socket: read pump, sending and waiting to send, life and end.
//! May import: everything but the classes that JavaScript sees (handles).
//!
//! A socket kind is a [`Kind`] here and nothing more. The rule of the file: no `RefCell` borrow is
//! alive while JavaScript runs, and whatever was read before is read again afterwards.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};

use socket2::{SockRef, Type};

use crate::addr::UnixAddr;
use crate::ancillary::Credentials;
use crate::batch::{Batch, Placement, call_for_items};
use crate::core::{Callee, Core, Event, Watched};
use crate::env::Environment;
use crate::errno::{Errno, Result};
use crate::inbox::{Guess, Inbox};
use crate::message::RECEIVE_BATCH;
use crate::outbox::{Flushed, Offer, Outbox, PEER, Watch, is_temporary};
use crate::socket;
use crate::uv::{Poll, READABLE, WRITABLE};

/// Messages read in one wake-up at most, so that a flooding peer starves nobody.
const READ_BUDGET: usize = 128;
/// Messages of one lane sent in one wake-up at most.
const SEND_BUDGET: usize = 256;

/// The socket's kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SOCK_DGRAM: messages, to and from anybody.
    Datagram,
    /// SOCK_SEQPACKET: messages, to and from one peer, with an end. Linux only.
    Seqpacket,
}

impl Kind {
    /// The kind JavaScript names by this number.
    pub fn from_js(kind: i32) -> Option<Kind> {
        match kind {
            libc::SOCK_DGRAM => Some(Kind::Datagram),
            libc::SOCK_SEQPACKET => Some(Kind::Seqpacket),
            _ => None,
        }
    }

    /// The type to make sockets of.
    pub fn socket_type(self) -> Type {
        match self {
            Kind::Datagram => Type::DGRAM,
            Kind::Seqpacket => Type::SEQPACKET,
        }
    }

    /// It has one peer, whose end is the socket's end.
    fn has_end(self) -> bool {
        self != Kind::Datagram
    }
}

/// How a batch ended.
struct Batched {
    count: usize,
    /// The peer's end followed.
    ended: bool,
}

/// One socket.
pub struct Endpoint {
    core: Core,
    kind: Kind,
    me: Weak<Endpoint>,
    reading: Cell<bool>,
    inbox: RefCell<Inbox>,
    outbox: RefCell<Outbox>,
    /// Lanes wait for this socket's own descriptor to become writable.
    waits_for_self: Cell<bool>,
    /// Messages only wait: the connection is not made yet.
    holding: Cell<bool>,
    /// An error that came before the peer's last messages, and is told after them.
    failure: Cell<Option<Errno>>,
    guess: Cell<Guess>,
}

impl Endpoint {
    /// A socket object without a descriptor yet.
    pub fn new(env: &Rc<Environment>, kind: Kind) -> Rc<Endpoint> {
        Rc::new_cyclic(|me: &Weak<Endpoint>| Endpoint {
            core: Core::new(env, me),
            kind,
            me: me.clone(),
            reading: Cell::new(false),
            inbox: RefCell::new(Inbox::default()),
            outbox: RefCell::new(Outbox::new()),
            waits_for_self: Cell::new(false),
            holding: Cell::new(false),
            failure: Cell::new(None),
            guess: Cell::new(Guess::default()),
        })
    }

    /// Makes the descriptor.
    pub fn create(&self) -> Result<()> {
        self.install(socket::create(self.kind.socket_type())?)
    }

    /// Makes the descriptors of two connected sockets.
    pub fn create_pair(&self, other: &Endpoint) -> Result<()> {
        let (left, right) = socket::pair(self.kind.socket_type())?;
        self.install(left)?;
        other.install(right)
    }

    /// Takes a new descriptor: a made one, or one that a listener accepted.
    pub fn install(&self, fd: OwnedFd) -> Result<()> {
        self.prepare(fd.as_fd())?;
        self.core.install(fd);
        Ok(())
    }

    /// Takes over a descriptor that somebody else opened. On Err it is still the caller's.
    pub fn adopt(&self, fd: RawFd) -> Result<()> {
        self.core.adopt(fd, self.kind.socket_type(), |fd| self.prepare(fd))
    }

    fn prepare(&self, fd: BorrowedFd<'_>) -> Result<()> {
        // Tells an empty message from the end: see Message::is_end.
        if self.kind == Kind::Seqpacket { socket::stamp_messages(fd) } else { Ok(()) }
    }

    fn with_fd<T>(&self, body: impl FnOnce(BorrowedFd<'_>) -> Result<T>) -> Result<T> {
        self.core.with_fd(body)
    }

    /// Binds; see [`socket::bind`].
    pub fn bind(&self, to: &UnixAddr, mode: Option<u32>) -> Result<()> {
        self.core.bind(to, self.kind.socket_type(), mode)
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
        self.rearm()?;
        Ok(lost)
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

    /// What to receive beside bytes. `max_pending` descriptors may wait to be taken.
    pub fn receive_beside(&self, fds: bool, credentials: bool, max_pending: usize) -> Result<()> {
        if credentials {
            self.with_fd(socket::pass_credentials)?;
        }
        let mut inbox = self.inbox.borrow_mut();
        (inbox.fds, inbox.credentials, inbox.max_pending) = (fds, credentials, max_pending);
        Ok(())
    }

    /// Starts or stops taking messages.
    pub fn set_reading(&self, reading: bool) -> Result<()> {
        self.with_fd(|_| Ok(()))?;
        self.reading.set(reading);
        self.rearm()
    }

    /// While holding, whatever is sent waits. Afterwards it goes, in order.
    pub fn set_holding(&self, holding: bool) -> Result<()> {
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

    /// The lane in which messages to `to` wait.
    pub fn lane_of(&self, to: UnixAddr) -> usize {
        self.outbox.borrow_mut().lane_of(to)
    }

    /// Forgets idle lanes.
    pub fn sweep_lanes(&self) {
        self.outbox.borrow_mut().sweep();
    }

    /// Sends now or, where there is no room, later. Returns 0 or the ticket under which the
    /// outcome will be told. Err: nothing was and will be sent.
    pub fn send(&self, lane: usize, offer: &Offer<'_>) -> Result<u32> {
        if self.holding.get() {
            return self.outbox.borrow_mut().enqueue(self.core.env.js, lane, offer);
        }
        let sent = self.with_fd(|fd| {
            match self.outbox.borrow_mut().lane(lane) {
                Some(lane) => lane.try_send(fd, offer).map_err(|errno| (errno, lane.is_empty())),
                None => Err((Errno::INVAL, false)),
            }
            .map_or_else(|failure| Ok(Some(failure)), |()| Ok(None))
        });
        match sent? {
            None => Ok(0),
            Some((errno, was_empty)) if is_temporary(errno) => {
                let ticket = self.outbox.borrow_mut().enqueue(self.core.env.js, lane, offer)?;
                if was_empty {
                    self.wait_for_room(lane, errno, false);
                    self.rearm()?;
                }
                Ok(ticket)
            }
            Some((errno, _)) => Err(errno),
        }
    }

    /// Arranges to be told when `lane` can go on. `in_vain`: the attempt that failed was made
    /// because the lane's watch had said that there is room.
    fn wait_for_room(&self, lane: usize, errno: Errno, in_vain: bool) {
        // Asking costs two system calls, so ask only where it can be so: this socket's own send
        // buffer is full of messages that other destinations have not taken yet.
        let is_suspect = in_vain
            || self.waits_for_self.get()
            || lane == PEER && self.outbox.borrow().has_several_lanes();
        let is_own_fault = errno == Errno::TOOMANYREFS
            || is_suspect && self.with_fd(|fd| Ok(socket::send_buffer_is_full(fd))) == Ok(true);
        if lane == PEER {
            // On a connected socket POLLOUT speaks of the peer's queue too.
            self.waits_for_self.set(errno != Errno::TOOMANYREFS);
        } else if !is_own_fault && self.watch_destination(lane, in_vain).is_ok() {
            return;
        } else {
            self.outbox.borrow_mut().disarm(lane);
            if is_own_fault && errno == Errno::AGAIN {
                self.waits_for_self.set(true);
            }
        }
        if is_own_fault || lane != PEER {
            // The kernel has no event for this: POLLOUT comes only once three quarters of the send
            // buffer are free, which a stalled receiver can hold for ever, and nothing tells when
            // fewer descriptors are in flight or when a helper socket can be made.
            self.core.retry_later();
        }
    }

    /// Arms the helper socket that polls as writable once the lane's destination has room.
    fn watch_destination(&self, id: usize, in_vain: bool) -> Result<()> {
        let mut outbox = self.outbox.borrow_mut();
        let lane = outbox.lane(id).ok_or(Errno::INVAL)?;
        let to = lane.to().ok_or(Errno::NOTCONN)?;
        if let Some(watch) = lane.watch.as_ref().filter(|_| in_vain) {
            // It may be connected to a dead predecessor of the socket that has the name now, and
            // such a helper is always writable.
            socket::connect(watch.socket.as_fd(), to)?;
        }
        if lane.watch.is_none() {
            let helper = socket::create(Type::DGRAM)?;
            socket::connect(helper.as_fd(), to)?;
            let me = self.me.clone();
            let poll = Poll::new(
                &self.core.env.event_loop,
                helper.as_raw_fd(),
                Box::new(move |_| {
                    if let Some(endpoint) = me.upgrade() {
                        endpoint.core.env.js.scope(|| endpoint.on_room(id));
                    }
                }),
            )?;
            poll.set_ref(self.core.keeps_alive());
            lane.watch = Some(Watch { poll, socket: helper });
        }
        match &lane.watch {
            Some(watch) => watch.poll.arm(WRITABLE),
            None => Ok(()),
        }
    }

    /// Arms what is waited for and disarms the rest; decides whether the object may be collected.
    fn rearm(&self) -> Result<()> {
        let waiting = self.outbox.borrow().waiting() > 0;
        if !waiting {
            self.waits_for_self.set(false);
            self.core.stop_retrying();
        }
        let mut mask = 0;
        if self.reading.get() {
            mask |= READABLE;
        }
        if self.waits_for_self.get() {
            mask |= WRITABLE;
        }
        self.core.hold(mask != 0 || waiting);
        self.core.arm(mask)
    }

    /// A lane's helper socket says that the destination has room, or is gone.
    fn on_room(&self, lane: usize) {
        self.flush(lane);
        self.rearm_or_tell();
        let mut outbox = self.outbox.borrow_mut();
        // Only now: JavaScript usually sent more in the meantime, and each change of the mask
        // costs two system calls.
        if outbox.lane(lane).is_some_and(|lane| lane.is_empty()) {
            outbox.disarm(lane);
        }
    }

    fn rearm_or_tell(&self) {
        if let Err(errno) = self.rearm() {
            self.core.tell(Event::Error, errno.to_js());
        }
    }

    /// Tries every lane that waits for the socket itself.
    fn flush_all(&self) {
        let unwatched = self.outbox.borrow().unwatched();
        for lane in unwatched {
            self.flush(lane);
        }
    }

    fn flush(&self, id: usize) {
        let mut settled = Vec::new();
        let flushed = self.with_fd(|fd| {
            let mut outbox = self.outbox.borrow_mut();
            let Some(lane) = outbox.lane(id) else {
                return Err(Errno::INVAL);
            };
            let note = |ticket, outcome| settled.push((ticket, outcome));
            let flushed = lane.flush(self.core.env.js, fd, SEND_BUDGET, note);
            outbox.settle(settled.len());
            Ok(flushed)
        });
        if !settled.is_empty() {
            self.core.forget_retries();
        }
        match flushed {
            Ok(Flushed::Blocked(errno)) => self.wait_for_room(id, errno, settled.is_empty()),
            // The poll or the helper is level-triggered and stays armed.
            Ok(Flushed::More) if id == PEER => self.waits_for_self.set(true),
            Ok(Flushed::More) => {
                if self.watch_destination(id, false).is_err() {
                    self.core.retry_later();
                }
            }
            Ok(Flushed::Empty) | Err(_) => {}
        }
        self.tell_settled(&settled);
    }

    fn tell_settled(&self, settled: &[(u32, Result<()>)]) {
        if settled.is_empty() {
            return;
        }
        let Some(Callee { context, object, hooks }) = self.core.callee() else { return };
        // In one call: between two, what the callbacks of the first left to the next tick would
        // overtake the rest.
        let count = settled.len();
        let env = &self.core.env;
        let Ok(ledger) = env.take_ledger(count) else { return };
        for (index, (ticket, outcome)) in settled.iter().enumerate() {
            ledger.set(index, *ticket, outcome.map_or_else(Errno::to_js, |()| 0));
        }
        let (settled, nothing) = (hooks.settled.get(), env.js.undefined());
        call_for_items(&context, object, settled, ledger.words(), count, nothing);
        env.return_ledger(ledger);
    }

    /// Takes waiting messages, a batch at a time, and hands each batch to JavaScript.
    ///
    /// Two guesses save system calls where traffic is regular: whether to ask for more than one
    /// message, and whether to look again before going back to the event loop, because the answer
    /// to what JavaScript sends is often there when it returns. Both are tested now and then.
    fn pump(&self) {
        let mut guess = self.guess.get();
        let probing = guess.wakes_up();
        let limit = if guess.bursts || probing { RECEIVE_BATCH } else { 1 };
        let (mut taken, mut largest, mut ended, mut missed) = (0, 0, false, false);
        while taken < READ_BUDGET && self.reading.get() && !ended {
            let received = self.receive(limit);
            if taken > 0 {
                guess.learn(received.is_ok());
            }
            let count = match received {
                Ok(received) => {
                    ended = received.ended;
                    received.count
                }
                Err(Errno::AGAIN | Errno::BADF) => {
                    missed = true;
                    break;
                }
                // The peer's last messages and its end are still to come.
                Err(errno) if self.kind.has_end() && self.failure.get().is_none() => {
                    self.failure.set(Some(errno));
                    continue;
                }
                Err(errno) => return self.core.tell(Event::Error, errno.to_js()),
            };
            taken += count;
            largest = count.max(largest);
            // Nothing more waits, or hardly: the poll is level-triggered.
            let is_last = count < RECEIVE_BATCH && !guess.looks_again() && !probing;
            if is_last && self.failure.get().is_none() {
                break;
            }
        }
        if limit > 1 {
            guess.bursts = largest > 1;
        }
        self.guess.set(guess);
        if ended || missed {
            self.tell_end(ended);
        }
    }

    /// The kernel has no more messages: what follows the last one is told.
    fn tell_end(&self, ended: bool) {
        if ended {
            self.reading.set(false);
        }
        if let Some(errno) = self.failure.take() {
            self.core.tell(Event::Error, errno.to_js());
        } else if ended {
            self.core.tell(Event::End, 0);
        }
    }

    /// A send showed that the connection is over. Told once what came before has been read.
    pub fn fail(&self, errno: Errno) -> Result<()> {
        if self.failure.get().is_none() {
            self.failure.set(Some(errno));
        }
        self.pump();
        self.rearm()
    }

    /// One batch.
    fn receive(&self, limit: usize) -> Result<Batched> {
        let mut batch = self.core.env.take_batch()?;
        let (control, fds) = {
            let inbox = self.inbox.borrow();
            (inbox.wants_control(), inbox.fds)
        };
        // One message can bring 253 descriptors: let each be taken before the next comes.
        let limit = if fds { 1 } else { limit };
        // Only a batch says whether nothing is an empty message or the end.
        let is_single = limit == 1 && !control && !self.kind.has_end();
        let received = self.with_fd(|fd| match is_single {
            true => batch.receiver.receive_one(fd),
            false => batch.receiver.receive(fd, limit, control, !self.kind.has_end()),
        });
        match received {
            Ok(count) => Ok(self.deliver(batch, count)),
            Err(errno) => {
                self.core.env.return_batch(batch);
                Err(errno)
            }
        }
    }

    fn deliver(&self, mut batch: Batch, received: usize) -> Batched {
        let env = &self.core.env;
        let mut count = received;
        let (buffers, new_slab) = {
            let mut slab = env.slab.borrow_mut();
            let mut placement = Placement::new(env.js, &mut slab);
            let mut inbox = self.inbox.borrow_mut();
            for index in 0..received {
                let message = batch.receiver.message(index);
                if self.kind.has_end() && message.is_end {
                    // The kernel repeats the end for as long as it is asked.
                    count = index;
                    break;
                }
                let place = placement.place(message.bytes);
                let (entry, name) = inbox.describe(message, place);
                batch.describe(index, &entry);
                if let Some(name) = name {
                    batch.set_name(index, &name);
                }
            }
            placement.finish()
        };
        batch.set_new_slab(new_slab);
        batch.receiver.trim();
        if count > 0
            && let Some(Callee { context, object, hooks }) = self.core.callee()
        {
            let messages = hooks.messages.get();
            call_for_items(&context, object, messages, batch.words(), count, buffers);
        }
        env.return_batch(batch);
        Batched { count, ended: count < received }
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
        self.rearm_or_tell();
    }

    fn on_retry(&self) {
        self.flush_all();
        self.rearm_or_tell();
    }

    fn close(&self) {
        self.reading.set(false);
        self.waits_for_self.set(false);
        // Watches go before the descriptor they serve.
        drop(self.outbox.replace(Outbox::new()));
        drop(self.inbox.take());
        self.core.close();
    }
}
