//! Owns: what a socket keeps of what it received: descriptors that wait to be taken, and the sender
//! of the last message.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;

use crate::engine::batch::flag;
use crate::sys::descriptor::close_passed;
use crate::sys::errno::Errno;
use crate::sys::unix_addr::UnixAddr;

/// Descriptors that may wait to be taken, unless it is said otherwise.
pub const DEFAULT_MAX_PENDING: usize = 1024;

/// Received descriptors that JavaScript has not taken yet. Dropping closes them.
#[derive(Default)]
pub struct Inbox {
    /// A message's, by the token that JavaScript knows.
    by_token: HashMap<u32, Vec<OwnedFd>>,
    /// How many these are.
    count: usize,
    last_token: u32,
    /// A stream's, in the order of their arrival.
    queue: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Takes in the descriptors of one message, unless more than `max` would wait then: these are
    /// closed. Returns a [`flag`] and, for a message, their token; for bytes of a stream
    /// (`is_stream`), how many they are.
    pub fn admit(&mut self, fds: Vec<OwnedFd>, max: usize, is_stream: bool) -> (u32, u32) {
        if self.count + self.queue.len() + fds.len() > max {
            close_passed(fds);
            return (flag::FDS_REFUSED, 0);
        }
        let token = if is_stream {
            let count = fds.len() as u32;
            self.queue.extend(fds);
            count
        } else {
            self.put(fds)
        };
        (flag::FDS, token)
    }

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

    /// A message's descriptors, which are the caller's from here on.
    pub fn take(&mut self, token: u32) -> Vec<OwnedFd> {
        let fds = self.by_token.remove(&token).unwrap_or_default();
        self.count -= fds.len();
        fds
    }

    /// A stream's next descriptors, as above.
    pub fn take_next(&mut self, count: usize) -> Vec<OwnedFd> {
        self.queue.drain(..count.min(self.queue.len())).collect()
    }

    /// All of them, as above.
    pub fn take_all(&mut self) -> Vec<OwnedFd> {
        self.count = 0;
        self.queue.drain(..).chain(self.by_token.drain().flat_map(|(_, fds)| fds)).collect()
    }

    /// A stream's descriptors that were taken, and are to be taken again before the others. ENOBUFS
    /// where more than `max` would wait; they are the caller's then.
    pub fn put_back(&mut self, fds: Vec<OwnedFd>, max: usize) -> Result<(), (Errno, Vec<OwnedFd>)> {
        if self.queue.len() + fds.len() > max {
            return Err((Errno::NOBUFS, fds));
        }
        for fd in fds.into_iter().rev() {
            self.queue.push_front(fd);
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
