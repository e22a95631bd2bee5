//! Owns: everything that knows libuv. Types come from `libuv-sys2`, functions from the process
//! that loaded us, so that this addon always runs on the host's own copy of libuv.
//!
//! `libuv-sys2` also compiles a libuv; calling any function through that crate would link it and
//! run a foreign libuv over Node's loop. `scripts/check-symbols.js` fails the build if that
//! happens.
#![allow(unsafe_code)]

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::OnceLock;

use libuv_sys2 as types;
use types::{uv_check_t, uv_handle_t, uv_idle_t, uv_loop_t, uv_poll_t, uv_timer_t};

use crate::sys::errno::{Errno, Result};

/// Readiness to read, as in `uv_poll_event`.
pub const READABLE: i32 = types::uv_poll_event_UV_READABLE as i32;
/// Readiness to write.
pub const WRITABLE: i32 = types::uv_poll_event_UV_WRITABLE as i32;

/// The other end is gone; a listener says it once it is shut down.
pub const DISCONNECT: i32 = types::uv_poll_event_UV_DISCONNECT as i32;

/// Defines the table of host functions and its loader from one list.
macro_rules! host_functions {
    ($($name:ident: fn($($arg:ty),*) $(-> $ret:ty)?;)+) => {
        struct Host {
            $($name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)+
        }

        impl Host {
            fn resolve() -> std::result::Result<Host, &'static str> {
                Ok(Host {
                    $($name: {
                        let address = lookup(concat!(stringify!($name), "\0"))
                            .ok_or(stringify!($name))?;
                        // SAFETY: libuv's stable C ABI gives this name this signature.
                        unsafe {
                            std::mem::transmute::<
                                NonNull<c_void>,
                                unsafe extern "C" fn($($arg),*) $(-> $ret)?,
                            >(address)
                        }
                    },)+
                })
            }
        }
    };
}

type PollCallback = unsafe extern "C" fn(*mut uv_poll_t, c_int, c_int);
type TimerCallback = unsafe extern "C" fn(*mut uv_timer_t);
type IdleCallback = unsafe extern "C" fn(*mut uv_idle_t);
type CheckCallback = unsafe extern "C" fn(*mut uv_check_t);
type WalkCallback = unsafe extern "C" fn(*mut uv_handle_t, *mut c_void);
type CloseCallback = unsafe extern "C" fn(*mut uv_handle_t);

host_functions! {
    uv_version_string: fn() -> *const c_char;
    uv_handle_size: fn(types::uv_handle_type) -> usize;
    uv_handle_get_data: fn(*const uv_handle_t) -> *mut c_void;
    uv_handle_set_data: fn(*mut uv_handle_t, *mut c_void);
    uv_handle_get_type: fn(*const uv_handle_t) -> types::uv_handle_type;
    uv_is_active: fn(*const uv_handle_t) -> c_int;
    uv_fileno: fn(*const uv_handle_t, *mut c_int) -> c_int;
    uv_walk: fn(*mut uv_loop_t, WalkCallback, *mut c_void);
    uv_ref: fn(*mut uv_handle_t);
    uv_unref: fn(*mut uv_handle_t);
    uv_close: fn(*mut uv_handle_t, CloseCallback);
    uv_poll_init: fn(*mut uv_loop_t, *mut uv_poll_t, c_int) -> c_int;
    uv_poll_start: fn(*mut uv_poll_t, c_int, PollCallback) -> c_int;
    uv_poll_stop: fn(*mut uv_poll_t) -> c_int;
    uv_timer_init: fn(*mut uv_loop_t, *mut uv_timer_t) -> c_int;
    uv_timer_start: fn(*mut uv_timer_t, TimerCallback, u64, u64) -> c_int;
    uv_timer_stop: fn(*mut uv_timer_t) -> c_int;
    uv_idle_init: fn(*mut uv_loop_t, *mut uv_idle_t) -> c_int;
    uv_idle_start: fn(*mut uv_idle_t, IdleCallback) -> c_int;
    uv_idle_stop: fn(*mut uv_idle_t) -> c_int;
    uv_check_init: fn(*mut uv_loop_t, *mut uv_check_t) -> c_int;
    uv_check_start: fn(*mut uv_check_t, CheckCallback) -> c_int;
    uv_check_stop: fn(*mut uv_check_t) -> c_int;
}

/// Written once, with the same addresses whoever is first; read by every thread after that.
static HOST: OnceLock<std::result::Result<Host, &'static str>> = OnceLock::new();

fn lookup(name: &'static str) -> Option<NonNull<c_void>> {
    let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
    // SAFETY: a NUL-terminated name; RTLD_DEFAULT searches what the process has loaded.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// Resolves libuv in the host process. Err names the first function the host lacks.
pub fn load() -> std::result::Result<(), &'static str> {
    HOST.get_or_init(Host::resolve).as_ref().map(|_| ()).map_err(|missing| *missing)
}

fn host() -> &'static Host {
    match HOST.get() {
        Some(Ok(host)) => host,
        _ => unreachable!("the module registers its classes only after uv::load() succeeded"),
    }
}

/// The host's libuv version, as in `process.versions.uv`.
pub fn version() -> &'static str {
    // SAFETY: returns a static NUL-terminated string.
    unsafe { CStr::from_ptr((host().uv_version_string)()) }.to_str().unwrap_or("")
}

/// Whom an event concerns: a socket's number, and which of its parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The number; 0 is no socket's.
    pub id: i32,
    /// 0 is the socket itself.
    pub part: u32,
}

impl Token {
    /// Nobody's.
    pub const NONE: Token = Token { id: 0, part: 0 };
}

/// What happened to a handle.
pub enum Signal {
    /// The descriptor is ready. Err: libuv saw POLLERR and stopped watching.
    Poll(Result<i32>),
    /// The timer fired.
    Timer,
    /// The loop is about to poll, or has polled: a [`Soon`] was started.
    Soon {
        /// It has polled.
        after: bool,
    },
}

/// One environment's event loop, and the count of our handles that it still knows.
pub struct Loop {
    raw: *mut uv_loop_t,
    handles: Cell<usize>,
    /// Gets every event of our handles.
    dispatch: OnceCell<Box<dyn Fn(Token, Signal)>>,
    /// Runs when the last handle's close callback has; set once, at the end of the environment.
    when_empty: RefCell<Option<Box<dyn FnOnce()>>>,
}

impl Loop {
    /// Wraps the loop of a Node environment.
    ///
    /// # Safety
    /// `raw` is that environment's loop, and is used on its thread alone while the loop lives.
    pub unsafe fn from_raw(raw: *mut c_void) -> Rc<Loop> {
        let (handles, dispatch) = (Cell::new(0), OnceCell::new());
        Rc::new(Loop { raw: raw.cast(), handles, dispatch, when_empty: RefCell::new(None) })
    }

    /// Says who gets the events, once.
    pub fn on_event(&self, dispatch: impl Fn(Token, Signal) + 'static) {
        let _ = self.dispatch.set(Box::new(dispatch));
    }

    /// Calls `done` once no handle of ours is left on the loop: at once if there is none.
    pub fn when_empty(&self, done: impl FnOnce() + 'static) {
        if self.handles.get() == 0 {
            done();
        } else {
            *self.when_empty.borrow_mut() = Some(Box::new(done));
        }
    }

    fn handle_closed(&self) {
        self.handles.set(self.handles.get() - 1);
        if self.handles.get() == 0 {
            let done = self.when_empty.borrow_mut().take();
            if let Some(done) = done {
                done();
            }
        }
    }

    /// Whether a handle of anybody's, other than `ours`, has the descriptor `fd`: also one that
    /// does not read just now. A poll that is stopped does not count: perhaps it is kept for later,
    /// as those of this package are.
    pub fn is_taken(&self, fd: c_int, ours: Option<&PollHandle>) -> bool {
        let ours = ours.map_or(std::ptr::null_mut(), |poll| poll.0.raw.as_ptr());
        let mut search = Search { fd, ours, found: false };
        // SAFETY: the live loop of this thread; `search` outlives the walk.
        unsafe { (host().uv_walk)(self.raw, search_one, (&raw mut search).cast()) };
        search.found
    }
}

/// What a walk over the loop's handles looks for.
struct Search {
    fd: c_int,
    ours: *mut uv_handle_t,
    found: bool,
}

unsafe extern "C" fn search_one(raw: *mut uv_handle_t, search: *mut c_void) {
    // SAFETY: what is_taken gave to the walk, which is the only one to use it.
    let search = unsafe { &mut *search.cast::<Search>() };
    let mut fd = -1;
    // SAFETY: a live handle; uv_fileno fails for those that have no descriptor or are closing.
    let is_same = unsafe { (host().uv_fileno)(raw, &mut fd) } == 0 && fd == search.fd;
    if !is_same || raw == search.ours {
        return;
    }
    // SAFETY: as above.
    let (is_poll, is_active) = unsafe {
        (
            (host().uv_handle_get_type)(raw) == types::uv_handle_type_UV_POLL,
            (host().uv_is_active)(raw) != 0,
        )
    };
    search.found |= is_active || !is_poll;
}

/// What libuv's callbacks find behind a handle's `data`. Freed, with the handle's memory, in the
/// close callback and nowhere else.
struct Shared {
    event_loop: Rc<Loop>,
    layout: std::alloc::Layout,
    token: Cell<Token>,
    /// The mask a poll is armed with; 0 also after libuv stopped it by itself.
    armed: Cell<i32>,
    /// The kernel may still know a poll's descriptor.
    is_registered: Cell<bool>,
}

/// A libuv handle allocated by the host's own idea of its size, closed on drop.
struct RawHandle {
    raw: NonNull<uv_handle_t>,
    shared: NonNull<Shared>,
}

impl RawHandle {
    /// `init` is a `uv_*_init` call; where it fails libuv knows nothing of the memory yet.
    fn new(
        event_loop: &Rc<Loop>,
        kind: types::uv_handle_type,
        token: Token,
        init: impl FnOnce(*mut uv_loop_t, *mut uv_handle_t) -> c_int,
    ) -> Result<RawHandle> {
        // SAFETY: a pure size query.
        let size = unsafe { (host().uv_handle_size)(kind) };
        let layout = std::alloc::Layout::from_size_align(size, 16).map_err(|_| Errno::NOMEM)?;
        // SAFETY: the layout has a non-zero size, and zeroes are what libuv's init expects at most.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) };
        let raw = NonNull::new(memory.cast::<uv_handle_t>()).ok_or(Errno::NOMEM)?;
        let status = init(event_loop.raw, raw.as_ptr());
        if status != 0 {
            // SAFETY: allocated above with this layout, and libuv kept no pointer to it.
            unsafe { std::alloc::dealloc(memory, layout) };
            return Err(Errno::from_uv(status));
        }
        event_loop.handles.set(event_loop.handles.get() + 1);
        let shared = Box::new(Shared {
            event_loop: event_loop.clone(),
            layout,
            token: Cell::new(token),
            armed: Cell::new(0),
            is_registered: Cell::new(false),
        });
        let shared = NonNull::from(Box::leak(shared));
        // SAFETY: an initialised handle; `shared` lives until its close callback.
        unsafe { (host().uv_handle_set_data)(raw.as_ptr(), shared.as_ptr().cast()) };
        Ok(RawHandle { raw, shared })
    }

    fn shared(&self) -> &Shared {
        // SAFETY: freed only in the close callback, which comes after this handle's drop.
        unsafe { self.shared.as_ref() }
    }

    fn set_ref(&self, keeps_alive: bool) {
        let change = if keeps_alive { host().uv_ref } else { host().uv_unref };
        // SAFETY: a live handle on this thread's loop.
        unsafe { change(self.raw.as_ptr()) };
    }
}

impl Drop for RawHandle {
    fn drop(&mut self) {
        self.shared().token.set(Token::NONE);
        // SAFETY: a live handle, closed once; uv_close stops it before it returns, and allows
        // being called from the handle's own callback.
        unsafe { (host().uv_close)(self.raw.as_ptr(), on_close) };
    }
}

unsafe extern "C" fn on_close(raw: *mut uv_handle_t) {
    // SAFETY: `data` is the Shared leaked in RawHandle::new; this is the last use of both.
    unsafe {
        let shared = Box::from_raw((host().uv_handle_get_data)(raw).cast::<Shared>());
        let Shared { event_loop, layout, .. } = *shared;
        std::alloc::dealloc(raw.cast(), layout);
        event_loop.handle_closed();
    }
}

/// Hands an event on. Nothing of the handle is used after that: JavaScript may close it and run the
/// loop until its memory is gone.
unsafe fn notify(raw: *mut uv_handle_t, signal: Signal) {
    // SAFETY: `data` is the Shared leaked in RawHandle::new, alive until the close callback.
    let (event_loop, token) = unsafe {
        let shared = &*(host().uv_handle_get_data)(raw).cast::<Shared>();
        if let Signal::Poll(Err(_)) = signal {
            shared.armed.set(0);
        }
        (shared.event_loop.clone(), shared.token.get())
    };
    if let Some(dispatch) = event_loop.dispatch.get() {
        dispatch(token, signal);
    }
}

unsafe extern "C" fn on_poll(raw: *mut uv_poll_t, status: c_int, events: c_int) {
    let event = if status < 0 { Err(Errno::from_uv(status)) } else { Ok(events) };
    // SAFETY: libuv passes the handle it was started with.
    unsafe { notify(raw.cast(), Signal::Poll(event)) };
}

unsafe extern "C" fn on_timer(raw: *mut uv_timer_t) {
    // SAFETY: libuv passes the handle it was started with.
    unsafe { notify(raw.cast(), Signal::Timer) };
}

/// A `uv_poll_t` of a descriptor's number. Closed by dropping, while the number is its user's.
pub struct PollHandle(RawHandle);

impl PollHandle {
    /// A stopped one. EEXIST if the loop watches this descriptor, EPERM if it cannot be polled.
    pub fn new(event_loop: &Rc<Loop>, fd: c_int) -> Result<PollHandle> {
        let init = |uv_loop, raw: *mut uv_handle_t| {
            // SAFETY: the loop is live and `raw` has the size of a uv_poll_t.
            unsafe { (host().uv_poll_init)(uv_loop, raw.cast(), fd) }
        };
        let kind = types::uv_handle_type_UV_POLL;
        RawHandle::new(event_loop, kind, Token::NONE, init).map(PollHandle)
    }

    /// Who gets its events from now on.
    pub fn set_token(&self, token: Token) {
        self.0.shared().token.set(token);
    }

    /// The mask in force.
    pub fn armed(&self) -> i32 {
        self.0.shared().armed.get()
    }

    /// Watches for `mask` from now on; 0 stops. An unchanged mask costs nothing. EEXIST where
    /// another handle watches the number.
    pub fn arm(&self, mask: i32) -> Result<()> {
        let shared = self.0.shared();
        if mask == shared.armed.get() {
            return Ok(());
        }
        if mask == 0 {
            self.stop();
            return Ok(());
        }
        let raw = self.0.raw.as_ptr().cast::<uv_poll_t>();
        // SAFETY: a live poll handle on this thread's loop.
        let status = unsafe { (host().uv_poll_start)(raw, mask, on_poll) };
        if status < 0 {
            return Err(Errno::from_uv(status));
        }
        shared.armed.set(mask);
        shared.is_registered.set(true);
        Ok(())
    }

    /// Watches no more, and the kernel neither, which it may do also after libuv has stopped: call
    /// it before the descriptor is closed.
    pub fn stop(&self) {
        let shared = self.0.shared();
        shared.armed.set(0);
        if shared.is_registered.replace(false) {
            // SAFETY: a live poll handle on this thread's loop.
            unsafe { (host().uv_poll_stop)(self.0.raw.as_ptr().cast()) };
        }
    }

    /// Whether the armed handle keeps the loop alive.
    pub fn set_ref(&self, keeps_alive: bool) {
        self.0.set_ref(keeps_alive);
    }
}

/// A one-shot `uv_timer_t`.
pub struct Timer(RawHandle);

impl Timer {
    /// A stopped timer.
    pub fn new(event_loop: &Rc<Loop>, token: Token) -> Result<Timer> {
        let init = |uv_loop, raw: *mut uv_handle_t| {
            // SAFETY: the loop is live and `raw` has the size of a uv_timer_t.
            unsafe { (host().uv_timer_init)(uv_loop, raw.cast()) }
        };
        RawHandle::new(event_loop, types::uv_handle_type_UV_TIMER, token, init).map(Timer)
    }

    /// Whether the running timer keeps the loop alive.
    pub fn set_ref(&self, keeps_alive: bool) {
        self.0.set_ref(keeps_alive);
    }

    /// Fires once, `milliseconds` from now, replacing what was set before.
    pub fn start(&self, milliseconds: u64) {
        let raw = self.0.raw.as_ptr().cast::<uv_timer_t>();
        // SAFETY: a live timer; only a closing one makes this fail.
        unsafe { (host().uv_timer_start)(raw, on_timer, milliseconds, 0) };
    }

    /// Will not fire.
    pub fn stop(&self) {
        // SAFETY: a live timer.
        unsafe { (host().uv_timer_stop)(self.0.raw.as_ptr().cast()) };
    }
}

unsafe extern "C" fn on_idle(raw: *mut uv_idle_t) {
    // SAFETY: libuv passes the handle it was started with.
    unsafe { notify(raw.cast(), Signal::Soon { after: false }) };
}

unsafe extern "C" fn on_check(raw: *mut uv_check_t) {
    // SAFETY: libuv passes the handle it was started with.
    unsafe { notify(raw.cast(), Signal::Soon { after: true }) };
}

/// Says when the loop is next about to poll or has just polled, and meanwhile does not let it wait.
/// Those are the two moments at which libuv itself reports what was done at once; a check that is
/// started runs before those that run already, as Node's own for setImmediate() does.
pub struct Soon {
    idle: RawHandle,
    check: RawHandle,
}

impl Soon {
    /// One that is not started.
    pub fn new(event_loop: &Rc<Loop>) -> Result<Soon> {
        let (idle, check) = (types::uv_handle_type_UV_IDLE, types::uv_handle_type_UV_CHECK);
        Ok(Soon {
            idle: RawHandle::new(event_loop, idle, Token::NONE, |uv_loop, raw| {
                // SAFETY: the loop is live and `raw` has the size of a uv_idle_t.
                unsafe { (host().uv_idle_init)(uv_loop, raw.cast()) }
            })?,
            check: RawHandle::new(event_loop, check, Token::NONE, |uv_loop, raw| {
                // SAFETY: the loop is live and `raw` has the size of a uv_check_t.
                unsafe { (host().uv_check_init)(uv_loop, raw.cast()) }
            })?,
        })
    }

    /// From now on, until it is stopped.
    pub fn start(&self) {
        // SAFETY: live handles; only a missing callback makes these fail.
        unsafe {
            (host().uv_idle_start)(self.idle.raw.as_ptr().cast(), on_idle);
            (host().uv_check_start)(self.check.raw.as_ptr().cast(), on_check);
        }
    }

    /// No more.
    pub fn stop(&self) {
        // SAFETY: live handles.
        unsafe {
            (host().uv_idle_stop)(self.idle.raw.as_ptr().cast());
            (host().uv_check_stop)(self.check.raw.as_ptr().cast());
        }
    }
}
