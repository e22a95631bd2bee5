//! Owns: what sockets and listeners have in common: the descriptor with its poll and its file, the
//! async context, the retry timer, and the order in which they end.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use socket2::Type;

use crate::engine::env::{Environment, Hooks};
use crate::node::js::AsyncContext;
use crate::node::polls::Poll;
use crate::node::uv::{Timer, Token};
use crate::sys::descriptor;
use crate::sys::errno::{Errno, Result};
use crate::sys::owned;
use crate::sys::socket;
use crate::sys::socket_file::{self, SocketFile};

/// The longest pause between attempts to send for which the kernel offers no event, in
/// milliseconds.
pub const MAX_SEND_PAUSE: u64 = 32;
/// The longest pause after an error that repeats.
pub const MAX_ERROR_PAUSE: u64 = 1024;

/// The socket's kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SOCK_DGRAM: messages, to and from anybody.
    Datagram,
    /// SOCK_SEQPACKET: messages, to and from one peer, with an end. Linux only.
    Seqpacket,
    /// SOCK_STREAM: bytes, to and from one peer, with an end.
    Stream,
}

impl Kind {
    /// The kind JavaScript names by this number.
    pub fn from_js(kind: i32) -> Option<Kind> {
        match kind {
            libc::SOCK_DGRAM => Some(Kind::Datagram),
            libc::SOCK_SEQPACKET => Some(Kind::Seqpacket),
            libc::SOCK_STREAM => Some(Kind::Stream),
            _ => None,
        }
    }

    /// The type to make sockets of.
    pub fn socket_type(self) -> Type {
        match self {
            Kind::Datagram => Type::DGRAM,
            Kind::Seqpacket => Type::SEQPACKET,
            Kind::Stream => Type::STREAM,
        }
    }

    /// It has one peer, whose end is the socket's end.
    pub fn has_end(self) -> bool {
        self != Kind::Datagram
    }
}

/// What `event` reports to JavaScript, see lib/native/sockets.js.
#[derive(Clone, Copy)]
pub enum Event {
    /// An error of the socket itself, as an errno, negated.
    Error = 0,
    /// The peer sends no more; or a datagram socket was shut down.
    End = 1,
    /// Accepting has to wait for memory or descriptors: an errno, negated. Once each time.
    Shortage = 2,
    /// There is room to send to the peer, or the peer is gone, as asked for.
    Writable = 3,
    /// The write that waited is done: 0, or an errno, negated. Of streams.
    Written = 4,
    /// The end has been sent, as asked for.
    Finished = 5,
    /// The outcome of connecting is to be looked at, as asked for.
    Connected = 6,
}

/// Something with a [`Handle`], which the loop's events go to.
pub trait Source {
    /// Its handle.
    fn handle(&self) -> &Handle;
    /// A descriptor is ready: the socket's own for part 0. Err: libuv saw POLLERR and stopped
    /// watching.
    fn on_poll(&self, part: u32, event: Result<i32>);
    /// The time set by [`Handle::retry_later`] has come.
    fn on_retry(&self);
    /// The end of a turn in which [`Environment::defer`] was called: arms what is waited for.
    fn settle(&self);
    /// Releases everything, without running JavaScript. Idempotent.
    fn close(&self);
}

/// An open descriptor with what belongs to it. Field order is the order of closing: the poll
/// first, then the file (while the inode is still ours), then the descriptor.
struct Open {
    poll: Option<Poll>,
    file: Option<Box<SocketFile>>,
    _claim: Claim,
    fd: OwnedFd,
}

/// Notes that a number is ours, see [`owned`].
struct Claim(RawFd);

impl Claim {
    fn new(fd: RawFd) -> Claim {
        owned::claim(fd);
        Claim(fd)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        owned::release(self.0);
    }
}

impl Open {
    fn new(fd: OwnedFd) -> Option<Open> {
        Some(Open { poll: None, file: None, _claim: Claim::new(fd.as_raw_fd()), fd })
    }

    /// The file stays when the socket is closed.
    fn keep_file(&mut self) {
        if let Some(file) = self.file.take() {
            file.keep();
        }
    }
}

/// A pause between attempts.
struct Retry {
    timer: Timer,
    /// The next pause, in milliseconds.
    pause: u64,
}

/// The common part. Its rule: no `RefCell` borrow is alive while JavaScript runs.
pub struct Handle {
    /// The environment it belongs to.
    pub env: Rc<Environment>,
    /// The number by which JavaScript and [`Environment::socket`] know it.
    pub id: i32,
    /// The loading of lib/ that it belongs to.
    pub loading: usize,
    /// See [`Environment::defer`].
    pub is_changed: Cell<bool>,
    context: RefCell<Option<Rc<AsyncContext>>>,
    open: RefCell<Option<Open>>,
    /// What is open keeps the process alive.
    keeps_alive: Cell<bool>,
    /// What waits to be sent does so whatever `keeps_alive` says.
    is_busy: Cell<bool>,
    /// Made on first use.
    retry: RefCell<Option<Retry>>,
}

impl Handle {
    /// Without a descriptor yet. Its async context starts with [`Handle::start`].
    pub fn new(env: &Rc<Environment>, id: i32, loading: usize) -> Handle {
        Handle {
            env: env.clone(),
            id,
            loading,
            is_changed: Cell::new(false),
            context: RefCell::new(None),
            open: RefCell::new(None),
            keeps_alive: Cell::new(true),
            is_busy: Cell::new(false),
            retry: RefCell::new(None),
        }
    }

    /// Starts the async context. Hooks of async_hooks run.
    pub fn start(&self) {
        let context = self.env.new_context().map(Rc::new);
        *self.context.borrow_mut() = context;
    }

    /// Releases everything.
    pub fn close(&self) {
        // Taken out first and dropped after the borrow.
        drop(self.retry.take());
        drop(self.open.take());
        drop(self.context.take());
    }

    /// Gives the descriptor up: nothing is closed, and the file stays.
    pub fn release(&self) -> Result<OwnedFd> {
        let mut open = self.open.take().ok_or(Errno::BADF)?;
        open.keep_file();
        Ok(open.fd)
    }

    /// Removes the socket file now, if it is still ours. Nothing else changes; nothing happens
    /// where there is none.
    pub fn remove_file(&self) -> Result<()> {
        match self.open.borrow_mut().as_mut() {
            Some(open) => open.file = None,
            None => return Err(Errno::BADF),
        }
        Ok(())
    }

    /// Takes a new descriptor.
    pub fn install(&self, fd: OwnedFd) {
        *self.open.borrow_mut() = Open::new(fd);
    }

    /// Takes over a descriptor that was opened elsewhere, if it passes `check`. On Err it is still
    /// the caller's: EEXIST if a socket of ours or any handle of the loop has it.
    pub fn adopt(
        &self,
        fd: RawFd,
        kind: Type,
        check: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
    ) -> Result<()> {
        if owned::is_owned(fd) {
            return Err(Errno::EXIST);
        }
        let borrowed = descriptor::borrow(fd)?;
        socket::demand_kind(borrowed, kind)?;
        self.env.demand_free(fd)?;
        // Its flags are those of everybody who has it: one that is refused keeps them.
        check(borrowed)?;
        self.install(socket::take_over(borrowed)?);
        Ok(())
    }

    /// Runs `body` with the descriptor; EBADF once it is closed.
    pub fn with_fd<T>(&self, body: impl FnOnce(BorrowedFd<'_>) -> Result<T>) -> Result<T> {
        match self.open.borrow().as_ref() {
            Some(open) => body(open.fd.as_fd()),
            None => Err(Errno::BADF),
        }
    }

    /// The descriptor's number.
    pub fn fd(&self) -> Result<RawFd> {
        self.with_fd(|fd| Ok(fd.as_raw_fd()))
    }

    /// Binds, and listens if the options say so; see [`socket_file::bind_at`].
    pub fn bind(&self, name: &[u8], options: &socket_file::Options) -> Result<()> {
        let folders = &self.env.folders;
        let bound = self.with_fd(|fd| socket_file::bind_at(fd, name, options, folders))?;
        if let Some(open) = self.open.borrow_mut().as_mut() {
            open.file = bound.file.map(Box::new);
        }
        Ok(())
    }

    /// Watches the descriptor for `mask` from now on. `is_busy`: something waits to be sent that
    /// has to go even if the socket does not keep the process alive.
    pub fn arm(&self, mask: i32, is_busy: bool) -> Result<()> {
        if self.is_busy.replace(is_busy) != is_busy {
            self.apply_ref();
        }
        let mut open = self.open.borrow_mut();
        let Some(open) = open.as_mut() else { return Ok(()) };
        if let Some(poll) = &open.poll {
            return poll.arm(mask);
        }
        if mask == 0 {
            return Ok(());
        }
        let token = Token { id: self.id, part: 0 };
        let poll = self.env.polls.watch(open.fd.as_raw_fd(), token)?;
        poll.set_ref(self.keeps_loop_alive());
        open.poll.insert(poll).arm(mask)
    }

    /// Whether its handles keep the event loop alive.
    pub fn keeps_loop_alive(&self) -> bool {
        self.keeps_alive.get() || self.is_busy.get()
    }

    /// Whether what is open keeps the process alive.
    pub fn set_ref(&self, keeps_alive: bool) {
        self.keeps_alive.set(keeps_alive);
        self.apply_ref();
    }

    fn apply_ref(&self) {
        let keeps_alive = self.keeps_loop_alive();
        if let Some(poll) = self.open.borrow().as_ref().and_then(|open| open.poll.as_ref()) {
            poll.set_ref(keeps_alive);
        }
        if let Some(retry) = self.retry.borrow().as_ref() {
            retry.timer.set_ref(keeps_alive);
        }
    }

    /// Calls `on_retry` after a pause, twice as long as the last, but no longer than `max`
    /// milliseconds.
    pub fn retry_later(&self, max: u64) {
        let mut retry = self.retry.borrow_mut();
        if retry.is_none() {
            let token = Token { id: self.id, part: 0 };
            let Ok(timer) = Timer::new(&self.env.event_loop, token) else { return };
            timer.set_ref(self.keeps_loop_alive());
            *retry = Some(Retry { timer, pause: 1 });
        }
        if let Some(Retry { timer, pause }) = retry.as_mut() {
            timer.start((*pause).min(max));
            *pause = (*pause * 2).min(MAX_ERROR_PAUSE);
        }
    }

    /// There was progress: the next pause is short.
    pub fn forget_retries(&self) {
        if let Some(retry) = self.retry.borrow_mut().as_mut() {
            retry.pause = 1;
        }
    }

    /// Nothing is left to retry.
    pub fn stop_retrying(&self) {
        if let Some(retry) = self.retry.borrow().as_ref() {
            retry.timer.stop();
        }
    }

    /// What a call into JavaScript needs: None once closed.
    pub fn callee(&self) -> Option<Callee> {
        let context = self.context.borrow().clone()?;
        Some(Callee { context, hooks: self.env.hooks(self.loading)? })
    }

    /// Reports an event to JavaScript.
    pub fn report(&self, event: Event, value: i32) {
        let Some(Callee { context, hooks }) = self.callee() else { return };
        let js = self.env.js;
        let args = [js.int(self.id), js.int(event as i32), js.int(value)];
        context.call(hooks.event.get(), &args);
    }
}

/// The JavaScript side of a call.
pub struct Callee {
    /// Kept alive beyond a close() during the call.
    pub context: Rc<AsyncContext>,
    /// The functions to call.
    pub hooks: Rc<Hooks>,
}
