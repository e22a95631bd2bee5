//! Owns: poll handles that are kept by descriptor number: making one costs three system calls and
//! closing it one more, and a turn of the loop; a server gets the same few numbers again and again.
//!
//! A kept handle is stopped. It is never closed later than that, but for the end of the
//! environment: libuv would take the number out of epoll, whosever it is by then.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;

use crate::node::uv::{Loop, PollHandle, Token};
use crate::sys::errno::{Errno, Result};

/// So many are kept.
const MAX_IDLE: usize = 1024;
/// None are kept for numbers from this on: the table has a place for each below.
const MAX_NUMBER: usize = 1 << 16;

/// The poll handles of one environment.
pub struct Polls {
    event_loop: Rc<Loop>,
    /// By descriptor number.
    idle: RefCell<Vec<Option<PollHandle>>>,
    idle_count: Cell<usize>,
}

impl Polls {
    /// Without any yet.
    pub fn new(event_loop: &Rc<Loop>) -> Rc<Polls> {
        let (event_loop, idle) = (event_loop.clone(), RefCell::new(Vec::new()));
        Rc::new(Polls { event_loop, idle, idle_count: Cell::new(0) })
    }

    /// A stopped poll of `fd`, whose events `token` gets. EEXIST if the loop watches the descriptor
    /// already.
    pub fn watch(self: &Rc<Polls>, fd: RawFd, token: Token) -> Result<Poll> {
        let handle = match self.take(fd) {
            Some(kept) => kept,
            None => PollHandle::new(&self.event_loop, fd)?,
        };
        handle.set_token(token);
        Ok(Poll { polls: self.clone(), fd, handle: Some(handle) })
    }

    /// EEXIST if a handle of anybody else's has the descriptor, also one that does not read.
    pub fn demand_free(&self, fd: RawFd) -> Result<()> {
        let idle = self.idle.borrow();
        let ours = usize::try_from(fd).ok().and_then(|fd| idle.get(fd)?.as_ref());
        if self.event_loop.is_taken(fd, ours) { Err(Errno::EXIST) } else { Ok(()) }
    }

    /// Closes what is kept: the environment ends.
    pub fn close(&self) {
        self.idle_count.set(MAX_IDLE);
        drop(self.idle.take());
    }

    fn take(&self, fd: RawFd) -> Option<PollHandle> {
        let kept = self.idle.borrow_mut().get_mut(usize::try_from(fd).ok()?)?.take()?;
        self.idle_count.set(self.idle_count.get() - 1);
        Some(kept)
    }

    fn keep(&self, fd: RawFd, handle: PollHandle) {
        let Ok(index) = usize::try_from(fd) else { return };
        if self.idle_count.get() >= MAX_IDLE || index >= MAX_NUMBER {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() <= index {
            idle.resize_with(index + 1, || None);
        }
        if idle[index].replace(handle).is_none() {
            self.idle_count.set(self.idle_count.get() + 1);
        }
    }
}

/// A poll of one descriptor. Drop it before the descriptor is closed.
pub struct Poll {
    polls: Rc<Polls>,
    fd: RawFd,
    /// None only while it is dropped.
    handle: Option<PollHandle>,
}

impl Poll {
    /// The mask in force.
    pub fn armed(&self) -> i32 {
        self.handle.as_ref().map_or(0, PollHandle::armed)
    }

    /// Watches for `mask` from now on; 0 stops. An unchanged mask costs nothing.
    pub fn arm(&self, mask: i32) -> Result<()> {
        self.handle.as_ref().map_or(Err(Errno::BADF), |handle| handle.arm(mask))
    }

    /// Whether it keeps the loop alive while it is armed.
    pub fn set_ref(&self, keeps_alive: bool) {
        if let Some(handle) = &self.handle {
            handle.set_ref(keeps_alive);
        }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop();
            handle.set_token(Token::NONE);
            self.polls.keep(self.fd, handle);
        }
    }
}
