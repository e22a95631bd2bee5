//! Owns: messages that wait to be sent. One lane a destination, each in order, none behind another.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::engine::send::payload::Payload;
use crate::node::js::{Js, Value};
use crate::node::uv::Poll;
use crate::node::view::Bytes;
use crate::sys::ancillary::{Rights, duplicate};
use crate::sys::errno::{Errno, Result};
use crate::sys::message::{self, Outgoing, SEND_BATCH};
use crate::sys::unix_addr::UnixAddr;

/// For how long a watch is believed that its destination is full.
const PATIENCE: Duration = Duration::from_millis(100);
/// For how long after it was right a watch is believed to watch the right socket.
const TRUST: Duration = Duration::from_millis(50);

/// The lane of the connected peer.
pub const PEER: usize = 0;

struct Waiting {
    ticket: u32,
    payload: Payload,
    /// Duplicates: the sender may have closed his own.
    fds: Vec<OwnedFd>,
}

/// A message JavaScript offers, all of it borrowed.
pub struct Offer<'a> {
    /// The Buffer.
    pub buffer: Value,
    /// Where the message starts in it.
    pub offset: usize,
    /// The message's bytes in it.
    pub bytes: Bytes,
    /// Descriptors to pass.
    pub fds: &'a [RawFd],
}

/// How an attempt to send what waits in a lane ended.
pub enum Flushed {
    /// Nothing waits any more.
    Empty,
    /// More waits, and may be sent at once: the budget is used up.
    More,
    /// More waits for room.
    Blocked(Errno),
}

/// Watches, through a socket of its own that is connected to the destination, for room there.
///
/// An unconnected socket polls as writable while its destination is full. Field order matters:
/// the poll goes before the descriptor.
pub struct Watch {
    /// Armed for WRITABLE while the lane is blocked.
    pub poll: Poll,
    /// The helper socket.
    pub socket: OwnedFd,
    /// When it last spoke, or was connected.
    confirmed: Cell<Instant>,
}

impl Watch {
    /// Of a socket that was connected just now.
    pub fn new(poll: Poll, socket: OwnedFd) -> Watch {
        Watch { poll, socket, confirmed: Cell::new(Instant::now()) }
    }

    /// It spoke, or was connected anew.
    pub fn confirm(&self) {
        self.confirmed.set(Instant::now());
    }

    /// Whether it has been silent for so long that another socket may have the name by now.
    pub fn is_stale(&self) -> bool {
        self.confirmed.get().elapsed() >= TRUST
    }
}

/// The messages for one destination.
pub struct Lane {
    /// Where they go; None for the connected peer.
    to: Option<UnixAddr>,
    waiting: VecDeque<Waiting>,
    /// Set up when the destination was first full, kept while the lane is.
    pub watch: Option<Watch>,
    /// When it was last tried to send something.
    tried: Instant,
    /// To be tried although the watch says nothing, see [`Lane::grows_doubtful`].
    doubtful: bool,
}

impl Lane {
    fn new(to: Option<UnixAddr>) -> Lane {
        Lane { to, waiting: VecDeque::new(), watch: None, tried: Instant::now(), doubtful: false }
    }

    /// Where the lane leads; None for the connected peer.
    pub fn to(&self) -> Option<&UnixAddr> {
        self.to.as_ref()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether it is time to try without being told: the watch is connected to the socket that had
    /// the name, and says nothing if another has taken the name while that one lives on. True once
    /// until the lane is tried.
    pub fn grows_doubtful(&mut self) -> bool {
        let grows = !self.doubtful && self.watch.is_some() && self.tried.elapsed() >= PATIENCE;
        self.doubtful |= grows;
        grows
    }

    /// Sends now, if nothing waits before it.
    pub fn try_send(&self, fd: BorrowedFd<'_>, offer: &Offer<'_>) -> Result<()> {
        if !self.is_empty() {
            return Err(Errno::AGAIN);
        }
        let rights = if offer.fds.is_empty() { None } else { Some(Rights::new(offer.fds)?) };
        let message = Outgoing {
            bytes: offer.bytes.as_ptr(),
            len: offer.bytes.len(),
            to: self.to.as_ref(),
            rights: rights.as_ref(),
        };
        // SAFETY: Bytes are readable until JavaScript runs again, which it does not here.
        unsafe { message::send(fd, &message) }
    }

    /// Sends what waits, in order, until the destination is full or `budget` messages went.
    /// Calls `settled(ticket, outcome)` for each one that is done with.
    pub fn flush(
        &mut self,
        js: Js,
        fd: BorrowedFd<'_>,
        mut budget: usize,
        mut settled: impl FnMut(u32, Result<()>),
    ) -> Flushed {
        (self.tried, self.doubtful) = (Instant::now(), false);
        while !self.waiting.is_empty() {
            if budget == 0 {
                return Flushed::More;
            }
            match self.send_front(js, fd, budget.min(SEND_BATCH)) {
                Ok(count) => {
                    budget -= count;
                    for sent in self.waiting.drain(..count) {
                        settled(sent.ticket, Ok(()));
                    }
                }
                Err(errno) if errno.means_later() => return Flushed::Blocked(errno),
                Err(errno) => {
                    // The kernel dissolves the connection with a dead peer when it says so, so it
                    // says so once. All that waits was meant for that peer and no other.
                    let is_dead_peer = self.to.is_none() && errno == Errno::CONNREFUSED;
                    let failed = if is_dead_peer { self.waiting.len() } else { 1 };
                    budget = budget.saturating_sub(failed);
                    for lost in self.waiting.drain(..failed) {
                        settled(lost.ticket, Err(errno));
                    }
                }
            }
        }
        Flushed::Empty
    }

    /// Attempts the first `limit` waiting messages in one call. Err speaks of the first.
    fn send_front(&self, js: Js, fd: BorrowedFd<'_>, limit: usize) -> Result<usize> {
        let batch = self.waiting.iter().take(limit);
        let rights: Vec<Option<Rights>> = if batch.clone().all(|waiting| waiting.fds.is_empty()) {
            Vec::new()
        } else {
            batch.clone().map(Waiting::rights).collect::<Result<_>>()?
        };
        let mut messages = Vec::with_capacity(limit);
        for (index, waiting) in batch.enumerate() {
            let (bytes, len) = match waiting.payload.bytes(js) {
                Ok(found) => found,
                Err(errno) if index == 0 => return Err(errno),
                Err(_) => break,
            };
            let rights = rights.get(index).and_then(Option::as_ref);
            messages.push(Outgoing { bytes, len, to: self.to.as_ref(), rights });
        }
        // SAFETY: copies live in `self.waiting`; Buffers were asked for their memory just now, and
        // no JavaScript ran since.
        unsafe { message::send_many(fd, &messages) }
    }
}

impl Waiting {
    fn rights(&self) -> Result<Option<Rights>> {
        if self.fds.is_empty() {
            return Ok(None);
        }
        let raw: Vec<RawFd> = self.fds.iter().map(AsRawFd::as_raw_fd).collect();
        Rights::new(&raw).map(Some)
    }
}

/// All lanes of a socket, the connected peer's ([`PEER`]) first.
pub struct Outbox {
    lanes: Vec<Option<Lane>>,
    by_address: HashMap<UnixAddr, usize>,
    free: Vec<usize>,
    next_ticket: u32,
    waiting: usize,
}

impl Outbox {
    /// Without any lane: an idle socket costs no memory here.
    pub fn new() -> Outbox {
        Outbox {
            lanes: Vec::new(),
            by_address: HashMap::new(),
            free: Vec::new(),
            next_ticket: 0,
            waiting: 0,
        }
    }

    /// The lane of `to`, which is made if it is new.
    pub fn lane_of(&mut self, to: UnixAddr) -> usize {
        if let Some(id) = self.by_address.get(&to) {
            return *id;
        }
        self.lane(PEER);
        let lane = Some(Lane::new(Some(to)));
        let id = match self.free.pop() {
            Some(id) => {
                self.lanes[id] = lane;
                id
            }
            None => {
                self.lanes.push(lane);
                self.lanes.len() - 1
            }
        };
        self.by_address.insert(to, id);
        id
    }

    /// Forgets every lane in which nothing waits. The caller forgets the ids it holds.
    pub fn sweep(&mut self) {
        for (id, slot) in self.lanes.iter_mut().enumerate().skip(PEER + 1) {
            if let Some(lane) = slot.take_if(|lane| lane.is_empty()) {
                if let Some(to) = lane.to() {
                    self.by_address.remove(to);
                }
                self.free.push(id);
            }
        }
    }

    /// The lane, if there is one. The peer's is made when it is first asked for.
    pub fn lane(&mut self, id: usize) -> Option<&mut Lane> {
        if id == PEER && self.lanes.is_empty() {
            self.lanes.push(Some(Lane::new(None)));
        }
        self.lanes.get_mut(id)?.as_mut()
    }

    /// True if messages go elsewhere than to the connected peer.
    pub fn has_several_lanes(&self) -> bool {
        self.lanes.len() > 1
    }

    /// Stops watching a lane's destination.
    pub fn disarm(&mut self, id: usize) {
        if let Some(watch) = self.lane(id).and_then(|lane| lane.watch.as_ref()) {
            // Stopping a poll cannot fail.
            let _ = watch.poll.arm(0);
        }
    }

    /// Messages that wait, in all lanes.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// `count` messages were settled.
    pub fn settle(&mut self, count: usize) {
        self.waiting -= count;
    }

    /// Ids of the lanes in which something waits, except those whose watch is trusted to tell.
    pub fn unwatched(&self) -> Vec<usize> {
        let waits = |slot: &Option<Lane>| {
            slot.as_ref().is_some_and(|lane| {
                let is_watched = lane.watch.as_ref().is_some_and(|watch| watch.poll.armed() != 0);
                !lane.is_empty() && (!is_watched || lane.doubtful)
            })
        };
        (0..self.lanes.len()).filter(|id| waits(&self.lanes[*id])).collect()
    }

    /// The peer changes: what waits for `old` still goes there, if it has a name. Otherwise the
    /// tickets of what cannot be sent any more are returned.
    pub fn readdress_peer(&mut self, old: &UnixAddr) -> Vec<u32> {
        let Some(peer) = self.lane(PEER) else {
            return Vec::new();
        };
        let waiting = std::mem::take(&mut peer.waiting);
        if waiting.is_empty() {
            return Vec::new();
        }
        if old.name_len() == 0 {
            self.settle(waiting.len());
            return waiting.into_iter().map(|lost| lost.ticket).collect();
        }
        let id = self.lane_of(*old);
        if let Some(lane) = self.lane(id) {
            lane.waiting.extend(waiting);
        }
        Vec::new()
    }

    /// Every lane's watch.
    pub fn watches(&self) -> impl Iterator<Item = &Watch> {
        self.lanes.iter().flatten().filter_map(|lane| lane.watch.as_ref())
    }

    /// Puts a message at the end of a lane. Returns its ticket, which is never 0.
    ///
    /// Descriptors are duplicated: EMFILE and EBADF are possible, and nothing is queued then.
    pub fn enqueue(&mut self, js: Js, id: usize, offer: &Offer<'_>) -> Result<u32> {
        let fds = duplicate(offer.fds)?;
        let payload = Payload::keep(js, offer.buffer, offer.offset, offer.bytes)?;
        self.next_ticket = self.next_ticket % (i32::MAX as u32) + 1;
        let ticket = self.next_ticket;
        let lane = self.lane(id).ok_or(Errno::INVAL)?;
        if lane.is_empty() {
            lane.tried = Instant::now();
        }
        lane.waiting.push_back(Waiting { ticket, payload, fds });
        self.waiting += 1;
        Ok(ticket)
    }
}
