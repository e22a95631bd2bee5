//! Owns: how a socket receives: whether it reads, the pump that takes what the kernel has, what one
//! call to the kernel becomes for JavaScript, and what is reported after the last message.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell, RefMut};
use std::os::fd::OwnedFd;

use crate::engine::batch::{Batch, Buffers, Entry, Placement, call_for_items, flag};
use crate::engine::handle::{Callee, Event, Handle, Kind};
use crate::engine::receive::chunk_memory::{ChunkMemory, Owner};
use crate::engine::receive::inbox::{DEFAULT_MAX_PENDING, Inbox, LastSender};
use crate::engine::receive::read_ahead::ReadAhead;
use crate::engine::receive::trouble::Trouble;
use crate::node::js::Reference;
use crate::node::uv::{DISCONNECT, READABLE};
use crate::sys::ancillary::Received;
use crate::sys::descriptor::close_passed;
use crate::sys::errno::{Errno, Result};
use crate::sys::message::RECEIVE_BATCH;
use crate::sys::{socket, stream};

/// Messages read in one wake-up at most, so that a flooding peer starves nobody.
const MESSAGE_BUDGET: usize = 128;
/// So many bytes count as one message more: a wake-up takes 2 MiB at most, as of a stream.
const BYTES_A_MESSAGE: usize = 16 << 10;
/// The same for chunks of a stream.
const CHUNK_BUDGET: usize = 32;
/// What is taken at once on demand while more can come, in wake-ups: 4 MiB.
const WAKE_UPS_NOW: usize = 2;
/// From so many bytes on, a stream's next bytes are expected to fill a chunk, and are received into
/// memory that JavaScript gets; fewer are copied out of memory that sockets share.
const BULK: usize = 16 << 10;

/// Why a socket looks for messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It is new: nothing is known of it, and it may well have ended already.
    First,
    /// The poll says that there is something.
    Woken {
        /// And that it is a message: the peer had not ended then.
        is_message: bool,
    },
    /// A pause after an error, or after wake-ups in vain, has passed.
    AfterPause,
}

/// How one call to the kernel ended.
struct Taken {
    /// Messages, or chunks of a stream.
    count: usize,
    /// What it takes of the wake-up's budget.
    cost: usize,
    /// The peer's end followed.
    ended: bool,
    /// The kernel may well have more.
    more: bool,
}

/// An error that came before the peer's last messages.
#[derive(Clone, Copy)]
struct Failure {
    errno: Errno,
    /// Something was received after it.
    delivered: bool,
}

/// The receiving side of a socket. An idle one has no memory of its own beyond this.
pub struct Receiver {
    kind: Kind,
    /// JavaScript wants what comes.
    is_reading: Cell<bool>,
    /// Nothing can come any more, and JavaScript knows.
    is_over: Cell<bool>,
    /// In the pump: whatever else is wanted then is armed after it.
    is_pumping: Cell<bool>,
    /// Something was taken that no poll had announced: what the next one says may be out of date.
    took_unasked: Cell<bool>,
    trouble: Trouble,
    failure: Cell<Option<Failure>>,
    read_ahead: Cell<ReadAhead>,
    /// A stream's next bytes are expected to fill a chunk.
    is_bulk: Cell<bool>,
    /// Descriptors are received.
    wants_fds: Cell<bool>,
    /// The sender's credentials are received.
    wants_credentials: Cell<bool>,
    /// The sender's pidfd is received.
    wants_pidfd: Cell<bool>,
    /// So many descriptors may wait to be taken.
    max_pending: Cell<usize>,
    inbox: RefCell<Option<Box<Inbox>>>,
    last_sender: RefCell<LastSender>,
    /// The user's own memory, to receive a stream's bytes into.
    target: RefCell<Option<Reference>>,
}

impl Receiver {
    /// Of a socket that does not read yet.
    pub fn new(kind: Kind) -> Receiver {
        Receiver {
            kind,
            is_reading: Cell::new(false),
            is_over: Cell::new(false),
            is_pumping: Cell::new(false),
            took_unasked: Cell::new(false),
            trouble: Trouble::default(),
            failure: Cell::new(None),
            read_ahead: Cell::new(ReadAhead::default()),
            is_bulk: Cell::new(false),
            wants_fds: Cell::new(kind == Kind::Stream),
            wants_credentials: Cell::new(false),
            wants_pidfd: Cell::new(false),
            max_pending: Cell::new(DEFAULT_MAX_PENDING),
            inbox: RefCell::new(None),
            last_sender: RefCell::new(LastSender::default()),
            target: RefCell::new(None),
        }
    }

    /// What is received apart from bytes; `max_pending` descriptors may wait to be taken.
    pub fn configure(&self, fds: bool, credentials: bool, pidfd: bool, max_pending: usize) {
        self.wants_fds.set(fds);
        self.wants_credentials.set(credentials);
        self.wants_pidfd.set(pidfd);
        self.max_pending.set(max_pending);
    }

    /// Starts or stops taking messages.
    pub fn set_reading(&self, is_reading: bool) {
        self.is_reading.set(is_reading);
    }

    /// Whether messages are taken.
    pub fn is_reading(&self) -> bool {
        self.is_reading.get()
    }

    /// Whether a look is due after a pause.
    pub fn is_resting(&self) -> bool {
        self.trouble.is_resting()
    }

    /// What to wait for.
    pub fn wants(&self) -> i32 {
        let is_due = self.is_looking() && !self.is_pumping.get() && !self.is_resting();
        // While there is no end, what can be read is a message: see Look.
        let end = if self.kind == Kind::Seqpacket { DISCONNECT } else { 0 };
        if is_due { READABLE | end } else { 0 }
    }

    fn is_looking(&self) -> bool {
        self.is_reading.get() && !self.is_over.get()
    }

    /// Closes what nobody took, and takes no more.
    pub fn close(&self) {
        self.is_reading.set(false);
        // Dropped after the borrow.
        drop(self.inbox.take());
        drop(self.target.take());
    }

    /// The kernel says that the connection failed. Reported once what came before has been read.
    pub fn fail(&self, errno: Errno) {
        if self.failure.get().is_none() {
            self.failure.set(Some(Failure { errno, delivered: false }));
        }
    }

    /// Receives a stream's bytes into this memory of the user's from now on, if there is any.
    pub fn set_target(&self, target: Option<Reference>) {
        drop(self.target.replace(target));
    }

    /// Descriptors that wait to be taken.
    pub fn inbox(&self) -> RefMut<'_, Inbox> {
        RefMut::map(self.inbox.borrow_mut(), |inbox| &mut **inbox.get_or_insert_default())
    }

    /// See [`Inbox::put_back`].
    pub fn put_back_fds(
        &self,
        fds: Vec<OwnedFd>,
    ) -> std::result::Result<(), (Errno, Vec<OwnedFd>)> {
        self.inbox().put_back(fds, self.max_pending.get())
    }

    /// Takes waiting messages, a batch at a time, and hands each batch to JavaScript.
    ///
    /// In a nested turn of the loop nothing is taken: it would overtake what the pump outside still
    /// has to hand over.
    pub fn pump(&self, handle: &Handle, why: Look) {
        if self.is_pumping.replace(true) {
            return;
        }
        self.take_what_waits(handle, why);
        self.is_pumping.set(false);
    }

    fn take_what_waits(&self, handle: &Handle, why: Look) {
        let is_first = why == Look::First;
        // Of the first call only: behind it may be the end.
        let mut is_message = !self.took_unasked.take() && why == Look::Woken { is_message: true };
        let mut ahead = self.read_ahead.get();
        let probing = ahead.begin_wakeup() || is_first;
        let mut limit = match ahead.bursts {
            true => RECEIVE_BATCH,
            // A batch is no good at the end, which the kernel repeats for each of its messages.
            false if is_first => 1,
            // Two are enough to find out.
            false => 1 + usize::from(probing),
        };
        let budget = if self.kind == Kind::Stream { CHUNK_BUDGET } else { MESSAGE_BUDGET };
        let (mut taken, mut largest, mut ended, mut missed) = (0, 0, false, false);
        while taken < budget && self.is_looking() && !ended {
            let received = self.receive(handle, limit, is_message);
            is_message = false;
            if taken > 0 {
                ahead.learn(received.is_ok());
            }
            let more = match received {
                Ok(received) => {
                    self.trouble.recover(handle);
                    ended = received.ended;
                    taken += received.cost;
                    largest = received.count.max(largest);
                    if largest > 1 {
                        limit = RECEIVE_BATCH;
                    }
                    received.more
                }
                Err(Errno::AGAIN) => {
                    missed = true;
                    break;
                }
                // Closed by a handler.
                Err(Errno::BADF) if handle.fd().is_err() => break,
                // The peer's last messages and its end are still to come.
                Err(errno) if self.kind.has_end() && self.failure.get().is_none() => {
                    self.fail(errno);
                    continue;
                }
                Err(errno) if self.trouble.complain(handle, errno) => continue,
                Err(_) => return,
            };
            // Nothing more waits, or hardly: the poll is level-triggered.
            let is_last = !more && !ahead.looks_again() && !probing;
            if is_last && self.failure.get().is_none() {
                break;
            }
        }
        if limit > 1 {
            ahead.bursts = largest > 1;
        }
        self.read_ahead.set(ahead);
        if ended || missed {
            self.finish(handle, ended);
        }
        if missed && taken == 0 {
            self.trouble.find_nothing(handle, matches!(why, Look::Woken { .. }));
            if self.kind == Kind::Datagram {
                self.end_if_shut_down(handle);
            }
        }
    }

    /// The pause after an error has passed.
    pub fn look_again(&self, handle: &Handle) {
        if self.trouble.wake() {
            self.pump(handle, Look::AfterPause);
        }
    }

    /// The kernel has no more messages: reports what follows the last one.
    fn finish(&self, handle: &Handle, ended: bool) {
        match self.failure.take() {
            // As libuv: all that came was read, so only what was sent may be missing.
            Some(Failure { delivered: true, .. }) | None if ended => self.end(handle),
            Some(Failure { errno, .. }) => {
                self.is_over.set(ended);
                handle.report(Event::Error, errno.to_js());
            }
            None => {}
        }
    }

    fn end(&self, handle: &Handle) {
        self.is_over.set(true);
        handle.report(Event::End, 0);
    }

    /// The socket was shut down for receiving, by whoever has it too: it is readable for ever, and
    /// has nothing.
    fn end_if_shut_down(&self, handle: &Handle) {
        if !self.is_over.get() && handle.with_fd(|fd| Ok(socket::is_shut_down(fd))) == Ok(true) {
            self.end(handle);
        }
    }

    /// Takes what the kernel has now, as far as JavaScript reads, without a word about the end or
    /// an error. False inside of the pump.
    pub fn receive_now(&self, handle: &Handle) -> bool {
        if self.is_pumping.replace(true) {
            return false;
        }
        self.took_unasked.set(true);
        let budget = if self.kind == Kind::Stream { CHUNK_BUDGET } else { MESSAGE_BUDGET };
        // All that waits, where no more can come; else a sender that floods would hold it up.
        let is_last = handle.with_fd(|fd| Ok(socket::is_shut_down(fd))) == Ok(true);
        let mut left = if is_last { usize::MAX } else { WAKE_UPS_NOW * budget };
        while left > 0 && self.is_looking() {
            match self.receive(handle, RECEIVE_BATCH, false) {
                Ok(taken) if !taken.ended => left = left.saturating_sub(taken.cost.max(1)),
                // What a seqpacket socket says before its last messages.
                Err(errno) if self.kind.has_end() && errno != Errno::AGAIN => {
                    if self.failure.get().is_some() {
                        break;
                    }
                    self.fail(errno);
                }
                _ => break,
            }
        }
        self.is_pumping.set(false);
        true
    }

    /// One call to the kernel. `is_message`: what a seqpacket socket has is a message, not the end.
    fn receive(&self, handle: &Handle, limit: usize, is_message: bool) -> Result<Taken> {
        let taken = match self.kind {
            Kind::Stream => self.receive_chunk(handle),
            Kind::Datagram | Kind::Seqpacket => self.receive_messages(handle, limit, is_message),
        }?;
        if let Some(failure) = self.failure.get()
            && taken.count > 0
        {
            self.failure.set(Some(Failure { delivered: true, ..failure }));
        }
        Ok(taken)
    }

    fn wants_control(&self) -> bool {
        self.wants_fds.get() || self.wants_credentials.get() || self.wants_pidfd.get()
    }

    /// Describes what came with a message or chunk, taking over its descriptors.
    fn describe(&self, len: usize, ancillary: Received, was_cut: bool, mut flags: u32) -> Entry {
        if self.wants_fds.get() && was_cut {
            flags |= flag::FDS_LOST;
        }
        let Received { fds, credentials, pidfd, .. } = ancillary;
        let mut token = 0;
        if fds.is_empty() {
            // As most messages.
        } else if !self.wants_fds.get() {
            close_passed(fds);
        } else {
            let is_stream = self.kind == Kind::Stream;
            let admitted = self.inbox().admit(fds, self.max_pending.get(), is_stream);
            flags |= admitted.0;
            token = admitted.1;
        }
        if let Some(pidfd) = pidfd.filter(|_| self.wants_pidfd.get()) {
            let admitted = self.inbox().admit_pidfd(pidfd, self.max_pending.get(), token);
            flags |= admitted.0;
            token = admitted.1;
        }
        let credentials = credentials.filter(|_| self.wants_credentials.get());
        Entry { len, flags, token, credentials, ..Entry::default() }
    }

    /// One batch of messages.
    fn receive_messages(&self, handle: &Handle, limit: usize, is_message: bool) -> Result<Taken> {
        let env = &handle.env;
        let mut batch = env.take_batch()?;
        let (control, names) = (self.wants_control(), !self.kind.has_end());
        // One message can bring 253 descriptors: let each be taken before the next comes.
        let limit = if self.wants_fds.get() { 1 } else { limit };
        let is_single = limit == 1 && !control && (is_message || names);
        let received = handle.with_fd(|fd| match is_single {
            true => batch.receiver.receive_one(fd, names),
            false => batch.receiver.receive(fd, limit, control, names),
        });
        let taken = received.map(|received| self.deliver_messages(handle, &mut batch, received));
        env.return_batch(batch);
        taken
    }

    fn deliver_messages(&self, handle: &Handle, batch: &mut Batch, received: usize) -> Taken {
        let env = &handle.env;
        let control = self.wants_control();
        let (mut count, mut bytes) = (received, 0);
        let (buffers, new_slabs) = {
            let mut slab = env.slab.borrow_mut();
            let mut placement = Placement::new(env.js, &mut slab);
            let mut last_sender = self.last_sender.borrow_mut();
            for index in 0..received {
                let message = batch.receiver.message(index);
                if self.kind.has_end() && message.is_end {
                    // The kernel repeats the end for as long as it is asked.
                    count = index;
                    break;
                }
                let len = message.bytes.len();
                bytes += len;
                let name = last_sender.note(message.from);
                let place = placement.place(message.bytes);
                let is_cut = message.truncated || place.is_none();
                let flags = if is_cut { flag::TRUNCATED } else { 0 };
                let was_cut = message.control_truncated;
                let mut entry = match control {
                    true => self.describe(len, message.ancillary, was_cut, flags),
                    false => Entry { len, flags, ..Entry::default() },
                };
                entry.place = place.unwrap_or_default();
                batch.push(index, &entry, name.as_ref());
            }
            placement.finish()
        };
        batch.set_new_slabs(new_slabs);
        batch.receiver.trim();
        hand_over(handle, batch, count, &buffers);
        let cost = count + bytes / BYTES_A_MESSAGE;
        Taken { count, cost, ended: count < received, more: count == RECEIVE_BATCH }
    }

    /// Some bytes of a stream.
    fn receive_chunk(&self, handle: &Handle) -> Result<Taken> {
        let mut batch = handle.env.take_batch()?;
        let taken = self.receive_chunk_with(handle, &mut batch);
        handle.env.return_batch(batch);
        taken
    }

    fn receive_chunk_with(&self, handle: &Handle, batch: &mut Batch) -> Result<Taken> {
        let env = &handle.env;
        let memory = ChunkMemory::choose(handle, batch, &self.target, self.is_bulk.get())?;
        let (start, len) = (memory.bytes.as_mut_ptr(), memory.bytes.len());
        let control = self.wants_control();
        // SAFETY: as many bytes, borrowed beyond the call.
        let received = handle.with_fd(|fd| unsafe { stream::receive(fd, start, len, control) });
        let chunk = match received {
            Ok(chunk) if chunk.len > 0 => chunk,
            nothing => {
                memory.keep(handle);
                return nothing.map(|_| Taken { count: 0, cost: 0, ended: true, more: false });
            }
        };
        self.is_bulk.set(chunk.len >= BULK);
        let more = chunk.len == len || !chunk.ancillary.fds.is_empty();
        let (place, mut flags, (buffers, new_slabs)) = {
            let mut slab = env.slab.borrow_mut();
            let mut placement = Placement::new(env.js, &mut slab);
            let (place, flags) = match memory.owner {
                Owner::User => (Some(Default::default()), flag::INTO),
                Owner::Buffer(buffer, _) if chunk.len == len => {
                    (Some(placement.hand_over(buffer)), flag::WHOLE)
                }
                Owner::Buffer(buffer, _) if chunk.len >= len / 2 => {
                    // What was there before is nobody's to see.
                    memory.bytes.clear(chunk.len);
                    (env.js.store_of(buffer).map(|store| placement.hand_over(store)), 0)
                }
                _ => {
                    // SAFETY: memory of ours, into which the kernel wrote so many bytes.
                    let bytes = unsafe { std::slice::from_raw_parts(start, chunk.len) };
                    let place = placement.place(bytes);
                    memory.keep(handle);
                    (place, 0)
                }
            };
            (place, flags, placement.finish())
        };
        if place.is_none() {
            flags |= flag::TRUNCATED;
        }
        let mut entry = self.describe(chunk.len, chunk.ancillary, chunk.control_truncated, flags);
        entry.place = place.unwrap_or_default();
        batch.push(0, &entry, None);
        batch.set_new_slabs(new_slabs);
        hand_over(handle, batch, 1, &buffers);
        Ok(Taken { count: 1, cost: 1, ended: false, more })
    }
}

/// Hands `count` items of a batch to JavaScript: nobody else uses its memory meanwhile.
fn hand_over(handle: &Handle, batch: &mut Batch, count: usize, buffers: &Buffers) {
    if count > 0
        && let Some(Callee { context, hooks }) = handle.callee()
    {
        let messages = hooks.messages.get();
        call_for_items(&context, messages, handle.id, batch.words(), count, buffers);
    }
}
