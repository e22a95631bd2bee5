//! Owns: messages that wait to be sent: for each destination in order, none behind another's.
#![allow(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::engine::handle::Handle;
use crate::engine::in_vain::InVain;
use crate::engine::send::helper_socket::HelperSocket;
use crate::engine::send::payload::Payload;
use crate::node::js::{Js, Value};
use crate::node::view::JsBytes;
use crate::sys::ancillary::{Rights, duplicate};
use crate::sys::errno::{Errno, Result};
use crate::sys::message::{self, Outgoing, SEND_BATCH};
use crate::sys::name::{self, Name};
use crate::sys::unix_addr::UnixAddr;

/// For how long a helper socket is believed that its destination is full.
const PATIENCE: Duration = Duration::from_millis(100);
/// Messages for one destination sent in one wake-up at most.
const BUDGET: usize = 256;
/// Helper sockets that one socket keeps for destinations for which nothing waits.
const MAX_IDLE_HELPERS: usize = 4;

/// The destination that is the connected peer.
pub const PEER: usize = 0;

/// Tickets and outcomes of messages that are done with.
pub type Settled = Vec<(u32, Result<()>)>;

struct Waiting {
    ticket: u32,
    payload: Payload,
    /// Duplicates: the sender may have closed its own.
    fds: Vec<OwnedFd>,
    /// It was sent to the connected peer, also where that is another one by now.
    is_peers: bool,
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

/// A message JavaScript offers, all of it borrowed.
pub struct Offer<'a> {
    /// The Buffer.
    pub buffer: Value,
    /// Where the message starts in it.
    pub offset: usize,
    /// The message's bytes in it.
    pub bytes: JsBytes<'a>,
    /// Descriptors to pass.
    pub fds: &'a [RawFd],
}

impl Offer<'_> {
    /// Sends it now, to the connected peer where no address is given.
    pub fn send(&self, fd: BorrowedFd<'_>, to: Option<&UnixAddr>) -> Result<()> {
        let rights = if self.fds.is_empty() { None } else { Some(Rights::new(self.fds)?) };
        let (bytes, len) = (self.bytes.as_ptr(), self.bytes.len());
        // SAFETY: as many bytes, borrowed beyond the call.
        unsafe { message::send(fd, &Outgoing { bytes, len, to, rights: rights.as_ref() }) }
    }
}

/// How an attempt to send what waits ended.
pub enum Flushed {
    /// Nothing waits any more.
    Empty,
    /// More waits, and may be sent at once: the budget is used up.
    More,
    /// More waits for room.
    Blocked(Errno),
}

/// The messages for one destination.
pub struct Destination {
    /// Where they go; None for the connected peer.
    to: Option<Name>,
    waiting: VecDeque<Waiting>,
    /// Made when the destination was first full.
    helper: Option<HelperSocket>,
    /// Wake-ups by the helper.
    in_vain: InVain,
    /// When it was last tried to send something.
    tried: Instant,
    /// To be tried although the helper says nothing, see [`Destination::grows_doubtful`].
    doubtful: bool,
}

impl Destination {
    fn new(to: Option<Name>) -> Destination {
        let tried = Instant::now();
        let (waiting, in_vain) = (VecDeque::new(), InVain::default());
        Destination { to, waiting, helper: None, in_vain, tried, doubtful: false }
    }

    fn addr(&self) -> Option<&UnixAddr> {
        self.to.as_ref().map(Name::addr)
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether it has a helper socket.
    pub fn has_helper(&self) -> bool {
        self.helper.is_some()
    }

    /// Whether something waits for the socket itself, or may have been forgotten by the helper.
    fn waits_for_self(&self) -> bool {
        let is_watched = self.helper.as_ref().is_some_and(HelperSocket::is_armed);
        !self.is_empty() && (!is_watched || self.doubtful)
    }

    /// Whether it is time to try without an event: the helper is connected to the socket that had
    /// the name, and says nothing if another has taken the name while that one lives on. True once
    /// until it is tried.
    pub fn grows_doubtful(&mut self) -> bool {
        let grows = !self.doubtful && self.helper.is_some() && self.tried.elapsed() >= PATIENCE;
        self.doubtful |= grows;
        grows
    }

    /// Sends now, if nothing waits before it.
    fn try_send(&self, fd: BorrowedFd<'_>, offer: &Offer<'_>) -> Result<()> {
        if self.is_empty() { offer.send(fd, self.addr()) } else { Err(Errno::AGAIN) }
    }

    /// Sends what waits, in order, until the destination is full or the budget is used up.
    fn flush(&mut self, js: Js, fd: BorrowedFd<'_>, settled: &mut Settled) -> Flushed {
        (self.tried, self.doubtful) = (Instant::now(), false);
        let mut budget = BUDGET;
        while !self.waiting.is_empty() {
            if budget == 0 {
                return Flushed::More;
            }
            match self.send_front(js, fd, budget.min(SEND_BATCH)) {
                Ok(count) => {
                    budget -= count;
                    settled.extend(self.waiting.drain(..count).map(|sent| (sent.ticket, Ok(()))));
                }
                Err(errno) if errno.means_later() => return Flushed::Blocked(errno),
                Err(errno) => {
                    // Its helper speaks of a socket that is gone.
                    self.helper = None;
                    // The kernel dissolves the connection with a dead peer when it says so, so it
                    // says so once. All that waits was meant for that peer and no other.
                    let is_dead_peer = self.to.is_none() && errno == Errno::CONNREFUSED;
                    let failed = if is_dead_peer { self.waiting.len() } else { 1 };
                    budget = budget.saturating_sub(failed);
                    let lost = self.waiting.drain(..failed);
                    settled.extend(lost.map(|lost| (lost.ticket, Err(errno))));
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
            // SAFETY: no JavaScript runs before they are sent.
            let bytes = match unsafe { waiting.payload.bytes(js) } {
                Ok(bytes) => bytes,
                Err(errno) if index == 0 => return Err(errno),
                Err(_) => break,
            };
            let rights = rights.get(index).and_then(Option::as_ref);
            let (bytes, len) = (bytes.as_ptr(), bytes.len());
            messages.push(Outgoing { bytes, len, to: self.addr(), rights });
        }
        // SAFETY: bytes of `self.waiting`, which is borrowed beyond the call.
        unsafe { message::send_many(fd, &messages) }
    }
}

/// The destinations of a socket, the connected peer ([`PEER`]) first.
pub struct MessageQueue {
    destinations: Vec<Option<Destination>>,
    by_name: HashMap<Name, usize>,
    free: Vec<usize>,
    next_ticket: u32,
    /// Messages that wait, for all destinations.
    waiting: usize,
    /// The destination that was tried last when all of them were.
    turn: usize,
    /// Destinations that have a helper for which nothing waits, the oldest first.
    idle_helpers: VecDeque<usize>,
}

impl MessageQueue {
    /// Without anything that waits.
    pub fn new() -> MessageQueue {
        MessageQueue {
            destinations: vec![Some(Destination::new(None))],
            by_name: HashMap::new(),
            free: Vec::new(),
            next_ticket: 0,
            waiting: 0,
            turn: PEER,
            idle_helpers: VecDeque::new(),
        }
    }

    /// The number of the destination `to`, which is made if it is new.
    pub fn destination(&mut self, to: Name) -> usize {
        if let Some(id) = self.by_name.get(&to) {
            return *id;
        }
        let destination = Some(Destination::new(Some(to.clone())));
        let id = match self.free.pop() {
            Some(id) => {
                self.destinations[id] = destination;
                id
            }
            None => {
                self.destinations.push(destination);
                self.destinations.len() - 1
            }
        };
        self.by_name.insert(to, id);
        id
    }

    /// Forgets every destination for which nothing waits. The caller forgets their numbers.
    pub fn sweep(&mut self) {
        for (id, slot) in self.destinations.iter_mut().enumerate().skip(PEER + 1) {
            if let Some(Destination { to: Some(to), .. }) = slot.take_if(|it| it.is_empty()) {
                self.by_name.remove(&to);
                self.free.push(id);
            }
        }
        self.idle_helpers.clear();
    }

    /// The destination with a number; EINVAL if there is none.
    pub fn get(&mut self, id: usize) -> Result<&mut Destination> {
        self.destinations.get_mut(id).and_then(Option::as_mut).ok_or(Errno::INVAL)
    }

    /// True if messages go elsewhere than to the connected peer.
    pub fn has_several(&self) -> bool {
        self.destinations.len() > 1
    }

    /// Messages that wait, for all destinations.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Sends now, if nothing waits before it for the same destination.
    pub fn try_send(&mut self, fd: BorrowedFd<'_>, id: usize, offer: &Offer<'_>) -> Result<()> {
        self.get(id)?.try_send(fd, offer)
    }

    /// Puts a message at the end of a destination's. Returns its ticket, which is never 0.
    ///
    /// Descriptors are duplicated: EMFILE and EBADF are possible, and nothing is queued then.
    pub fn enqueue(&mut self, js: Js, id: usize, offer: &Offer<'_>) -> Result<u32> {
        let fds = duplicate(offer.fds)?;
        let ticket = self.next_ticket % (i32::MAX as u32) + 1;
        let destination = self.get(id)?;
        if destination.is_empty() {
            destination.tried = Instant::now();
        }
        let payload = Payload::keep(js, offer.buffer, offer.offset, offer.bytes);
        destination.waiting.push_back(Waiting { ticket, payload, fds, is_peers: id == PEER });
        self.next_ticket = ticket;
        self.waiting += 1;
        Ok(ticket)
    }

    /// Sends what waits for one destination.
    pub fn flush(
        &mut self,
        js: Js,
        fd: BorrowedFd<'_>,
        id: usize,
        settled: &mut Settled,
    ) -> Result<Flushed> {
        let before = settled.len();
        let flushed = self.get(id)?.flush(js, fd, settled);
        self.waiting -= settled.len() - before;
        Ok(flushed)
    }

    /// Destinations for which something waits that no helper is trusted to report, each time
    /// another first.
    pub fn unwatched(&mut self) -> Vec<usize> {
        let waits =
            |slot: &Option<Destination>| slot.as_ref().is_some_and(Destination::waits_for_self);
        let mut ids: Vec<usize> =
            (0..self.destinations.len()).filter(|id| waits(&self.destinations[*id])).collect();
        let first = ids.partition_point(|id| *id <= self.turn);
        ids.rotate_left(first);
        ids
    }

    /// Notes that a destination was tried.
    pub fn set_turn(&mut self, id: usize) {
        self.turn = id;
    }

    /// The peer changes: what waits for `old` still goes there, if it has a name that means the
    /// same to us. Otherwise the tickets of what cannot be sent any more are returned.
    pub fn readdress_peer(&mut self, old: &UnixAddr) -> Vec<u32> {
        let waiting = match self.get(PEER) {
            Ok(peer) => std::mem::take(&mut peer.waiting),
            Err(_) => return Vec::new(),
        };
        if waiting.is_empty() {
            return Vec::new();
        }
        let name: Vec<u8> = old.name().collect();
        let is_lasting = match name.first() {
            None => false,
            Some(0) => true,
            Some(_) => !name::is_fleeting(&name),
        };
        if !is_lasting {
            self.waiting -= waiting.len();
            return waiting.into_iter().map(|lost| lost.ticket).collect();
        }
        let id = self.destination(Name::from(*old));
        if let Ok(destination) = self.get(id) {
            destination.waiting.extend(waiting);
        }
        Vec::new()
    }

    /// The socket is connected to `new`: what waits there since that was the peer before is the
    /// peer's again, so that nothing overtakes it.
    pub fn recall_peer(&mut self, new: &UnixAddr) {
        let Some(id) = self.by_name.get(&Name::from(*new)).copied() else { return };
        let Ok(destination) = self.get(id) else { return };
        let (mut recalled, others): (VecDeque<_>, VecDeque<_>) =
            destination.waiting.drain(..).partition(|waiting| waiting.is_peers);
        destination.waiting = others;
        if let Ok(peer) = self.get(PEER) {
            recalled.append(&mut peer.waiting);
            peer.waiting = recalled;
        }
    }

    /// Arms the helper socket that polls as writable once a destination has room. `is_wrong`: it
    /// has just said so, and there was none.
    pub fn watch(&mut self, handle: &Handle, id: usize, is_wrong: bool) -> Result<()> {
        self.idle_helpers.retain(|idle| *idle != id);
        if let Err(errno) = self.try_watch(handle, id, is_wrong) {
            // Perhaps there is a descriptor next time.
            if errno == Errno::MFILE || errno == Errno::NFILE {
                self.drop_idle_helpers(0);
            }
            return Err(errno);
        }
        Ok(())
    }

    fn try_watch(&mut self, handle: &Handle, id: usize, is_wrong: bool) -> Result<()> {
        let destination = self.get(id)?;
        let to = destination.to.as_ref().ok_or(Errno::NOTCONN)?.addr();
        match &destination.helper {
            Some(helper) => helper.follow(to, is_wrong)?,
            None => destination.helper = Some(HelperSocket::new(handle, id as u32, to)?),
        }
        destination.helper.as_ref().map_or(Ok(()), HelperSocket::arm)
    }

    /// A destination's helper has spoken.
    pub fn confirm(&mut self, id: usize) {
        if let Ok(Destination { helper: Some(helper), .. }) = self.get(id) {
            helper.confirm();
        }
    }

    /// Notes what a destination's helper spoke for. True: in vain, so often that it has to rest.
    pub fn is_in_vain(&mut self, id: usize, moved: bool) -> bool {
        let Ok(destination) = self.get(id) else { return false };
        if moved || destination.is_empty() {
            destination.in_vain.forget();
            return false;
        }
        destination.in_vain.add()
    }

    /// Stops watching a destination.
    pub fn disarm(&mut self, id: usize) {
        if let Ok(Destination { helper: Some(helper), .. }) = self.get(id) {
            helper.disarm();
        }
    }

    /// Stops watching a destination for which nothing waits any more. Its helper is kept for a
    /// while, since most often there is more to send soon.
    pub fn rest(&mut self, id: usize) {
        let Ok(destination) = self.get(id) else { return };
        if !destination.is_empty() || !destination.has_helper() {
            return;
        }
        self.disarm(id);
        self.idle_helpers.retain(|idle| *idle != id);
        self.idle_helpers.push_back(id);
        self.drop_idle_helpers(MAX_IDLE_HELPERS);
    }

    fn drop_idle_helpers(&mut self, kept: usize) {
        while self.idle_helpers.len() > kept {
            let id = self.idle_helpers.pop_front();
            if let Some(Ok(destination)) = id.map(|id| self.get(id)) {
                destination.helper = None;
            }
        }
    }

    /// Whether waiting for room keeps the event loop alive.
    pub fn set_ref(&self, keeps_alive: bool) {
        let helpers = self.destinations.iter().flatten().filter_map(|it| it.helper.as_ref());
        helpers.for_each(|helper| helper.set_ref(keeps_alive));
    }
}
