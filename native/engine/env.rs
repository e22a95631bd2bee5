//! Owns: what belongs to one JavaScript environment (the main thread or a worker): its loop, its
//! sockets, the functions events go to, the memory messages arrive in, and the end of all that.
//!
//! A *turn* is a call of the event loop's into this code. Which polls are armed is settled at its
//! end: what JavaScript changes back and forth meanwhile costs no system call.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use napi::sys;

use crate::engine::batch::{Batch, Ledger, Slab};
use crate::engine::handle::{Event, Handle, Source};
use crate::engine::sockets::{Socket, Table};
use crate::node::js::{AsyncContext, Js, Reference};
use crate::node::polls::Polls;
use crate::node::uv::{Loop, READABLE, Signal, Soon, Token};
use crate::sys::errno::{Errno, Result};
use crate::sys::name::Folders;

/// How often what was done at once is reported after a poll, while reports lead to more of it: as
/// often as libuv does.
const ROUNDS: usize = 8;

/// Settled sends reported in one call without making a larger list.
const LEDGER: usize = 256;

/// The JavaScript functions that events go to: one loading of lib/.
pub struct Hooks {
    /// `(words, buffers)`: messages of a [`Batch`].
    pub messages: Reference,
    /// `(words)`: settled sends of a [`Ledger`].
    pub settled: Reference,
    /// `(id, count)`: connections of a listener.
    pub connections: Reference,
    /// `(id, kind, value)`: anything else.
    pub event: Reference,
}

/// One environment's state. Nothing of ours is global and mutable.
pub struct Environment {
    /// Node-API of this environment.
    pub js: Js,
    /// Its event loop.
    pub event_loop: Rc<Loop>,
    /// The loop's poll handles.
    pub polls: Rc<Polls>,
    /// The folders that names lead through.
    pub folders: Folders,
    /// Where received messages live until nobody refers to them.
    pub slab: RefCell<Slab>,
    /// An ArrayBuffer made for a stream's bytes, of which few came.
    pub spare: RefCell<Option<Reference>>,
    /// Where short strings become bytes: clearing so much memory for each would cost more than
    /// that.
    pub scratch: RefCell<Vec<u8>>,
    /// Where events go, for each loading of lib/ one. Empty once the environment has ended.
    loadings: RefCell<Vec<Rc<Hooks>>>,
    /// The name of async contexts, in an array: a reference to a string cannot be had.
    context_name: RefCell<Option<Reference>>,
    /// Lent to one batch at a time; a nested turn of the loop makes another.
    batch: Cell<Option<Batch>>,
    ledger: Cell<Option<Ledger>>,
    sockets: RefCell<Table<Socket>>,
    /// How many turns are under way, one inside the other.
    turns: Cell<u32>,
    /// What is to be reported in the loop's next phase, in order.
    due: RefCell<Vec<(i32, Event)>>,
    /// What is to be reported after the next poll, and what after the present one.
    due_polled: RefCell<Vec<(i32, Event)>>,
    polled: RefCell<Vec<(i32, Event)>>,
    /// Made on first use.
    soon: RefCell<Option<Soon>>,
    /// The socket whose event the present turn is, and whether it may wait for something else by
    /// now.
    current: Cell<(i32, bool)>,
    /// Other sockets that may wait for something else by now.
    changed: RefCell<Vec<i32>>,
    /// Descriptors that JavaScript has got from us in this turn.
    given: RefCell<Vec<RawFd>>,
    ended: Cell<bool>,
}

impl Environment {
    /// The state for the environment `js`, closed by an async cleanup hook when that ends.
    pub fn new(js: Js) -> Option<Rc<Environment>> {
        // SAFETY: the loop Node-API names, used on this environment's thread.
        let event_loop = unsafe { Loop::from_raw(js.event_loop()?) };
        let env = Rc::new(Environment {
            js,
            polls: Polls::new(&event_loop),
            event_loop,
            folders: Folders::default(),
            slab: RefCell::new(Slab::default()),
            spare: RefCell::new(None),
            scratch: RefCell::new(Vec::new()),
            loadings: RefCell::new(Vec::new()),
            context_name: RefCell::new(Reference::new(
                js,
                js.array([js.string("AFUNIXSOCKET")].into_iter()),
            )),
            batch: Cell::new(None),
            ledger: Cell::new(None),
            sockets: RefCell::new(Table::new()),
            turns: Cell::new(0),
            due: RefCell::new(Vec::new()),
            due_polled: RefCell::new(Vec::new()),
            polled: RefCell::new(Vec::new()),
            soon: RefCell::new(None),
            current: Cell::new((0, false)),
            changed: RefCell::new(Vec::new()),
            given: RefCell::new(Vec::new()),
            ended: Cell::new(false),
        });
        let me = Rc::downgrade(&env);
        env.event_loop.on_event(move |token, signal| {
            if let Some(env) = me.upgrade() {
                env.on_event(token, signal);
            }
        });
        let leaked = Rc::into_raw(env.clone()).cast_mut().cast();
        let mut handle = std::ptr::null_mut();
        // SAFETY: on_cleanup takes back the count leaked into `leaked`. napi-rs's own wrapper of
        // this function would remove the hook at once instead of after the last close callback.
        unsafe {
            sys::napi_add_async_cleanup_hook(js.raw(), Some(on_cleanup), leaked, &mut handle)
        };
        Some(env)
    }

    /// Another loading of lib/: where the events of its sockets go. Returns its number.
    pub fn attach(&self, hooks: Hooks) -> usize {
        let mut loadings = self.loadings.borrow_mut();
        loadings.push(Rc::new(hooks));
        loadings.len() - 1
    }

    /// Where the events of a loading's sockets go; None once the environment has ended.
    pub fn hooks(&self, loading: usize) -> Option<Rc<Hooks>> {
        self.loadings.borrow().get(loading).cloned()
    }

    /// A new async context. Hooks of async_hooks run.
    pub fn new_context(&self) -> Option<AsyncContext> {
        let name = self.context_name.borrow().as_ref().map(Reference::get)?;
        AsyncContext::new(self.js, self.js.element(name, 0)?)
    }

    /// Enters what `make` makes of a handle, and opens it: its number. Where `open` fails nothing
    /// is left. Hooks of async_hooks run.
    pub fn enter<S: Source>(
        self: &Rc<Environment>,
        loading: usize,
        wrap: fn(Rc<S>) -> Socket,
        make: impl FnOnce(Handle) -> S,
        open: impl FnOnce(&S) -> Result<()>,
    ) -> Result<i32> {
        let mut made = None;
        let id = self.sockets.borrow_mut().insert(|id| {
            wrap(made.insert(Rc::new(make(Handle::new(self, id, loading)))).clone())
        })?;
        let source = made.ok_or(Errno::NOMEM)?;
        if let Err(errno) = open(&source) {
            return self.close(id).and(Err(errno));
        }
        source.handle().start();
        Ok(id)
    }

    /// The socket with a number.
    pub fn socket(&self, id: i32) -> Option<Socket> {
        self.sockets.borrow().get(id).cloned()
    }

    /// Closes the socket with a number; EBADF if there is none.
    pub fn close(&self, id: i32) -> Result<()> {
        let socket = self.sockets.borrow_mut().remove(id).ok_or(Errno::BADF)?;
        socket.source().close();
        Ok(())
    }

    fn on_event(&self, token: Token, signal: Signal) {
        let on_socket = |call: &dyn Fn(&dyn Source)| {
            let Some(socket) = self.socket(token.id) else { return };
            self.in_turn(socket.source(), call);
        };
        match signal {
            Signal::Poll(event) => on_socket(&|source| source.on_poll(token.part, event)),
            Signal::Timer => on_socket(&|source| source.on_retry()),
            Signal::Soon { after } => self.report_due(after),
        }
    }

    fn in_turn(&self, source: &dyn Source, run: impl FnOnce(&dyn Source)) {
        self.turns.set(self.turns.get() + 1);
        let outer = self.current.replace((source.handle().id, false));
        // One scope for both: opening and closing one costs as much as a call into Node-API does.
        self.js.scope(|| {
            run(source);
            self.turns.set(self.turns.get() - 1);
            // Most turns change nothing but the socket that they are of.
            if self.current.replace(outer).1 {
                source.settle();
            }
            self.settle();
        });
        if self.turns.get() == 0 {
            self.given.borrow_mut().clear();
        }
    }

    /// Notes descriptors that came with a message and that JavaScript gets now.
    pub fn note_given(&self, fds: &[OwnedFd]) {
        if self.turns.get() > 0 {
            self.given.borrow_mut().extend(fds.iter().map(AsRawFd::as_raw_fd));
        }
    }

    /// EEXIST if a handle of anybody else's has the descriptor.
    ///
    /// To know that takes a look at every handle of the loop, which are many where connections are
    /// passed on. Of what has come in this very turn only those are asked for that are active: as
    /// libuv does it where a poll is started. That one is kept for the socket.
    pub fn demand_free(&self, fd: RawFd) -> Result<()> {
        let found = self.given.borrow().iter().position(|one| *one == fd);
        let Some(at) = found else { return self.polls.demand_free(fd) };
        self.given.borrow_mut().swap_remove(at);
        self.polls.watch(fd, Token::NONE)?.arm(READABLE)
    }

    /// Reports an event of a socket when libuv reports what was done at once: in a later phase of
    /// the loop, just before it polls or just after.
    pub fn report_soon(&self, id: i32, event: Event) -> Result<()> {
        self.start_soon()?;
        self.due.borrow_mut().push((id, event));
        Ok(())
    }

    /// Reports an event of a socket when libuv reports that a descriptor is ready which is: after
    /// the next poll of the loop.
    pub fn report_polled(&self, id: i32, event: Event) -> Result<()> {
        self.start_soon()?;
        self.due_polled.borrow_mut().push((id, event));
        Ok(())
    }

    fn nothing_due(&self) -> bool {
        [&self.due, &self.due_polled, &self.polled].iter().all(|list| list.borrow().is_empty())
    }

    fn start_soon(&self) -> Result<()> {
        if self.nothing_due() {
            let mut soon = self.soon.borrow_mut();
            match &*soon {
                Some(soon) => soon.start(),
                None => soon.insert(Soon::new(&self.event_loop)?).start(),
            }
        }
        Ok(())
    }

    /// The loop is about to poll, or has polled.
    fn report_due(&self, has_polled: bool) {
        if has_polled {
            self.report_all(self.polled.take());
        }
        for _ in 0..if has_polled { ROUNDS } else { 1 } {
            // What these lead to is of the next round.
            let due = self.due.take();
            if due.is_empty() {
                break;
            }
            self.report_all(due);
        }
        if !has_polled {
            self.polled.borrow_mut().append(&mut self.due_polled.borrow_mut());
        }
        if self.nothing_due()
            && let Some(soon) = &*self.soon.borrow()
        {
            soon.stop();
        }
    }

    fn report_all(&self, events: Vec<(i32, Event)>) {
        for (id, event) in events {
            let Some(socket) = self.socket(id) else { continue };
            self.in_turn(socket.source(), |source| source.handle().report(event, 0));
        }
    }

    /// Notes that a socket may wait for something else by now. False outside of turns: then it has
    /// to see to that itself.
    pub fn defer(&self, handle: &Handle) -> bool {
        if self.turns.get() == 0 {
            return false;
        }
        if self.current.get().0 == handle.id {
            self.current.set((handle.id, true));
        } else if !handle.is_changed.replace(true) {
            self.changed.borrow_mut().push(handle.id);
        }
        true
    }

    /// The end of a turn.
    fn settle(&self) {
        // Popped one by one: JavaScript hears of what cannot be armed, and may change others.
        while let Some(id) = {
            let mut changed = self.changed.borrow_mut();
            changed.pop()
        } {
            if let Some(socket) = self.socket(id) {
                socket.source().handle().is_changed.set(false);
                socket.source().settle();
            }
        }
    }

    /// Lends the environment's receive memory.
    pub fn take_batch(&self) -> Result<Batch> {
        match self.batch.take() {
            Some(batch) => Ok(batch),
            None => Batch::new(self.js),
        }
    }

    /// Gives it back.
    pub fn return_batch(&self, batch: Batch) {
        if !self.ended.get() {
            self.batch.set(Some(batch));
        }
    }

    /// Lends a list with room for `count` settled sends.
    pub fn take_ledger(&self, count: usize) -> Result<Ledger> {
        match self.ledger.take() {
            Some(ledger) if ledger.capacity() >= count => Ok(ledger),
            _ => Ledger::new(self.js, count.max(LEDGER)).ok_or(Errno::NOMEM),
        }
    }

    /// Gives it back.
    pub fn return_ledger(&self, ledger: Ledger) {
        if !self.ended.get() {
            self.ledger.set(Some(ledger));
        }
    }

    fn end(&self) {
        self.ended.set(true);
        for socket in self.sockets.replace(Table::new()).iter() {
            socket.source().close();
        }
        self.polls.close();
        self.soon.take();
        self.loadings.take();
        self.context_name.take();
        self.batch.take();
        self.ledger.take();
        self.spare.take();
        self.slab.take();
    }
}

unsafe extern "C" fn on_cleanup(
    handle: sys::napi_async_cleanup_hook_handle,
    environment: *mut c_void,
) {
    // SAFETY: the count leaked in Environment::new, taken back once.
    let env = unsafe { Rc::from_raw(environment.cast_const().cast::<Environment>()) };
    env.end();
    let event_loop = env.event_loop.clone();
    event_loop.when_empty(move || {
        // SAFETY: the handle given to this hook, removed once: the environment may go now.
        unsafe { sys::napi_remove_async_cleanup_hook(handle) };
        drop(env);
    });
}
