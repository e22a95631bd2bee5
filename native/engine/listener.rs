//! Owns: listening sockets: accepting, with a budget for each wake-up and a pause when memory or
//! descriptors are short.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::{Rc, Weak};

use crate::engine::endpoint::{Endpoint, Options};
use crate::engine::env::Environment;
use crate::engine::handle::{Binding, Callee, Core, Event, Kind, Watched};
use crate::engine::sockets::Socket;
use crate::node::uv::READABLE;
use crate::sys::errno::{Errno, Result};
use crate::sys::socket;

/// Connections accepted before JavaScript hears of them.
const BATCH: usize = 16;
/// Connections accepted in one wake-up at most.
const BUDGET: usize = 64;

/// One listening socket.
pub struct Listener {
    core: Core,
    kind: Kind,
    accepting: Cell<bool>,
    /// Waits for memory or descriptors; JavaScript knows.
    is_short: Cell<bool>,
    /// Accepted, and not taken by JavaScript yet.
    accepted: RefCell<VecDeque<OwnedFd>>,
    options: Cell<Option<Options>>,
}

impl Listener {
    /// A socket that does not listen yet: its number.
    pub fn create(env: &Rc<Environment>, loading: usize, kind: Kind) -> Result<i32> {
        let fd = socket::create(kind.socket_type())?;
        Listener::enter(env, loading, kind, |listener| {
            listener.core.install(fd);
            Ok(())
        })
    }

    /// Takes over a listening socket; EINVAL if it does not listen. On Err it is the caller's.
    pub fn adopt(env: &Rc<Environment>, loading: usize, kind: Kind, fd: RawFd) -> Result<i32> {
        Listener::enter(env, loading, kind, |listener| {
            listener.core.adopt(fd, kind.socket_type(), |fd| {
                if socket::is_listening(fd) { Ok(()) } else { Err(Errno::INVAL) }
            })
        })
    }

    fn enter(
        env: &Rc<Environment>,
        loading: usize,
        kind: Kind,
        open: impl FnOnce(&Listener) -> Result<()>,
    ) -> Result<i32> {
        let mut made = None;
        let id = env.enter(|id| {
            let listener = Rc::new_cyclic(|me: &Weak<Listener>| Listener {
                core: Core::new(env, id, loading, me),
                kind,
                accepting: Cell::new(false),
                is_short: Cell::new(false),
                accepted: RefCell::new(VecDeque::new()),
                options: Cell::new(None),
            });
            Socket::Listener(made.insert(listener).clone())
        })?;
        let listener = made.ok_or(Errno::NOMEM)?;
        if let Err(errno) = open(&listener) {
            let _ = env.close(id);
            return Err(errno);
        }
        listener.core.start();
        Ok(id)
    }

    /// What connections get when they are taken.
    pub fn configure(&self, options: Options) -> Result<()> {
        if options.credentials {
            self.core.with_fd(socket::pass_credentials)?;
        }
        self.options.set(Some(options));
        Ok(())
    }

    /// Binds, and listens.
    pub fn listen(&self, binding: &Binding, backlog: i32) -> Result<()> {
        self.core.bind(binding)?;
        self.core.with_fd(|fd| socket::listen(fd, backlog))
    }

    /// Makes a socket of the next accepted connection: its number. EAGAIN if there is none.
    pub fn accept(&self) -> Result<i32> {
        let fd = self.accepted.borrow_mut().pop_front().ok_or(Errno::AGAIN)?;
        Endpoint::open(&self.core.env, self.core.loading, self.kind, fd, self.options.get())
    }

    /// Starts or stops accepting.
    pub fn set_accepting(&self, accepting: bool) -> Result<()> {
        self.accepting.set(accepting);
        if accepting {
            // Look again, and hand over what was accepted before a pause.
            self.is_short.set(false);
            if !self.accepted.borrow().is_empty() {
                self.core.retry_later();
            }
        }
        self.rearm()
    }

    fn rearm(&self) -> Result<()> {
        let watching = self.accepting.get() && !self.is_short.get();
        self.core.arm(if watching { READABLE } else { 0 })
    }

    fn accept_all(&self) {
        self.tell_accepted();
        let mut budget = BUDGET;
        while budget > 0 && self.accepting.get() {
            let (count, end) = self.accept_batch();
            if count > 0 {
                self.is_short.set(false);
                self.core.forget_retries();
                self.tell_accepted();
            }
            match end {
                None => budget -= count,
                Some(Errno::AGAIN) => break,
                Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => {
                    // The poll would fire for ever: look again after a pause.
                    self.core.retry_later();
                    if let Some(errno) = end.filter(|_| !self.is_short.replace(true)) {
                        self.core.tell(Event::Shortage, errno.to_js());
                    }
                    break;
                }
                Some(errno) => return self.core.tell(Event::Error, errno.to_js()),
            }
        }
        if let Err(errno) = self.rearm() {
            self.core.tell(Event::Error, errno.to_js());
        }
    }

    /// Accepts up to [`BATCH`] connections; says what ended it, if not that number.
    fn accept_batch(&self) -> (usize, Option<Errno>) {
        let mut count = 0;
        while count < BATCH {
            match self.core.with_fd(socket::accept) {
                Ok(fd) => self.accepted.borrow_mut().push_back(fd),
                // One that was given up in the meantime.
                Err(Errno::CONNABORTED) => continue,
                Err(errno) => return (count, Some(errno)),
            }
            count += 1;
        }
        (count, None)
    }

    fn tell_accepted(&self) {
        // After an exception in a handler (it is an uncaughtException by then) the others still
        // have their turn; without progress the environment is being terminated.
        loop {
            let left = self.accepted.borrow().len();
            if left == 0 || !self.accepting.get() {
                return;
            }
            let Some(Callee { context, hooks }) = self.core.callee() else { return };
            let js = self.core.env.js;
            let args = [js.int(self.core.id), js.int(left as i32)];
            context.call(hooks.connections.get(), &args);
            if self.accepted.borrow().len() >= left {
                return;
            }
        }
    }
}

impl Watched for Listener {
    fn core(&self) -> &Core {
        &self.core
    }

    fn on_ready(&self, event: Result<i32>) {
        if event.is_err()
            && let Ok(Some(errno)) = self.core.with_fd(|fd| Ok(socket::take_error(fd)))
        {
            self.core.tell(Event::Error, errno.to_js());
        }
        self.accept_all();
    }

    fn on_retry(&self) {
        self.accept_all();
        // Whoever waited may have gone: then nothing is short any more.
        if self.is_short.get() && self.accepting.get() {
            self.core.retry_later();
        }
    }

    fn close(&self) {
        self.accepting.set(false);
        drop(self.accepted.take());
        self.core.close();
    }
}
