//! Owns: what sockets and listeners have in common: the descriptor with its poll and its file, the
//! async context, the retry timer, and the order in which they end.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};

use socket2::Type;

use crate::engine::env::{Environment, Hooks};
use crate::node::js::AsyncContext;
use crate::node::uv::{Poll, Timer};
use crate::sys::errno::{Errno, Result};
use crate::sys::socket;
use crate::sys::socket_file::{self, SocketFile};
use crate::sys::unix_addr::UnixAddr;

/// The longest pause between attempts for which the kernel offers no event, in milliseconds.
const MAX_RETRY_DELAY: u64 = 32;

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

/// What `event` tells JavaScript, see lib/native/sockets.js.
#[derive(Clone, Copy)]
pub enum Event {
    /// An error of the socket itself, as an errno, negated.
    Error = 0,
    /// The peer sends no more.
    End = 1,
    /// Accepting has to wait for memory or descriptors: an errno, negated. Told once each time.
    Shortage = 2,
    /// There is room to send to the peer, as asked for.
    Writable = 3,
}

/// A name to bind to, and what becomes of its file.
pub struct Binding {
    /// The name.
    pub to: UnixAddr,
    /// The file's permissions; None leaves them to the umask.
    pub mode: Option<u32>,
    /// The file's owner.
    pub uid: Option<u32>,
    /// The file's group.
    pub gid: Option<u32>,
    /// Removes the file at close.
    pub unlink: bool,
}

/// Something with a [`Core`].
pub trait Watched: 'static {
    /// Its core.
    fn core(&self) -> &Core;
    /// The descriptor is ready. Err: libuv saw POLLERR and stopped watching.
    fn on_ready(&self, event: Result<i32>);
    /// The time set by [`Core::retry_later`] has come.
    fn on_retry(&self);
    /// Releases everything, without running JavaScript. Idempotent.
    fn close(&self);
}

/// An open descriptor with what belongs to it. Field order is the order of closing: the poll
/// first, then the file (while the inode is still ours), then the descriptor.
struct Open {
    poll: Option<Poll>,
    file: Option<SocketFile>,
    fd: OwnedFd,
}

impl Open {
    /// The file stays when the socket is closed.
    fn keep_file(&mut self) {
        if let Some(file) = self.file.take() {
            file.keep();
        }
    }
}

/// The common part. Its rule: no `RefCell` borrow is alive while JavaScript runs.
pub struct Core {
    /// The environment it belongs to.
    pub env: Rc<Environment>,
    me: Weak<dyn Watched>,
    /// The number by which JavaScript and [`Environment::socket`] know it.
    pub id: i32,
    /// The loading of lib/ that it belongs to.
    pub loading: usize,
    context: RefCell<Option<Rc<AsyncContext>>>,
    open: RefCell<Option<Open>>,
    keeps_alive: Cell<bool>,
    retry: RefCell<Option<Timer>>,
    retry_delay: Cell<u64>,
}

impl Core {
    /// Without a descriptor yet. Its async context starts with [`Core::start`].
    pub fn new<T: Watched>(env: &Rc<Environment>, id: i32, loading: usize, me: &Weak<T>) -> Core {
        Core {
            env: env.clone(),
            me: me.clone(),
            id,
            loading,
            context: RefCell::new(None),
            open: RefCell::new(None),
            keeps_alive: Cell::new(true),
            retry: RefCell::new(None),
            retry_delay: Cell::new(1),
        }
    }

    /// Starts the async context. Hooks of async_hooks run.
    pub fn start(&self) {
        let context = AsyncContext::new(self.env.js, "AFUNIXSOCKET");
        *self.context.borrow_mut() = context.map(Rc::new);
    }

    /// Releases everything.
    pub fn close(&self) {
        // Taken out first and dropped after the borrow.
        drop(self.retry.take());
        drop(self.open.take());
        drop(self.context.take());
    }

    /// Gives the descriptor up: nothing is closed but the poll, and the file stays.
    pub fn release(&self) -> Result<OwnedFd> {
        let mut open = self.open.take().ok_or(Errno::BADF)?;
        open.keep_file();
        Ok(open.fd)
    }

    /// Takes a new descriptor.
    pub fn install(&self, fd: OwnedFd) {
        *self.open.borrow_mut() = Some(Open { poll: None, file: None, fd });
    }

    /// Takes over a descriptor that somebody else opened, if it passes `check`. On Err it is still
    /// the caller's.
    pub fn adopt(
        &self,
        fd: RawFd,
        kind: Type,
        check: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.env.owns(fd) {
            return Err(Errno::EXIST);
        }
        let owned = socket::adopt(fd, kind)?;
        // Watched from the start: this is where EEXIST shows that another handle watches it.
        match check(owned.as_fd()).and_then(|()| self.watch(fd)) {
            Ok(poll) => {
                *self.open.borrow_mut() = Some(Open { poll: Some(poll), file: None, fd: owned });
                Ok(())
            }
            Err(errno) => {
                let _ = owned.into_raw_fd();
                Err(errno)
            }
        }
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

    /// Binds; see [`socket_file::bind`].
    pub fn bind(&self, binding: &Binding) -> Result<()> {
        let file = self.with_fd(|fd| socket_file::bind(fd, &binding.to, binding.mode))?;
        // The file's owner is not changed yet.
        let _ = (binding.uid, binding.gid);
        if let Some(open) = self.open.borrow_mut().as_mut() {
            open.file = file;
            if !binding.unlink {
                open.keep_file();
            }
        }
        Ok(())
    }

    fn watch(&self, fd: RawFd) -> Result<Poll> {
        let me = self.me.clone();
        let on_event = move |event| {
            if let Some(me) = me.upgrade() {
                me.core().env.js.scope(|| me.on_ready(event));
            }
        };
        let poll = Poll::new(&self.env.event_loop, fd, Box::new(on_event))?;
        poll.set_ref(self.keeps_alive.get());
        Ok(poll)
    }

    /// Watches the descriptor for `mask` from now on.
    pub fn arm(&self, mask: i32) -> Result<()> {
        let unwatched = match self.open.borrow().as_ref() {
            None => return Ok(()),
            Some(Open { poll: Some(poll), .. }) => return poll.arm(mask),
            Some(Open { poll: None, fd, .. }) => fd.as_raw_fd(),
        };
        if mask == 0 {
            return Ok(());
        }
        let poll = self.watch(unwatched)?;
        let armed = poll.arm(mask);
        if let Some(open) = self.open.borrow_mut().as_mut() {
            open.poll = Some(poll);
        }
        armed
    }

    /// Whether what is open keeps the process alive.
    pub fn keeps_alive(&self) -> bool {
        self.keeps_alive.get()
    }

    /// Decides that.
    pub fn set_ref(&self, keeps_alive: bool) {
        self.keeps_alive.set(keeps_alive);
        if let Some(poll) = self.open.borrow().as_ref().and_then(|open| open.poll.as_ref()) {
            poll.set_ref(keeps_alive);
        }
        if let Some(timer) = self.retry.borrow().as_ref() {
            timer.set_ref(keeps_alive);
        }
    }

    /// Calls `on_retry` after a pause, twice as long as the last.
    pub fn retry_later(&self) {
        let mut retry = self.retry.borrow_mut();
        if retry.is_none() {
            let me = self.me.clone();
            let timer = Timer::new(&self.env.event_loop, move || {
                if let Some(me) = me.upgrade() {
                    me.core().env.js.scope(|| me.on_retry());
                }
            });
            let Ok(timer) = timer else { return };
            timer.set_ref(self.keeps_alive.get());
            *retry = Some(timer);
        }
        if let Some(timer) = retry.as_ref() {
            timer.start(self.retry_delay.get());
            self.retry_delay.set((self.retry_delay.get() * 2).min(MAX_RETRY_DELAY));
        }
    }

    /// There was progress: the next pause is short.
    pub fn forget_retries(&self) {
        self.retry_delay.set(1);
    }

    /// Nothing is left to retry.
    pub fn stop_retrying(&self) {
        if let Some(timer) = self.retry.borrow().as_ref() {
            timer.stop();
        }
    }

    /// What a call into JavaScript needs: None once closed.
    pub fn callee(&self) -> Option<Callee> {
        let context = self.context.borrow().clone()?;
        Some(Callee { context, hooks: self.env.hooks(self.loading)? })
    }

    /// Tells JavaScript.
    pub fn tell(&self, event: Event, value: i32) {
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
