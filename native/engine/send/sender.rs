//! Owns: how a socket sends, what it waits for in order to go on, and what it reports then.

use std::cell::{Cell, RefCell, RefMut};
use std::os::fd::{BorrowedFd, RawFd};

use crate::engine::batch::{Buffers, call_for_items};
use crate::engine::handle::{Callee, Event, Handle, Kind, MAX_SEND_PAUSE};
use crate::engine::in_vain::{self, InVain};
use crate::engine::send::message_queue::{Flushed, MessageQueue, Offer, PEER, Settled};
use crate::engine::send::stream_queue::{Progress, StreamQueue};
use crate::node::uv::WRITABLE;
use crate::sys::errno::{Errno, Result};
use crate::sys::name::Name;
use crate::sys::socket;
use crate::sys::unix_addr::UnixAddr;

/// What waits, chosen once by the socket's kind.
enum Queue {
    Messages(MessageQueue),
    Stream(StreamQueue),
}

/// How an attempt to send what waits for a destination ended.
struct Attempt {
    /// Something went, or failed for good.
    moved: bool,
    /// There is no use in trying another destination.
    is_full: bool,
}

/// The sending side of a socket. One that never had to wait has no memory of its own beyond this.
pub struct Sender {
    kind: Kind,
    /// Made on first use.
    queue: RefCell<Option<Box<Queue>>>,
    /// Something waits for this socket's own descriptor to become writable.
    waits_for_self: Cell<bool>,
    /// Wake-ups by the socket's own descriptor.
    in_vain: InVain,
    /// JavaScript wants to hear once there is room to send to the peer.
    notifies: Cell<bool>,
    /// Messages only wait.
    is_corked: Cell<bool>,
}

impl Sender {
    /// Of a socket that has not sent yet.
    pub fn new(kind: Kind) -> Sender {
        Sender {
            kind,
            queue: RefCell::new(None),
            waits_for_self: Cell::new(false),
            in_vain: InVain::default(),
            notifies: Cell::new(false),
            is_corked: Cell::new(false),
        }
    }

    /// What to wait for.
    pub fn wants(&self) -> i32 {
        let is_waiting = self.waits_for_self.get() && self.is_waiting();
        if is_waiting || self.notifies.get() { WRITABLE } else { 0 }
    }

    /// Whether something waits to be sent.
    pub fn is_waiting(&self) -> bool {
        match self.queue.borrow().as_deref() {
            None => false,
            Some(Queue::Messages(messages)) => messages.waiting() > 0,
            Some(Queue::Stream(stream)) => stream.is_waiting(),
        }
    }

    /// Drops what waits.
    pub fn close(&self) {
        self.waits_for_self.set(false);
        self.notifies.set(false);
        // Dropped after the borrow.
        drop(self.queue.take());
    }

    /// Reports, once, when there is room to send to the peer, or the peer is gone.
    pub fn notify_writable(&self) {
        self.notifies.set(true);
    }

    /// The descriptor is writable.
    pub fn on_writable(&self, handle: &Handle) {
        if self.waits_for_self.replace(false) {
            if self.advance(handle) {
                self.in_vain.forget();
            } else if self.in_vain.add() && self.waits_for_self.replace(false) {
                handle.retry_later(in_vain::MAX_PAUSE);
            }
        }
        if self.notifies.replace(false) {
            handle.report(Event::Writable, 0);
        }
    }

    /// Sends what waits and is not watched by others, as far as there is room. False: none of it
    /// went.
    pub fn advance(&self, handle: &Handle) -> bool {
        match self.kind {
            Kind::Stream => self.advance_stream(handle),
            Kind::Datagram | Kind::Seqpacket => self.flush_all(handle),
        }
    }

    /// Whether waiting for room keeps the event loop alive.
    pub fn set_ref(&self, keeps_alive: bool) {
        if let Some(Queue::Messages(messages)) = self.queue.borrow().as_deref() {
            messages.set_ref(keeps_alive);
        }
    }

    fn report(&self, handle: &Handle, settled: &Settled) {
        if settled.is_empty() {
            return;
        }
        let Some(Callee { context, hooks }) = handle.callee() else { return };
        // In one call: between two, what the callbacks of the first left to the next tick would
        // overtake the rest.
        let count = settled.len();
        let Ok(ledger) = handle.env.take_ledger(count) else { return };
        for (index, (ticket, outcome)) in settled.iter().enumerate() {
            ledger.set(index, *ticket, outcome.map_or_else(Errno::to_js, |()| 0));
        }
        let function = hooks.settled.get();
        call_for_items(&context, function, handle.id, ledger.words(), count, &Buffers::None);
        handle.env.return_ledger(ledger);
    }
}

/// Messages.
impl Sender {
    /// The queue of messages; EINVAL for a stream.
    fn messages(&self) -> Result<RefMut<'_, MessageQueue>> {
        let mut queue = self.queue.borrow_mut();
        if queue.is_none() && self.kind != Kind::Stream {
            *queue = Some(Box::new(Queue::Messages(MessageQueue::new())));
        }
        RefMut::filter_map(queue, |queue| match queue.as_deref_mut() {
            Some(Queue::Messages(messages)) => Some(messages),
            _ => None,
        })
        .map_err(|_| Errno::INVAL)
    }

    /// The number of a destination.
    pub fn destination(&self, to: Name) -> Result<usize> {
        Ok(self.messages()?.destination(to))
    }

    /// Forgets destinations for which nothing waits.
    pub fn sweep(&self) -> Result<()> {
        self.messages()?.sweep();
        Ok(())
    }

    /// While corked, whatever is sent waits. Afterwards it goes, in order.
    pub fn set_corked(&self, handle: &Handle, is_corked: bool) {
        if self.is_corked.replace(is_corked) && !is_corked {
            self.flush(handle, PEER);
        }
    }

    /// The peer changes: what waits for `old` still goes there, and what was sent to `new` when that
    /// was the peer before goes ahead of what comes now. Returns the tickets of messages that have
    /// lost their way, because the old one has no name that can be trusted.
    pub fn change_peer(
        &self,
        handle: &Handle,
        old: Option<&UnixAddr>,
        new: Option<&UnixAddr>,
    ) -> Vec<u32> {
        let Ok(mut messages) = self.messages() else { return Vec::new() };
        let lost = old.map_or_else(Vec::new, |old| messages.readdress_peer(old));
        if let Some(new) = new {
            messages.recall_peer(new);
        }
        self.waits_for_self.set(false);
        // The retry finds out what each destination has to wait for now.
        if messages.waiting() > 0 {
            handle.retry_later(MAX_SEND_PAUSE);
        }
        lost
    }

    /// Sends now or, where there is no room, later. Returns 0 or the ticket under which the outcome
    /// will be reported. Err: nothing was and will be sent.
    pub fn send(&self, handle: &Handle, to: usize, offer: &Offer<'_>) -> Result<u32> {
        let js = handle.env.js;
        if self.is_corked.get() {
            handle.with_fd(|_| Ok(()))?;
            return self.messages()?.enqueue(js, to, offer);
        }
        let errno = match self.try_send(handle, to, offer) {
            Ok(()) => return Ok(0),
            Err(errno) if errno.means_later() => errno,
            Err(errno) => return Err(errno),
        };
        let mut messages = self.messages()?;
        let was_empty = messages.get(to)?.is_empty();
        if was_empty && to == PEER && self.kind == Kind::Datagram {
            // With a full send buffer the kernel does not come to look for a peer.
            handle.with_fd(socket::peer_address)?;
        }
        let ticket = messages.enqueue(js, to, offer)?;
        let is_doubtful = messages.get(to)?.grows_doubtful();
        drop(messages);
        if was_empty {
            self.wait_for_room(handle, to, errno, false);
        } else if is_doubtful {
            handle.retry_later(MAX_SEND_PAUSE);
        }
        Ok(ticket)
    }

    /// Sends now or not at all: EAGAIN where there is no room, or where others wait before it.
    pub fn try_send(&self, handle: &Handle, to: usize, offer: &Offer<'_>) -> Result<()> {
        handle.with_fd(|fd| {
            if to == PEER && self.kind != Kind::Stream && self.queue.borrow().is_none() {
                return offer.send(fd, None);
            }
            self.messages()?.try_send(fd, to, offer)
        })
    }

    /// Arranges to hear when a destination can go on. `in_vain`: the attempt that failed was made
    /// because its helper had said that there is room. Returns whether no other destination can go
    /// on either.
    fn wait_for_room(&self, handle: &Handle, to: usize, errno: Errno, in_vain: bool) -> bool {
        let Ok(mut messages) = self.messages() else { return false };
        // Asking costs two system calls, so ask only where it can be so: this socket's own send
        // buffer is full of messages that other destinations have not taken yet. It also spares the
        // descriptor of a helper socket that would not help.
        let is_suspect = in_vain
            || self.waits_for_self.get()
            || match to {
                PEER => messages.has_several(),
                _ => messages.get(to).is_ok_and(|destination| !destination.has_helper()),
            };
        let is_full =
            is_suspect && handle.with_fd(|fd| Ok(socket::send_buffer_is_full(fd))) == Ok(true);
        let is_own_fault = errno.has_no_event() || is_full;
        if to == PEER {
            // On a connected socket POLLOUT speaks of the peer's queue too.
            self.waits_for_self.set(!errno.has_no_event());
        } else if !is_own_fault && messages.watch(handle, to, in_vain).is_ok() {
            return false;
        } else {
            messages.disarm(to);
            if is_own_fault && errno == Errno::AGAIN {
                self.waits_for_self.set(true);
            }
        }
        if is_own_fault || to != PEER {
            // The kernel has no event for this: POLLOUT comes only once three quarters of the send
            // buffer are free, which a stalled receiver can hold for ever, and nothing says when
            // fewer descriptors are in flight or when a helper socket can be made.
            handle.retry_later(MAX_SEND_PAUSE);
        }
        is_full
    }

    /// A destination's helper socket says that there is room, or nobody any more.
    pub fn on_helper(&self, handle: &Handle, to: usize) {
        let Ok(mut messages) = self.messages() else { return };
        messages.confirm(to);
        drop(messages);
        let moved = self.flush(handle, to).moved;
        // Only now: JavaScript usually sent more in the meantime, and each change of the mask costs
        // two system calls.
        if let Ok(mut messages) = self.messages() {
            messages.rest(to);
            if messages.is_in_vain(to, moved) {
                messages.disarm(to);
                handle.retry_later(in_vain::MAX_PAUSE);
            }
        }
    }

    /// Tries every destination that waits for the socket itself, until its send buffer is full.
    /// False: nothing went.
    fn flush_all(&self, handle: &Handle) -> bool {
        let Ok(mut messages) = self.messages() else { return false };
        let unwatched = messages.unwatched();
        drop(messages);
        let mut has_moved = false;
        for to in unwatched {
            if let Ok(mut messages) = self.messages() {
                messages.set_turn(to);
            }
            let Attempt { moved, is_full } = self.flush(handle, to);
            has_moved |= moved;
            if is_full {
                break;
            }
        }
        has_moved
    }

    /// Sends what waits for one destination.
    fn flush(&self, handle: &Handle, to: usize) -> Attempt {
        let mut settled = Vec::new();
        let js = handle.env.js;
        let flushed = handle.with_fd(|fd| self.messages()?.flush(js, fd, to, &mut settled));
        let moved = !settled.is_empty();
        if moved {
            handle.forget_retries();
        }
        let mut is_full = false;
        match flushed {
            Ok(Flushed::Blocked(errno)) => {
                is_full = self.wait_for_room(handle, to, errno, !moved);
            }
            // The poll or the helper is level-triggered and stays armed.
            Ok(Flushed::More) if to == PEER => self.waits_for_self.set(true),
            Ok(Flushed::More) => {
                let watched = self.messages().and_then(|mut it| it.watch(handle, to, false));
                if watched.is_err() {
                    handle.retry_later(MAX_SEND_PAUSE);
                }
            }
            Ok(Flushed::Empty) | Err(_) => {}
        }
        self.report(handle, &settled);
        Attempt { moved, is_full }
    }
}

/// Bytes of a stream.
impl Sender {
    /// The queue of a stream; EINVAL for others.
    fn stream(&self) -> Result<RefMut<'_, StreamQueue>> {
        let mut queue = self.queue.borrow_mut();
        if queue.is_none() && self.kind == Kind::Stream {
            *queue = Some(Box::new(Queue::Stream(StreamQueue::default())));
        }
        RefMut::filter_map(queue, |queue| match queue.as_deref_mut() {
            Some(Queue::Stream(stream)) => Some(stream),
            _ => None,
        })
        .map_err(|_| Errno::INVAL)
    }

    /// Sends a stream's bytes now or, as far as there is no room, later: true, and the outcome will
    /// be reported. Err: nothing waits. EALREADY while another write waits.
    pub fn write(
        &self,
        handle: &Handle,
        attempt: impl FnOnce(&mut StreamQueue, BorrowedFd<'_>) -> Result<Option<Errno>>,
    ) -> Result<bool> {
        let blocked = handle.with_fd(|fd| {
            let mut stream = self.stream()?;
            if stream.is_waiting() { Err(Errno::ALREADY) } else { attempt(&mut stream, fd) }
        })?;
        if let Some(errno) = blocked {
            self.wait_to_go_on(handle, errno);
        }
        Ok(blocked.is_some())
    }

    fn wait_to_go_on(&self, handle: &Handle, errno: Errno) {
        if errno.has_no_event() {
            handle.retry_later(MAX_SEND_PAUSE);
        } else {
            self.waits_for_self.set(true);
        }
    }

    /// See [`StreamQueue::queue_fds`].
    pub fn queue_fds(&self, fds: &[RawFd]) -> Result<()> {
        self.stream()?.queue_fds(fds)
    }

    /// See [`StreamQueue::drop_queued_fds`].
    pub fn drop_queued_fds(&self) {
        if self.queue.borrow().is_some()
            && let Ok(mut stream) = self.stream()
        {
            stream.drop_queued_fds();
        }
    }

    /// Bytes of a stream that wait.
    pub fn queued_bytes(&self) -> usize {
        match self.queue.borrow().as_deref() {
            Some(Queue::Stream(stream)) => stream.len(),
            _ => 0,
        }
    }

    fn advance_stream(&self, handle: &Handle) -> bool {
        let js = handle.env.js;
        let progress = handle.with_fd(|fd| {
            let mut stream = self.stream()?;
            Ok(stream.is_waiting().then(|| stream.advance(js, fd)))
        });
        let outcome = match progress {
            Ok(Some(Progress::Blocked { errno, moved })) => {
                self.wait_to_go_on(handle, errno);
                return moved;
            }
            // The poll is level-triggered.
            Ok(Some(Progress::More)) => {
                self.waits_for_self.set(true);
                return true;
            }
            Ok(Some(Progress::Done)) => Ok(()),
            Ok(Some(Progress::Failed(errno))) => Err(errno),
            Ok(None) | Err(_) => return false,
        };
        handle.forget_retries();
        // There is only one write at a time: it needs no ticket.
        handle.report(Event::Written, outcome.map_or_else(Errno::to_js, |()| 0));
        true
    }
}
