//! Owns: listening sockets: accepting, with a budget for each wake-up and a pause when memory or
//! descriptors are short.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::rc::Rc;

use crate::engine::endpoint::{Endpoint, Options, prepare};
use crate::engine::env::Environment;
use crate::engine::handle::Source;
use crate::engine::handle::{Callee, Event, Handle, Kind, MAX_ERROR_PAUSE, MAX_SEND_PAUSE};
use crate::engine::in_vain::{self, InVain};
use crate::engine::sockets::Socket;
use crate::node::uv::{DISCONNECT, READABLE};
use crate::sys::errno::{Errno, Result};
use crate::sys::{mark, peer, socket, socket_file};

/// Connections accepted before JavaScript hears of them, on a socket of its own.
const BATCH: usize = 16;
/// Connections accepted in one wake-up at most.
const BUDGET: usize = 64;

/// Why a listener looks for connections only now and then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// Memory or descriptors are short; JavaScript knows.
    Shortage,
    /// Accepting fails for good, perhaps; JavaScript knows.
    Failure,
    /// The poll says so, again and again, and there is none.
    InVain,
}

/// One listening socket.
pub struct Listener {
    handle: Handle,
    kind: Kind,
    /// Connections accepted before JavaScript hears of them: one, where others may share the
    /// socket. What was accepted and not taken is lost when a handler closes this one, while those
    /// in the backlog are theirs.
    batch: usize,
    /// Others can connect.
    is_listening: Cell<bool>,
    is_accepting: Cell<bool>,
    /// Messages of its connections are marked from the start, see [`prepare`].
    marks_messages: Cell<bool>,
    trouble: Cell<Trouble>,
    in_vain: InVain,
    /// Accepted, and not taken by JavaScript yet.
    accepted: RefCell<VecDeque<OwnedFd>>,
    /// Taken by JavaScript just now, and not read yet.
    fresh: RefCell<Vec<i32>>,
    /// For connections; None where they get what is usual.
    options: Cell<Option<Options>>,
}

impl Listener {
    /// A socket that does not listen yet: its number.
    pub fn create(env: &Rc<Environment>, loading: usize, kind: Kind) -> Result<i32> {
        let fd = socket::create(kind.socket_type())?;
        env.enter(
            loading,
            Socket::Listener,
            |handle| Listener::new(handle, kind, BATCH),
            |listener| {
                listener.handle.install(fd);
                Ok(())
            },
        )
    }

    /// Takes over a listening socket; EINVAL if it does not listen. On Err it is the caller's.
    pub fn adopt(env: &Rc<Environment>, loading: usize, kind: Kind, fd: RawFd) -> Result<i32> {
        env.enter(
            loading,
            Socket::Listener,
            |handle| Listener::new(handle, kind, 1),
            |listener| {
                listener.is_listening.set(true);
                listener.handle.adopt(fd, kind.socket_type(), |fd| {
                    if socket::is_listening(fd) { Ok(()) } else { Err(Errno::INVAL) }
                })
            },
        )
    }

    fn new(handle: Handle, kind: Kind, batch: usize) -> Listener {
        Listener {
            handle,
            kind,
            batch,
            is_listening: Cell::new(false),
            is_accepting: Cell::new(false),
            marks_messages: Cell::new(false),
            trouble: Cell::new(Trouble::None),
            in_vain: InVain::default(),
            accepted: RefCell::new(VecDeque::new()),
            fresh: RefCell::new(Vec::new()),
            options: Cell::new(None),
        }
    }

    /// Binds and listens; see [`socket_file::bind_at`].
    pub fn listen(&self, name: &[u8], options: &socket_file::Options) -> Result<()> {
        if self.kind == Kind::Seqpacket {
            self.marks_messages.set(self.handle.with_fd(mark::mark_by_label)?);
        }
        self.handle.bind(name, options)?;
        self.is_listening.set(true);
        self.arm()
    }

    /// What connections get when they are taken. Their credentials are asked for here already: they
    /// inherit it, and what they send before they are accepted has them, too.
    pub fn configure(&self, options: Options) -> Result<()> {
        if options.credentials {
            self.handle.with_fd(socket::pass_credentials)?;
        }
        if options.pidfd {
            self.handle.with_fd(|fd| peer::pass_pidfd(fd, true))?;
        }
        self.options.set(Some(options));
        Ok(())
    }

    /// Makes a socket of the next accepted connection: its number. EAGAIN if there is none.
    pub fn accept(&self) -> Result<i32> {
        let fd = self.accepted.borrow_mut().pop_front().ok_or(Errno::AGAIN)?;
        let Handle { env, loading, .. } = &self.handle;
        if !self.marks_messages.get() {
            prepare(fd.as_fd(), self.kind)?;
        }
        let options = self.options.get();
        let id = Endpoint::enter_prepared(env, *loading, self.kind, fd, options)?;
        self.fresh.borrow_mut().push(id);
        Ok(id)
    }

    /// Starts or stops accepting.
    pub fn set_accepting(&self, is_accepting: bool) -> Result<()> {
        self.is_accepting.set(is_accepting);
        if is_accepting {
            // Look again, and hand over what was accepted before a pause.
            self.trouble.set(Trouble::None);
            if !self.accepted.borrow().is_empty() {
                self.handle.retry_later(MAX_SEND_PAUSE);
            }
        }
        if self.handle.env.defer(&self.handle) { Ok(()) } else { self.arm() }
    }

    /// Whether it waits for memory or descriptors, and looks for them now and then.
    pub fn is_short(&self) -> bool {
        self.trouble.get() == Trouble::Shortage
    }

    fn arm(&self) -> Result<()> {
        let mask = match (self.trouble.get(), self.is_accepting.get()) {
            (Trouble::None, true) => READABLE,
            // For something that does not come: as in net, a server keeps the process alive.
            (Trouble::None, false) if self.is_listening.get() => DISCONNECT,
            _ => 0,
        };
        self.handle.arm(mask, false)
    }

    /// `was_woken`: the poll says that there are connections.
    fn accept_all(&self, was_woken: bool) {
        self.report_accepted();
        let (mut budget, mut is_in_vain) = (BUDGET, true);
        while budget > 0 && self.is_accepting.get() {
            let (count, end) = self.accept_batch();
            if count > 0 {
                is_in_vain = false;
                self.in_vain.forget();
                self.trouble.set(Trouble::None);
                self.handle.forget_retries();
                self.report_accepted();
            }
            match end {
                None => budget -= self.batch,
                Some(Errno::AGAIN) => break,
                Some(errno) => return self.look_later(errno),
            }
        }
        if !self.is_accepting.get() {
            return;
        }
        self.trouble.set(Trouble::None);
        if was_woken && is_in_vain && self.in_vain.add() {
            self.trouble.set(Trouble::InVain);
            self.handle.retry_later(in_vain::MAX_PAUSE);
        }
    }

    /// The poll would fire for ever: looks again after a pause.
    fn look_later(&self, errno: Errno) {
        let is_short = matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS);
        let (trouble, event, max) = match is_short {
            true => (Trouble::Shortage, Event::Shortage, MAX_SEND_PAUSE),
            false => (Trouble::Failure, Event::Error, MAX_ERROR_PAUSE),
        };
        self.handle.retry_later(max);
        if self.trouble.replace(trouble) != trouble {
            self.handle.report(event, errno.to_js());
        }
    }

    /// Accepts as often as a batch has connections: how many there were, and what ended it before.
    fn accept_batch(&self) -> (usize, Option<Errno>) {
        let mut count = 0;
        for _ in 0..self.batch {
            match self.handle.with_fd(socket::accept) {
                Ok(fd) => self.accepted.borrow_mut().push_back(fd),
                // One that was given up in the meantime.
                Err(Errno::CONNABORTED) => continue,
                Err(errno) => return (count, Some(errno)),
            }
            count += 1;
        }
        (count, None)
    }

    fn report_accepted(&self) {
        // After an exception in a handler (it is an uncaughtException by then) the others still
        // have their turn; without progress the environment is being terminated.
        loop {
            let left = self.accepted.borrow().len();
            if left == 0 || !self.is_accepting.get() {
                return;
            }
            let Some(Callee { context, hooks }) = self.handle.callee() else { return };
            let js = self.handle.env.js;
            let args = [js.int(self.handle.id), js.int(left as i32)];
            self.fresh.borrow_mut().clear();
            context.call(hooks.connections.get(), &args);
            self.read_fresh();
            if self.accepted.borrow().len() >= left {
                return;
            }
        }
    }

    /// Reads what came with the new connections already, before their polls are armed: many end
    /// with that.
    fn read_fresh(&self) {
        for id in self.fresh.take() {
            if let Some(Socket::Endpoint(endpoint)) = self.handle.env.socket(id) {
                endpoint.read_first();
            }
        }
    }
}

impl Source for Listener {
    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn on_poll(&self, _part: u32, event: Result<i32>) {
        if event.is_err()
            && let Ok(Some(errno)) = self.handle.with_fd(|fd| Ok(socket::take_error(fd)))
        {
            self.handle.report(Event::Error, errno.to_js());
        }
        if !self.is_accepting.get() {
            // Shut down by whoever shares it, which is seen when it accepts again.
            self.trouble.set(Trouble::Failure);
        }
        self.accept_all(true);
        self.handle.env.defer(&self.handle);
    }

    fn on_retry(&self) {
        self.accept_all(false);
        self.handle.env.defer(&self.handle);
    }

    fn settle(&self) {
        if let Err(errno) = self.arm() {
            self.look_later(errno);
        }
    }

    fn close(&self) {
        self.is_accepting.set(false);
        drop(self.accepted.take());
        self.handle.close();
    }
}
