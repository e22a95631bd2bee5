//! Owns: how an endpoint sends, and waits to send.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use socket2::Type;

use super::Endpoint;
use crate::engine::batch::call_for_items;
use crate::engine::handle::{Callee, Kind};
use crate::engine::send::message_queue::{Flushed, Lane, Offer, PEER, Watch};
use crate::engine::send::stream_queue::{Flow, Flowed, Piece};
use crate::node::uv::{Poll, WRITABLE};
use crate::sys::errno::{Errno, Result};
use crate::sys::socket;

/// Messages of one lane sent in one wake-up at most.
const SEND_BUDGET: usize = 256;

impl Endpoint {
    /// Sends now or, where there is no room, later. Returns 0 or the ticket under which the
    /// outcome will be told. Err: nothing was and will be sent.
    pub fn send(&self, lane: usize, offer: &Offer<'_>) -> Result<u32> {
        if self.holding.get() {
            return self.outbox.borrow_mut().enqueue(self.core.env.js, lane, offer);
        }
        match self.try_send(lane, offer) {
            Ok(()) => Ok(0),
            Err(errno) if errno.means_later() => {
                let mut outbox = self.outbox.borrow_mut();
                let was_empty = outbox.lane(lane).is_some_and(|lane| lane.is_empty());
                let ticket = outbox.enqueue(self.core.env.js, lane, offer)?;
                let is_doubtful = outbox.lane(lane).is_some_and(Lane::grows_doubtful);
                drop(outbox);
                if was_empty {
                    self.wait_for_room(lane, errno, false);
                    self.rearm_or_retry();
                } else if is_doubtful {
                    self.core.retry_later();
                }
                Ok(ticket)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Sends now or not at all: EAGAIN where there is no room, or where others wait before it.
    pub fn try_send(&self, lane: usize, offer: &Offer<'_>) -> Result<()> {
        self.with_fd(|fd| {
            let mut outbox = self.outbox.borrow_mut();
            outbox.lane(lane).ok_or(Errno::INVAL)?.try_send(fd, offer)
        })
    }

    /// Tells JavaScript, once, when there is room to send to the peer, or the peer is gone.
    pub fn notify_writable(&self) -> Result<()> {
        self.with_fd(|_| Ok(()))?;
        self.wants_room.set(true);
        self.rearm()
    }

    /// Arranges to be told when `lane` can go on. `in_vain`: the attempt that failed was made
    /// because the lane's watch had said that there is room. Returns whether no other lane can go on
    /// either.
    fn wait_for_room(&self, lane: usize, errno: Errno, in_vain: bool) -> bool {
        // Asking costs two system calls, so ask only where it can be so: this socket's own send
        // buffer is full of messages that other destinations have not taken yet. It also spares the
        // descriptor of a helper socket that would not help.
        let is_suspect = in_vain || self.waits_for_self.get() || {
            let mut outbox = self.outbox.borrow_mut();
            match lane {
                PEER => outbox.has_several_lanes(),
                _ => outbox.lane(lane).is_some_and(|lane| lane.watch.is_none()),
            }
        };
        let is_full =
            is_suspect && self.with_fd(|fd| Ok(socket::send_buffer_is_full(fd))) == Ok(true);
        let is_own_fault = errno == Errno::TOOMANYREFS || is_full;
        if lane == PEER {
            // On a connected socket POLLOUT speaks of the peer's queue too.
            self.waits_for_self.set(errno != Errno::TOOMANYREFS);
        } else if !is_own_fault && self.watch_destination(lane, in_vain).is_ok() {
            return false;
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
        is_full
    }

    /// Arms the helper socket that polls as writable once the lane's destination has room.
    fn watch_destination(&self, id: usize, in_vain: bool) -> Result<()> {
        let mut outbox = self.outbox.borrow_mut();
        let lane = outbox.lane(id).ok_or(Errno::INVAL)?;
        let to = lane.to().ok_or(Errno::NOTCONN)?;
        if let Some(watch) = lane.watch.as_ref().filter(|watch| in_vain || watch.is_stale()) {
            // It may be connected to a predecessor of the socket that has the name now. With a dead
            // one it is always writable; with a living one it tells of that one's room.
            socket::connect(watch.socket.as_fd(), to)?;
            watch.confirm();
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
            lane.watch = Some(Watch::new(poll, helper));
        }
        match &lane.watch {
            Some(watch) => watch.poll.arm(WRITABLE),
            None => Ok(()),
        }
    }

    /// A lane's helper socket says that the destination has room, or is gone.
    fn on_room(&self, lane: usize) {
        if let Some(watch) =
            self.outbox.borrow_mut().lane(lane).and_then(|lane| lane.watch.as_ref())
        {
            watch.confirm();
        }
        self.flush(lane);
        self.rearm_or_tell();
        let mut outbox = self.outbox.borrow_mut();
        // Only now: JavaScript usually sent more in the meantime, and each change of the mask
        // costs two system calls.
        if outbox.lane(lane).is_some_and(|lane| lane.is_empty()) {
            outbox.disarm(lane);
        }
    }

    /// Tries every lane that waits for the socket itself, until its send buffer is full. Each time
    /// another lane comes first.
    pub(super) fn flush_all(&self) {
        if self.kind == Kind::Stream {
            return self.flush_flow();
        }
        let mut unwatched = self.outbox.borrow().unwatched();
        let first = unwatched.partition_point(|lane| *lane <= self.turn.get());
        unwatched.rotate_left(first);
        for lane in unwatched {
            self.turn.set(lane);
            if self.flush(lane) {
                break;
            }
        }
    }

    /// Tries one lane. Returns whether there is no use in trying another.
    pub(super) fn flush(&self, id: usize) -> bool {
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
        let mut is_full = false;
        match flushed {
            Ok(Flushed::Blocked(errno)) => {
                is_full = self.wait_for_room(id, errno, settled.is_empty());
            }
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
        is_full
    }

    /// Sends a stream's bytes now or, as far as there is no room, later: true, and the outcome will
    /// be told. Up to 253 descriptors go with the first byte. Err: nothing was and will be sent.
    /// EALREADY while another write waits.
    pub fn write(&self, piece: Piece, fds: &[RawFd]) -> Result<bool> {
        let js = self.core.env.js;
        self.start_write(|flow, fd| flow.send(js, fd, piece, fds))
    }

    /// The same for bytes that are in no Buffer.
    pub fn write_copy(&self, bytes: &[u8]) -> Result<bool> {
        self.start_write(|flow, fd| flow.send_copy(fd, bytes))
    }

    /// The same for several pieces, and for each a number of the queued descriptors. On Err some bytes may have
    /// been sent.
    pub fn write_many(&self, pieces: &[Piece], counts: &[usize]) -> Result<bool> {
        let js = self.core.env.js;
        self.start_write(|flow, fd| flow.send_many(js, fd, pieces, counts))
    }

    fn start_write(
        &self,
        attempt: impl FnOnce(&mut Flow, BorrowedFd<'_>) -> Result<Option<Errno>>,
    ) -> Result<bool> {
        let blocked = self.with_fd(|fd| {
            let mut flow = self.flow.borrow_mut();
            let flow = flow.get_or_insert_default();
            if flow.is_waiting() { Err(Errno::ALREADY) } else { attempt(flow, fd) }
        })?;
        if let Some(errno) = blocked {
            self.wait_to_flow(errno);
            self.rearm_or_retry();
        }
        Ok(blocked.is_some())
    }

    fn wait_to_flow(&self, errno: Errno) {
        if errno == Errno::TOOMANYREFS {
            // Nothing tells when fewer descriptors are in flight.
            self.core.retry_later();
        } else {
            self.waits_for_self.set(true);
        }
    }

    /// Queues duplicates of descriptors whose bytes come later; see [`Flow::queue_fds`].
    pub fn queue_fds(&self, fds: &[RawFd]) -> Result<()> {
        self.with_fd(|_| self.flow.borrow_mut().get_or_insert_default().queue_fds(fds))
    }

    /// Closes queued ones, which will not be sent.
    pub fn drop_queued_fds(&self) {
        if let Some(flow) = self.flow.borrow_mut().as_mut() {
            flow.drop_queued_fds();
        }
    }

    fn flush_flow(&self) {
        let flowed = self.with_fd(|fd| {
            let mut flow = self.flow.borrow_mut();
            let waiting = flow.as_mut().filter(|flow| flow.is_waiting());
            Ok(waiting.map(|flow| flow.step_on(self.core.env.js, fd)))
        });
        let Ok(Some(flowed)) = flowed else { return };
        match flowed {
            Flowed::Blocked(errno) => self.wait_to_flow(errno),
            // The poll is level-triggered.
            Flowed::More => self.waits_for_self.set(true),
            Flowed::Done => self.tell_flowed(Ok(())),
            Flowed::Failed(errno) => self.tell_flowed(Err(errno)),
        }
    }

    fn tell_flowed(&self, outcome: Result<()>) {
        self.core.forget_retries();
        // There is only one write at a time: it needs no ticket.
        self.tell_settled(&[(0, outcome)]);
    }

    fn tell_settled(&self, settled: &[(u32, Result<()>)]) {
        if settled.is_empty() {
            return;
        }
        let Some(Callee { context, hooks }) = self.core.callee() else { return };
        // In one call: between two, what the callbacks of the first left to the next tick would
        // overtake the rest.
        let count = settled.len();
        let env = &self.core.env;
        let Ok(ledger) = env.take_ledger(count) else { return };
        for (index, (ticket, outcome)) in settled.iter().enumerate() {
            ledger.set(index, *ticket, outcome.map_or_else(Errno::to_js, |()| 0));
        }
        let (settled, nothing) = (hooks.settled.get(), env.js.undefined());
        call_for_items(&context, settled, self.core.id, ledger.words(), count, nothing);
        env.return_ledger(ledger);
    }
}
