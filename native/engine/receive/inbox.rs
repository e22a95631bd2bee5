//! Owns: what a socket knows of the messages it receives: what to ask for beside the bytes, whose
//! descriptors wait, who sent the last one, and what the traffic is expected to be like.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;

use crate::engine::batch::{Entry, Place, flag};
use crate::node::js::Reference;
use crate::sys::ancillary::Received;
use crate::sys::errno::Errno;
use crate::sys::message::Message;
use crate::sys::stream::Chunk;
use crate::sys::unix_addr::UnixAddr;

/// Guesses that were wrong last time are tried again at every so manieth wake-up.
const PROBE_EVERY: u32 = 16;

/// Descriptors that may wait to be taken, unless it is said otherwise.
pub const DEFAULT_MAX_PENDING: usize = 1024;

/// The receiving side of a socket. An idle one has no memory of its own here.
#[derive(Default)]
pub struct Inbox {
    /// Descriptors are received.
    pub fds: bool,
    /// The sender's credentials are received.
    pub credentials: bool,
    /// So many descriptors may wait to be taken.
    pub max_pending: usize,
    /// The user's own memory, to receive a stream's bytes into.
    pub target: Option<Reference>,
    pending: Pending,
    /// A stream's descriptors, in the order of their arrival.
    queue: VecDeque<OwnedFd>,
    /// The sender of the message before, so that its name crosses once.
    last_from: Option<Box<UnixAddr>>,
}

impl Inbox {
    /// `fds`: they are received, until it is said otherwise.
    pub fn new(fds: bool) -> Inbox {
        Inbox { fds, max_pending: DEFAULT_MAX_PENDING, ..Inbox::default() }
    }

    /// Whether control messages are asked for.
    pub fn wants_control(&self) -> bool {
        self.fds || self.credentials
    }

    /// Received descriptors, which are the caller's from here on.
    pub fn take_fds(&mut self, token: u32) -> Vec<OwnedFd> {
        self.pending.take(token)
    }

    /// Describes a message for JavaScript, taking over its descriptors. Also returns the sender's
    /// name, if it is not the one of the message before.
    pub fn describe(
        &mut self,
        message: Message<'_>,
        place: Option<Place>,
    ) -> (Entry, Option<UnixAddr>) {
        let name = self.note_sender(message.from);
        let mut flags = if name.is_some() { flag::NAME } else { 0 };
        if message.truncated || place.is_none() {
            flags |= flag::TRUNCATED;
        }
        if self.fds && message.control_truncated {
            flags |= flag::FDS_LOST;
        }
        let Received { fds, credentials, .. } = message.beside;
        let mut token = 0;
        // Dropping what is not asked for, or is too much, closes it.
        if self.fds && !fds.is_empty() {
            if self.pending.count + fds.len() > self.max_pending {
                flags |= flag::FDS_REFUSED;
            } else {
                flags |= flag::FDS;
                token = self.pending.put(fds);
            }
        }
        let entry = Entry {
            place: place.unwrap_or_default(),
            len: message.bytes.len(),
            flags,
            token,
            credentials: credentials.filter(|_| self.credentials),
        };
        (entry, name)
    }

    /// The same for bytes of a stream. Their descriptors queue up; the token says how many came.
    pub fn describe_chunk(&mut self, chunk: Chunk, place: Option<Place>, flags: u32) -> Entry {
        let mut flags = flags;
        if place.is_none() {
            flags |= flag::TRUNCATED;
        }
        if self.fds && chunk.control_truncated {
            flags |= flag::FDS_LOST;
        }
        let Received { fds, credentials, .. } = chunk.beside;
        let mut token = 0;
        // Dropping what is not asked for, or is too much, closes it.
        if self.fds && !fds.is_empty() {
            if self.queue.len() + fds.len() > self.max_pending {
                flags |= flag::FDS_REFUSED;
            } else {
                flags |= flag::FDS;
                token = fds.len() as u32;
                self.queue.extend(fds);
            }
        }
        Entry {
            place: place.unwrap_or_default(),
            len: chunk.len,
            flags,
            token,
            credentials: credentials.filter(|_| self.credentials),
        }
    }

    /// All descriptors that wait.
    pub fn take_all_fds(&mut self) -> Vec<OwnedFd> {
        let pending = std::mem::take(&mut self.pending).by_token.into_values().flatten();
        self.queue.drain(..).chain(pending).collect()
    }

    /// A stream's next descriptors, which are the caller's from here on.
    pub fn take_next_fds(&mut self, count: usize) -> Vec<OwnedFd> {
        self.queue.drain(..count.min(self.queue.len())).collect()
    }

    /// Descriptors that were taken, and are to be taken again before the others. ENOBUFS beyond
    /// the limit; they are the caller's then.
    pub fn put_back_fds(&mut self, fds: Vec<OwnedFd>) -> Result<(), (Errno, Vec<OwnedFd>)> {
        if self.queue.len() + fds.len() > self.max_pending {
            return Err((Errno::NOBUFS, fds));
        }
        for fd in fds.into_iter().rev() {
            self.queue.push_front(fd);
        }
        Ok(())
    }

    fn note_sender(&mut self, from: &UnixAddr) -> Option<UnixAddr> {
        match self.last_from.as_deref_mut() {
            Some(last) if *last == *from => return None,
            Some(last) => *last = *from,
            None if from.name_len() == 0 => return None,
            None => self.last_from = Some(Box::new(*from)),
        }
        Some(*from)
    }
}

/// Received descriptors that JavaScript has not taken yet. Dropping closes them.
#[derive(Default)]
struct Pending {
    by_token: HashMap<u32, Vec<OwnedFd>>,
    count: usize,
    last_token: u32,
}

impl Pending {
    fn put(&mut self, fds: Vec<OwnedFd>) -> u32 {
        // 24 bits cross to JavaScript. Skip what a patient reader still has.
        loop {
            self.last_token = (self.last_token + 1) & 0x00ff_ffff;
            if !self.by_token.contains_key(&self.last_token) {
                break;
            }
        }
        self.count += fds.len();
        self.by_token.insert(self.last_token, fds);
        self.last_token
    }

    fn take(&mut self, token: u32) -> Vec<OwnedFd> {
        let fds = self.by_token.remove(&token).unwrap_or_default();
        self.count -= fds.len();
        fds
    }
}

/// What the traffic of a socket is expected to be like, from what it was like.
#[derive(Clone, Copy, Default)]
pub struct Guess {
    wake_ups: u32,
    /// A look finds more than one message.
    pub bursts: bool,
    /// How often a second look found something of late, in 256ths.
    odds: u32,
}

impl Guess {
    /// A second look is worth it from one hit in four on: a vain one costs a quarter of a turn of
    /// the event loop, which a hit saves (measured).
    pub fn looks_again(self) -> bool {
        self.odds > 64
    }

    /// Another wake-up. True: put the guesses to the test.
    pub fn wakes_up(&mut self) -> bool {
        self.wake_ups = self.wake_ups.wrapping_add(1);
        self.wake_ups.is_multiple_of(PROBE_EVERY)
    }

    /// A second look found something, or not.
    pub fn learn(&mut self, hit: bool) {
        self.odds = self.odds - self.odds / 8 + if hit { 32 } else { 0 };
    }
}
