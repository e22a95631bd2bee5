//! Owns: what belongs to one JavaScript environment (the main thread or a worker): its loop, the
//! functions events go to, the memory messages arrive in, and the list of what must be closed
//! when it ends.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::os::fd::RawFd;
use std::rc::{Rc, Weak};

use napi::sys;

use crate::engine::batch::{Batch, Ledger, Slab};
use crate::node::js::{Js, Reference};
use crate::node::uv::Loop;
use crate::sys::errno::{Errno, Result};

/// Settled sends told in one call without making a larger list.
const LEDGER: usize = 256;

/// Something that must be closed before its environment ends.
pub trait Resource {
    /// Releases handles and descriptors, without running JavaScript. Idempotent.
    fn shut_down(&self);
    /// Whether the descriptor `fd` is this one's.
    fn owns(&self, fd: RawFd) -> bool;
    /// For a downcast to what it is.
    fn as_any(self: Rc<Self>) -> Rc<dyn Any>;
}

/// The JavaScript functions that events go to. `this` is the handle concerned.
pub struct Hooks {
    /// `(words, buffers)`: messages of a [`Batch`].
    pub messages: Reference,
    /// `(words)`: settled sends of a [`Ledger`].
    pub settled: Reference,
    /// `(count)`: connections of a listener.
    pub connections: Reference,
    /// `(kind, value)`: anything else.
    pub event: Reference,
}

/// One environment's state. Nothing of ours is global and mutable.
pub struct Environment {
    /// Node-API of this environment.
    pub js: Js,
    /// Its event loop.
    pub event_loop: Rc<Loop>,
    /// Set by `setHooks`, before the first handle exists.
    hooks: RefCell<Option<Rc<Hooks>>>,
    /// Lent to one batch at a time; a nested turn of the loop makes another.
    batch: RefCell<Option<Batch>>,
    ledger: RefCell<Option<Ledger>>,
    /// Where received messages live until nobody refers to them.
    pub slab: RefCell<Slab>,
    /// An ArrayBuffer made for a stream's bytes, of which few came.
    pub spare: RefCell<Option<Reference>>,
    /// By number; numbers are used again.
    resources: RefCell<Vec<Option<Weak<dyn Resource>>>>,
    free_numbers: RefCell<Vec<usize>>,
    ended: Cell<bool>,
}

impl Environment {
    /// The state for the environment `js`, closed by an async cleanup hook when that ends.
    pub fn new(js: Js) -> Option<Rc<Environment>> {
        // SAFETY: the loop Node-API names, used on this environment's thread.
        let event_loop = unsafe { Loop::from_raw(js.event_loop()?) };
        let env = Rc::new(Environment {
            js,
            event_loop,
            hooks: RefCell::new(None),
            batch: RefCell::new(None),
            ledger: RefCell::new(None),
            slab: RefCell::new(Slab::default()),
            spare: RefCell::new(None),
            resources: RefCell::new(Vec::new()),
            free_numbers: RefCell::new(Vec::new()),
            ended: Cell::new(false),
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

    /// Tells where events go.
    pub fn set_hooks(&self, hooks: Hooks) {
        *self.hooks.borrow_mut() = Some(Rc::new(hooks));
    }

    /// Where events go; None once the environment has ended.
    pub fn hooks(&self) -> Option<Rc<Hooks>> {
        self.hooks.borrow().clone()
    }

    /// Enters something that has to be closed at the end; returns its number, which is its own
    /// until [`Self::forget`].
    pub fn remember(&self, resource: Weak<dyn Resource>) -> usize {
        let mut resources = self.resources.borrow_mut();
        match self.free_numbers.borrow_mut().pop() {
            Some(number) => {
                resources[number] = Some(resource);
                number
            }
            None => {
                resources.push(Some(resource));
                resources.len() - 1
            }
        }
    }

    /// The resource with a number.
    pub fn resource(&self, number: usize) -> Option<Rc<dyn Resource>> {
        self.resources.borrow().get(number)?.as_ref()?.upgrade()
    }

    /// Whether a living resource owns the descriptor `fd`.
    pub fn owns(&self, fd: RawFd) -> bool {
        let resources = self.resources.borrow();
        resources.iter().flatten().filter_map(Weak::upgrade).any(|resource| resource.owns(fd))
    }

    /// It is gone.
    pub fn forget(&self, number: usize) {
        // Its memory goes after the borrow.
        let gone = self.resources.borrow_mut()[number].take();
        self.free_numbers.borrow_mut().push(number);
        drop(gone);
    }

    /// Lends the environment's receive memory.
    pub fn take_batch(&self) -> Result<Batch> {
        match self.batch.borrow_mut().take() {
            Some(batch) => Ok(batch),
            None => Batch::new(self.js),
        }
    }

    /// Gives it back.
    pub fn return_batch(&self, batch: Batch) {
        if !self.ended.get() {
            *self.batch.borrow_mut() = Some(batch);
        }
    }

    /// Lends a list with room for `count` settled sends.
    pub fn take_ledger(&self, count: usize) -> Result<Ledger> {
        match self.ledger.borrow_mut().take() {
            Some(ledger) if ledger.capacity() >= count => Ok(ledger),
            _ => Ledger::new(self.js, count.max(LEDGER)).ok_or(Errno::NOMEM),
        }
    }

    /// Gives it back.
    pub fn return_ledger(&self, ledger: Ledger) {
        if !self.ended.get() {
            *self.ledger.borrow_mut() = Some(ledger);
        }
    }

    fn end(&self) {
        self.ended.set(true);
        let living = |resource: &Option<Weak<dyn Resource>>| resource.as_ref()?.upgrade();
        let resources: Vec<_> = self.resources.borrow().iter().filter_map(living).collect();
        for resource in resources {
            resource.shut_down();
        }
        self.hooks.borrow_mut().take();
        self.batch.borrow_mut().take();
        self.ledger.borrow_mut().take();
        self.spare.borrow_mut().take();
        *self.slab.borrow_mut() = Slab::default();
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
