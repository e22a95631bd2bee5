//! Owns: what a socket keeps of what it received: descriptors that wait to be taken, and the sender
//! of the last message.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::fd::OwnedFd;

use crate::engine::batch::flag;
use crate::sys::descriptor::close_passed;
use crate::sys::errno::Errno;
use crate::sys::pending::{self, Pending};
use crate::sys::unix_addr::UnixAddr;

/// Descriptors that may wait to be taken, unless it is said otherwise.
pub const DEFAULT_MAX_PENDING: usize = 1024;

/// A socket for which so few wait may have them however many wait for others.
const ALWAYS: usize = 16;

/// Received descriptors that JavaScript has not taken yet. Dropping closes them.
#[derive(Default)]
pub struct Inbox {
    /// A message's, by the token that JavaScript knows, in the order of their arrival.
    by_token: BTreeMap<u32, Vec<Pending>>,
    /// How many these are.
    count: usize,
    last_token: u32,
    /// A stream's, in the order of their arrival.
    queue: VecDeque<Pending>,
    /// Pidfds of senders, by the same tokens.
    pidfds: HashMap<u32, Pending>,
}

impl Inbox {
    /// Takes in the descriptors of one message, unless more than `max` would wait then, or more
    /// than may in the whole process: these are closed. Returns a [`flag`] and, for a message,
    /// their token; for bytes of a stream (`is_stream`), how many they are.
    pub fn admit(&mut self, fds: Vec<OwnedFd>, max: usize, is_stream: bool) -> (u32, u32) {
        if !self.has_room(fds.len(), max) {
            close_passed(fds);
            return (flag::FDS_REFUSED, 0);
        }
        let fds: Vec<Pending> = fds.into_iter().map(Pending::new).collect();
        if is_stream {
            let count = fds.len() as u32;
            self.queue.extend(fds);
            return (flag::FDS, count);
        }
        let token = self.next_token();
        self.count += fds.len();
        self.by_token.insert(token, fds);
        (flag::FDS, token)
    }

    /// The same for the pidfd of a message's sender, whose other descriptors have the token
    /// `of_message`, or 0 if the message has none.
    pub fn admit_pidfd(&mut self, pidfd: OwnedFd, max: usize, of_message: u32) -> (u32, u32) {
        if !self.has_room(1, max) {
            return (flag::FDS_REFUSED, of_message);
        }
        let token = if of_message == 0 { self.next_token() } else { of_message };
        self.pidfds.insert(token, Pending::new(pidfd));
        (flag::PIDFD, token)
    }

    fn has_room(&self, count: usize, max: usize) -> bool {
        let waiting = self.waiting() + count;
        waiting <= max && (waiting <= ALWAYS || pending::has_room(count))
    }

    /// How many descriptors wait.
    fn waiting(&self) -> usize {
        self.count + self.queue.len() + self.pidfds.len()
    }

    /// 24 bits cross to JavaScript. Skips 0, which is none, and what a patient reader still has.
    fn next_token(&mut self) -> u32 {
        loop {
            self.last_token = (self.last_token + 1) & 0x00ff_ffff;
            let token = &self.last_token;
            let is_free = !self.by_token.contains_key(token) && !self.pidfds.contains_key(token);
            if is_free && *token != 0 {
                return *token;
            }
        }
    }

    /// The pidfd of a message's sender, which is the caller's from here on.
    pub fn take_pidfd(&mut self, token: u32) -> Option<OwnedFd> {
        self.pidfds.remove(&token).map(Pending::take)
    }

    /// A message's descriptors, which are the caller's from here on.
    pub fn take(&mut self, token: u32) -> Vec<OwnedFd> {
        let fds = self.by_token.remove(&token).unwrap_or_default();
        self.count -= fds.len();
        fds.into_iter().map(Pending::take).collect()
    }

    /// `count` of a stream's descriptors, those behind the next `skipped`, as above.
    pub fn take_next(&mut self, count: usize, skipped: usize) -> Vec<OwnedFd> {
        let start = skipped.min(self.queue.len());
        let end = start.saturating_add(count).min(self.queue.len());
        self.queue.drain(start..end).map(Pending::take).collect()
    }

    /// All that were sent, as above.
    pub fn take_all(&mut self) -> Vec<OwnedFd> {
        self.count = 0;
        let of_messages = std::mem::take(&mut self.by_token).into_values().flatten();
        self.queue.drain(..).chain(of_messages).map(Pending::take).collect()
    }

    /// A stream's descriptors that were taken, and are to be taken again before the others. ENOBUFS
    /// where more than `max` would wait; they are the caller's then.
    pub fn put_back(&mut self, fds: Vec<OwnedFd>, max: usize) -> Result<(), (Errno, Vec<OwnedFd>)> {
        if self.queue.len() + fds.len() > max {
            return Err((Errno::NOBUFS, fds));
        }
        for fd in fds.into_iter().rev() {
            self.queue.push_front(Pending::new(fd));
        }
        Ok(())
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        close_passed(self.take_all());
    }
}

/// The sender of the message before, so that a name crosses once.
#[derive(Default)]
pub struct LastSender(Option<Box<UnixAddr>>);

impl LastSender {
    /// The name of a message's sender, if it is another than that of the message before.
    pub fn note(&mut self, from: &UnixAddr) -> Option<UnixAddr> {
        match self.0.as_deref_mut() {
            Some(last) if *last == *from => return None,
            Some(last) => *last = *from,
            None if from.name_len() == 0 => return None,
            None => self.0 = Some(Box::new(*from)),
        }
        Some(*from)
    }
}
