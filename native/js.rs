//! Owns: raw Node-API, wrapped so that the layers above need no `unsafe`: scopes, references,
//! arguments, callbacks into JavaScript and class definition.
//! May import: errno.
//!
//! `#[napi]` methods cost about 245 ns a call and refuse re-entry; a raw method about 54. Nothing
//! here keeps a Rust borrow while JavaScript runs.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr;
use std::rc::Rc;

use napi::sys;

use crate::errno::{Errno, Result};

/// A JavaScript value, valid in the handle scope it was made in.
pub type Value = sys::napi_value;

/// One Node-API environment. Only ever used on its own thread: neither Send nor Sync.
#[derive(Clone, Copy)]
pub struct Js(sys::napi_env);

/// A buffer's bytes as JavaScript has them right now; stale as soon as JavaScript runs again.
#[derive(Clone, Copy)]
pub struct Bytes {
    start: *const u8,
    len: usize,
}

impl Bytes {
    /// The part `offset..offset + length`, or None where the buffer is shorter than that.
    pub fn part(self, offset: usize, length: usize) -> Option<Bytes> {
        let end = offset.checked_add(length)?;
        // A detached buffer has no start; an empty part needs none.
        let start = self.start.wrapping_add(offset);
        (end <= self.len).then_some(Bytes { start, len: length })
    }

    /// Where the bytes start, for a system call made before JavaScript runs again.
    pub fn as_ptr(self) -> *const u8 {
        self.start
    }

    /// How many bytes there are.
    pub fn len(self) -> usize {
        self.len
    }

    /// A copy that is ours.
    pub fn to_vec(self) -> Vec<u8> {
        if self.len == 0 {
            return Vec::new();
        }
        // SAFETY: Node-API vouched for start and len, and no JavaScript ran since (see type).
        // Read through a raw pointer: another thread may write to a SharedArrayBuffer meanwhile.
        unsafe {
            let mut copy = Vec::with_capacity(self.len);
            ptr::copy_nonoverlapping(self.start, copy.as_mut_ptr(), self.len);
            copy.set_len(self.len);
            copy
        }
    }
}

/// A buffer's bytes to write to; stale as soon as JavaScript runs again.
#[derive(Clone, Copy)]
pub struct Room {
    start: *mut u8,
    len: usize,
}

impl Room {
    /// How many bytes there are; 0 for a detached buffer.
    pub fn len(self) -> usize {
        self.len
    }

    /// Copies `bytes` to `offset`. Panics where they do not fit.
    pub fn write(self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.len && bytes.len() <= self.len - offset, "beyond the buffer");
        // SAFETY: checked above; Node-API vouched for start and len and no JavaScript ran since.
        unsafe { self.start.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
}

/// Numbers that Rust and JavaScript both see: a Uint32Array that users never get hold of.
pub struct Words {
    array: Reference,
    data: *mut u32,
    len: usize,
}

impl Words {
    /// A zeroed array of `len` numbers; None when memory is short.
    pub fn new(js: Js, len: usize) -> Option<Words> {
        let (store, room) = js.array_buffer(len * size_of::<u32>())?;
        let array = Reference::new(js, js.uint32_array(store, len)?)?;
        // ArrayBuffers are aligned for every kind of number.
        Some(Words { array, data: room.start.cast(), len })
    }

    /// The Uint32Array.
    pub fn value(&self) -> Value {
        self.array.get()
    }

    /// Number `index`. Panics beyond the end.
    pub fn get(&self, index: usize) -> u32 {
        assert!(index < self.len, "beyond the array");
        // SAFETY: inside the array, whose store is never detached: only lib/handle.js has it.
        unsafe { self.data.add(index).read() }
    }

    /// Sets number `index`. Panics beyond the end.
    pub fn set(&self, index: usize, value: u32) {
        assert!(index < self.len, "beyond the array");
        // SAFETY: as in `get`.
        unsafe { self.data.add(index).write(value) };
    }

    /// Copies bytes to where number `index` starts. Panics beyond the end.
    pub fn set_bytes(&self, index: usize, bytes: impl ExactSizeIterator<Item = u8>) {
        assert!(index * 4 + bytes.len() <= self.len * 4, "beyond the array");
        for (at, byte) in bytes.enumerate() {
            // SAFETY: as in `get`.
            unsafe { self.data.cast::<u8>().add(index * 4 + at).write(byte) };
        }
    }
}

impl Js {
    /// The raw environment.
    pub fn raw(self) -> sys::napi_env {
        self.0
    }

    /// Calls a Node-API function that fills one out-parameter; None where it fails.
    fn out<T>(self, call: impl FnOnce(sys::napi_env, *mut T) -> sys::napi_status) -> Option<T> {
        let mut result = std::mem::MaybeUninit::uninit();
        if call(self.0, result.as_mut_ptr()) != sys::Status::napi_ok {
            return None;
        }
        // SAFETY: Node-API initialises its out-parameter whenever it returns napi_ok.
        Some(unsafe { result.assume_init() })
    }

    fn make(self, call: impl FnOnce(sys::napi_env, *mut Value) -> sys::napi_status) -> Value {
        self.out(call).unwrap_or(ptr::null_mut())
    }

    /// The environment's `uv_loop_t`.
    pub fn event_loop(self) -> Option<*mut c_void> {
        // SAFETY: a live environment.
        self.out(|env, out| unsafe { sys::napi_get_uv_event_loop(env, out) }).map(<*mut _>::cast)
    }

    /// `undefined`.
    pub fn undefined(self) -> Value {
        // SAFETY: a live environment.
        self.make(|env, out| unsafe { sys::napi_get_undefined(env, out) })
    }

    /// A number.
    pub fn int(self, value: i32) -> Value {
        // SAFETY: a live environment.
        self.make(|env, out| unsafe { sys::napi_create_int32(env, value, out) })
    }

    /// A number.
    pub fn uint(self, value: u32) -> Value {
        // SAFETY: a live environment.
        self.make(|env, out| unsafe { sys::napi_create_uint32(env, value, out) })
    }

    /// A string.
    pub fn string(self, value: &str) -> Value {
        let (start, len) = (value.as_ptr().cast(), value.len() as isize);
        // SAFETY: start and len describe `value`.
        self.make(|env, out| unsafe { sys::napi_create_string_utf8(env, start, len, out) })
    }

    /// An array of numbers.
    pub fn int_array(self, values: impl ExactSizeIterator<Item = i32>) -> Value {
        let len = values.len();
        // SAFETY: a live environment.
        let array =
            self.make(|env, out| unsafe { sys::napi_create_array_with_length(env, len, out) });
        for (index, value) in values.enumerate() {
            self.set_element(array, index as u32, self.int(value));
        }
        array
    }

    /// An array of the given values.
    pub fn array(self, values: &[Value]) -> Value {
        let len = values.len();
        // SAFETY: a live environment.
        let array =
            self.make(|env, out| unsafe { sys::napi_create_array_with_length(env, len, out) });
        for (index, value) in values.iter().enumerate() {
            self.set_element(array, index as u32, *value);
        }
        array
    }

    fn set_element(self, array: Value, index: u32, value: Value) {
        // SAFETY: values of this scope; fails with a status on anything odd.
        unsafe { sys::napi_set_element(self.0, array, index, value) };
    }

    /// A new uninitialised Buffer; `None` when memory is short.
    pub fn buffer(self, len: usize) -> Option<(Value, Room)> {
        let mut data = ptr::null_mut();
        // SAFETY: both out-parameters are written before napi_ok is returned.
        let value =
            self.out(|env, out| unsafe { sys::napi_create_buffer(env, len, &mut data, out) });
        if value.is_none() {
            self.clear_exception();
        }
        value.map(|value| (value, Room { start: data.cast(), len }))
    }

    /// A new zeroed ArrayBuffer; `None` when memory is short.
    pub fn array_buffer(self, len: usize) -> Option<(Value, Room)> {
        let mut data = ptr::null_mut();
        // SAFETY: both out-parameters are written before napi_ok is returned.
        let value =
            self.out(|env, out| unsafe { sys::napi_create_arraybuffer(env, len, &mut data, out) });
        if value.is_none() {
            self.clear_exception();
        }
        value.map(|value| (value, Room { start: data.cast(), len }))
    }

    /// A new Buffer holding `bytes`, or undefined when memory is short.
    pub fn buffer_from(self, bytes: &[u8]) -> Value {
        let Some((value, room)) = self.buffer(bytes.len()) else {
            return self.undefined();
        };
        room.write(0, bytes);
        value
    }

    /// A Uint32Array over all of an ArrayBuffer.
    fn uint32_array(self, store: Value, len: usize) -> Option<Value> {
        let kind = sys::TypedarrayType::uint32_array;
        // SAFETY: fails with a status where length and offset do not fit the store.
        self.out(|env, out| unsafe { sys::napi_create_typedarray(env, kind, len, store, 0, out) })
    }

    /// The value as an i32, if it is a number.
    pub fn as_int(self, value: Value) -> Option<i32> {
        // SAFETY: a value of this scope.
        self.out(|env, out| unsafe { sys::napi_get_value_int32(env, value, out) })
    }

    /// The bytes of a Buffer, typed array or DataView.
    pub fn as_bytes(self, value: Value) -> Option<Bytes> {
        let mut data = ptr::null_mut();
        // SAFETY: a value of this scope; fails with a status if it is no view.
        let len =
            self.out(|env, out| unsafe { sys::napi_get_buffer_info(env, value, &mut data, out) })?;
        Some(Bytes { start: data.cast(), len })
    }

    /// The bytes of an ArrayBuffer of ours, to write to; none of one that was detached.
    pub fn as_room(self, value: Value) -> Option<Room> {
        let mut data = ptr::null_mut();
        let len = self
            // SAFETY: a value of this scope; fails with a status if it is no ArrayBuffer.
            .out(|env, out| unsafe { sys::napi_get_arraybuffer_info(env, value, &mut data, out) })?;
        Some(Room { start: data.cast(), len })
    }

    /// The numbers of an array, if it is one of numbers.
    pub fn as_int_vec(self, array: Value) -> Option<Vec<i32>> {
        // SAFETY: a value of this scope; fails with a status if it is no array.
        let len = self.out(|env, out| unsafe { sys::napi_get_array_length(env, array, out) })?;
        (0..len)
            .map(|index| {
                // SAFETY: as above; a hole reads as undefined, which is no number.
                let item =
                    self.out(|env, out| unsafe { sys::napi_get_element(env, array, index, out) })?;
                self.as_int(item)
            })
            .collect()
    }

    /// Runs `body` in a handle scope: needed wherever libuv, not JavaScript, called us.
    pub fn scope<T>(self, body: impl FnOnce() -> T) -> T {
        // SAFETY: a live environment; the scope is closed below on the only way out.
        let scope = self.out(|env, out| unsafe { sys::napi_open_handle_scope(env, out) });
        let result = body();
        if let Some(scope) = scope {
            // SAFETY: the scope opened above, innermost again.
            unsafe { sys::napi_close_handle_scope(self.0, scope) };
        }
        result
    }

    /// Throws an Error with a `code`.
    pub fn throw(self, code: &CStr, message: &CStr) {
        // SAFETY: NUL-terminated strings.
        unsafe { sys::napi_throw_error(self.0, code.as_ptr(), message.as_ptr()) };
    }

    /// Takes the pending exception, if any.
    fn clear_exception(self) -> Option<Value> {
        // SAFETY: a live environment.
        let pending = self.out(|env, out| unsafe { sys::napi_is_exception_pending(env, out) });
        if pending != Some(true) {
            return None;
        }
        // SAFETY: an exception is pending.
        self.out(|env, out| unsafe { sys::napi_get_and_clear_last_exception(env, out) })
    }

    /// Sets `target[name] = value`.
    pub fn set_named(self, target: Value, name: &CStr, value: Value) {
        // SAFETY: values of this scope, a NUL-terminated name.
        unsafe { sys::napi_set_named_property(self.0, target, name.as_ptr(), value) };
    }

    /// A plain function over `context`, which the caller keeps alive while JavaScript can run.
    pub fn function<C: 'static>(self, name: &CStr, context: &Rc<C>, call: Method<C>) -> Value {
        let (name, len) = (name.as_ptr(), name.count_bytes() as isize);
        // Leaked on purpose: a few words for each environment, as long-lived as the function.
        let data = Box::into_raw(Box::new((Rc::as_ptr(context), call))).cast();
        // SAFETY: name and len agree; call_function::<C> expects this data.
        self.make(|env, out| unsafe {
            sys::napi_create_function(env, name, len, Some(call_function::<C>), data, out)
        })
    }
}

unsafe extern "C" fn call_function<C: 'static>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> Value {
    // SAFETY: called by Node-API with this call's info.
    let (call, data) = unsafe { read_call(env, info) };
    // SAFETY: `data` is what Js::function leaked.
    let (context, function) = unsafe { *data.cast::<(*const C, Method<C>)>() };
    // SAFETY: the owner of the context keeps it alive while JavaScript can run.
    let context = unsafe { shared(context) };
    function(&call, &context)
}

/// A count of its own for an `Rc` that is known by its pointer.
///
/// # Safety
/// `pointer` came from an Rc that is alive.
unsafe fn shared<T>(pointer: *const T) -> Rc<T> {
    // SAFETY: as this function demands.
    unsafe {
        Rc::increment_strong_count(pointer);
        Rc::from_raw(pointer)
    }
}

/// The raw side of napi-rs's environment.
pub fn current(env: &napi::Env) -> Js {
    Js(env.raw())
}

/// A strong reference to a JavaScript value.
pub struct Reference {
    js: Js,
    raw: sys::napi_ref,
}

impl Reference {
    /// Keeps `value` alive until the reference is dropped.
    pub fn new(js: Js, value: Value) -> Option<Reference> {
        // SAFETY: a value of this scope.
        let raw = js.out(|env, out| unsafe { sys::napi_create_reference(env, value, 1, out) })?;
        Some(Reference { js, raw })
    }

    /// The value, in the current scope.
    pub fn get(&self) -> Value {
        // SAFETY: a live strong reference.
        self.js.make(|env, out| unsafe { sys::napi_get_reference_value(env, self.raw, out) })
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // SAFETY: created once, deleted once, on the environment's thread.
        unsafe { sys::napi_delete_reference(self.js.0, self.raw) };
    }
}

/// The async context of one JavaScript object: what AsyncLocalStorage follows into callbacks.
pub struct AsyncContext {
    js: Js,
    raw: sys::napi_async_context,
}

impl AsyncContext {
    /// A context that starts now, with `resource` standing for it in `async_hooks`.
    pub fn new(js: Js, resource: Value, name: &str) -> Option<AsyncContext> {
        let name = js.string(name);
        // SAFETY: values of this scope.
        let raw = js.out(|env, out| unsafe { sys::napi_async_init(env, resource, name, out) })?;
        Some(AsyncContext { js, raw })
    }

    /// Calls `function` as a turn of the event loop does: in this context, with microtasks and
    /// ticks run after it. An exception becomes `uncaughtException`; false if there was one.
    pub fn call(&self, receiver: Value, function: Value, args: &[Value]) -> bool {
        let js = self.js;
        let mut result = ptr::null_mut();
        // SAFETY: values of this scope; the context lives as long as `self`.
        let status = unsafe {
            sys::napi_make_callback(
                js.0,
                self.raw,
                receiver,
                function,
                args.len(),
                args.as_ptr(),
                &mut result,
            )
        };
        if status == sys::Status::napi_ok {
            return true;
        }
        if let Some(error) = js.clear_exception() {
            // SAFETY: a value of this scope.
            unsafe { sys::napi_fatal_exception(js.0, error) };
        }
        false
    }
}

impl Drop for AsyncContext {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once, on the environment's thread.
        unsafe { sys::napi_async_destroy(self.js.0, self.raw) };
    }
}

/// The most arguments a native method takes.
const MAX_ARGS: usize = 6;

/// One call from JavaScript.
pub struct Call {
    /// The environment.
    pub js: Js,
    /// The receiver.
    pub this: Value,
    args: [Value; MAX_ARGS],
    /// How many arguments there were.
    passed: usize,
}

impl Call {
    /// Argument `index`, undefined if it was not passed.
    pub fn arg(&self, index: usize) -> Value {
        self.args[index]
    }

    /// How many arguments there were.
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// Argument `index` as an i32, or EINVAL.
    pub fn int(&self, index: usize) -> Result<i32> {
        self.js.as_int(self.args[index]).ok_or(Errno::INVAL)
    }

    /// Argument `index` as a length or offset, or EINVAL.
    pub fn size(&self, index: usize) -> Result<usize> {
        // Through i64, because lengths may pass 2 GiB.
        let (js, value) = (self.js, self.args[index]);
        // SAFETY: a value of this scope.
        let number = js.out(|env, out| unsafe { sys::napi_get_value_int64(env, value, out) });
        number.and_then(|number| usize::try_from(number).ok()).ok_or(Errno::INVAL)
    }

    /// Argument `index` as bytes, or EINVAL.
    pub fn bytes(&self, index: usize) -> Result<Bytes> {
        self.js.as_bytes(self.args[index]).ok_or(Errno::INVAL)
    }

    /// Argument `index` as numbers: none if it was not passed, EINVAL if they are no numbers.
    pub fn ints(&self, index: usize) -> Result<Vec<i32>> {
        if index >= self.passed {
            return Ok(Vec::new());
        }
        self.js.as_int_vec(self.args[index]).ok_or(Errno::INVAL)
    }

    /// The native object behind argument `index`, or EINVAL.
    pub fn object<T: Class>(&self, index: usize) -> Result<Rc<T>> {
        let (js, value) = (self.js, self.args[index]);
        let tag = type_tag::<T>();
        // SAFETY: values of this scope; fails with a status if it is no object.
        let ours =
            js.out(|env, out| unsafe { sys::napi_check_object_type_tag(env, value, &tag, out) });
        if ours != Some(true) {
            return Err(Errno::INVAL);
        }
        // SAFETY: as above.
        let native = js.out(|env, out| unsafe { sys::napi_unwrap(env, value, out) });
        // SAFETY: the tag says that it was wrapped in call_constructor::<T>.
        native.map(|native| unsafe { shared(native.cast::<T>()) }).ok_or(Errno::INVAL)
    }

    /// What methods return: a count or id, or the errno negated.
    pub fn status(&self, result: Result<i32>) -> Value {
        self.js.int(result.unwrap_or_else(Errno::to_js))
    }
}

/// Reads arguments, receiver and the function's data. Anything unreadable is undefined.
unsafe fn read_call(env: sys::napi_env, info: sys::napi_callback_info) -> (Call, *mut c_void) {
    let mut call = Call {
        js: Js(env),
        this: ptr::null_mut(),
        args: [ptr::null_mut(); MAX_ARGS],
        passed: MAX_ARGS,
    };
    let mut data = ptr::null_mut();
    // SAFETY: `info` is this call's; Node-API fills absent arguments with undefined.
    unsafe {
        let args = call.args.as_mut_ptr();
        sys::napi_get_cb_info(env, info, &mut call.passed, args, &mut call.this, &mut data);
    }
    (call, data)
}

/// A native method: gets the call and the object behind `this`.
pub type Method<T> = fn(&Call, &Rc<T>) -> Value;

/// A Rust type that JavaScript sees as a class. Instances hold one `Rc` of it.
pub trait Class: Sized + 'static {
    /// What the constructor needs of its environment.
    type Context: 'static;
    /// Tells its objects from those of our other classes.
    const TAG: u64;
    /// The class's name in JavaScript.
    const NAME: &'static CStr;
    /// Its methods.
    const METHODS: &'static [(&'static CStr, Method<Self>)];
    /// `new Class(…)`. Must not run JavaScript.
    fn construct(call: &Call, context: &Rc<Self::Context>) -> Rc<Self>;
    /// The wrapper exists now: `strong` decides how long JavaScript cannot collect it.
    fn attach(self: &Rc<Self>, call: &Call, wrapper: Wrapper);
    /// JavaScript dropped the object, or the environment is gone: no JavaScript may run.
    fn detach(self: &Rc<Self>);
}

/// Marks objects that were made here, so that another addon's are not taken for them.
fn type_tag<T: Class>() -> sys::napi_type_tag {
    sys::napi_type_tag { lower: 0x6166_756e_6978_0001, upper: T::TAG }
}

/// The JavaScript object of a native one. Weak, unless [`Wrapper::hold`] says otherwise.
pub struct Wrapper {
    js: Js,
    raw: sys::napi_ref,
    held: Cell<bool>,
}

impl Wrapper {
    /// While held, the collector leaves the object alone.
    pub fn hold(&self, held: bool) {
        if self.held.replace(held) == held {
            return;
        }
        let mut count = 0;
        // SAFETY: the reference lives until detach; the count goes between 0 and 1 only.
        unsafe {
            if held {
                sys::napi_reference_ref(self.js.0, self.raw, &mut count);
            } else {
                sys::napi_reference_unref(self.js.0, self.raw, &mut count);
            }
        }
    }

    /// The object, if it was not collected.
    pub fn get(&self) -> Option<Value> {
        let value = self
            .js
            // SAFETY: the reference lives until detach.
            .out(|env, out| unsafe { sys::napi_get_reference_value(env, self.raw, out) })?;
        (!value.is_null()).then_some(value)
    }
}

impl Drop for Wrapper {
    fn drop(&mut self) {
        // SAFETY: the wrapper is dropped in detach, which the finalizer calls: the one place
        // where Node-API allows deleting the reference that napi_wrap returned.
        unsafe { sys::napi_delete_reference(self.js.0, self.raw) };
    }
}

/// Defines `T` in this environment. `context` is shared by its constructor calls; the caller keeps
/// it alive for as long as JavaScript can run.
pub fn define_class<T: Class>(js: Js, context: &Rc<T::Context>) -> Value {
    let methods: Vec<sys::napi_property_descriptor> = T::METHODS
        .iter()
        .map(|(name, method)| sys::napi_property_descriptor {
            utf8name: name.as_ptr(),
            name: ptr::null_mut(),
            method: Some(call_method::<T>),
            getter: None,
            setter: None,
            value: ptr::null_mut(),
            attributes: sys::PropertyAttributes::writable | sys::PropertyAttributes::configurable,
            data: *method as *mut c_void,
        })
        .collect();
    let (name, len) = (T::NAME.as_ptr(), T::NAME.count_bytes() as isize);
    let data = Rc::as_ptr(context).cast_mut().cast();
    // SAFETY: every descriptor is complete, and its data is the function pointer that
    // call_method::<T> expects; Node-API copies names.
    js.make(|env, out| unsafe {
        sys::napi_define_class(
            env,
            name,
            len,
            Some(call_constructor::<T>),
            data,
            methods.len(),
            methods.as_ptr(),
            out,
        )
    })
}

unsafe extern "C" fn call_constructor<T: Class>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> Value {
    // SAFETY: called by Node-API with this call's info.
    let (call, data) = unsafe { read_call(env, info) };
    // SAFETY: `data` is the context given to define_class, kept alive by its owner.
    let context = unsafe { shared(data.cast::<T::Context>()) };
    let object = T::construct(&call, &context);
    let native = Rc::into_raw(object.clone()).cast_mut().cast();
    // SAFETY: the object is new and not wrapped; finalize::<T> takes back the count leaked above.
    let raw = call.js.out(|env, out| unsafe {
        sys::napi_wrap(env, call.this, native, Some(finalize::<T>), ptr::null_mut(), out)
    });
    let tag = type_tag::<T>();
    // SAFETY: a new object of ours.
    unsafe { sys::napi_type_tag_object(env, call.this, &tag) };
    match raw {
        Some(raw) => object.attach(&call, Wrapper { js: call.js, raw, held: Cell::new(false) }),
        // SAFETY: nobody else took the count.
        None => drop(unsafe { Rc::from_raw(native.cast::<T>()) }),
    }
    call.this
}

unsafe extern "C" fn finalize<T: Class>(
    _env: sys::napi_env,
    native: *mut c_void,
    _hint: *mut c_void,
) {
    // SAFETY: the count leaked in call_constructor, taken back once.
    let object = unsafe { Rc::from_raw(native.cast::<T>()) };
    object.detach();
}

unsafe extern "C" fn call_method<T: Class>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> Value {
    // SAFETY: called by Node-API with this call's info.
    let (call, data) = unsafe { read_call(env, info) };
    let this = call.this;
    // SAFETY: V8 checks the receiver against the class's signature before it calls us.
    let native = call.js.out(|env, out| unsafe { sys::napi_unwrap(env, this, out) });
    let Some(native) = native else {
        call.js.throw(c"ERR_INVALID_THIS", c"this is not a live socket handle");
        return ptr::null_mut();
    };
    // SAFETY: the pointer came from Rc::into_raw in call_constructor and its count is still held;
    // ours keeps the object alive whatever the method does.
    let object = unsafe { shared(native.cast::<T>()) };
    // SAFETY: the descriptor's data is this function pointer, see define_class.
    let method = unsafe { std::mem::transmute::<*mut c_void, Method<T>>(data) };
    method(&call, &object)
}
