//! Owns: raw Node-API, wrapped so that the layers above need no `unsafe`: values, scopes,
//! references and callbacks into JavaScript.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_void};
use std::ptr;

use napi::sys;

use crate::node::view::JsBytes;

/// A JavaScript value, valid in the handle scope it was made in.
pub type Value = sys::napi_value;

/// More elements than any array that means something has.
const MAX_ELEMENTS: usize = 1 << 24;

/// One Node-API environment. Only ever used on its own thread: neither Send nor Sync.
#[derive(Clone, Copy)]
pub struct Js(sys::napi_env);

/// Numbers that Rust and JavaScript both see: a Uint32Array that users never get hold of.
pub struct Words {
    array: Reference,
    data: *mut u32,
    len: usize,
}

impl Words {
    /// A zeroed array of `len` numbers; None when memory is short.
    pub fn new(js: Js, len: usize) -> Option<Words> {
        // SAFETY: only the pointer is kept, to memory that lib/ keeps to itself.
        let (store, bytes) = unsafe { js.array_buffer(len * size_of::<u32>()) }?;
        let kind = sys::TypedarrayType::uint32_array;
        let array = js
            // SAFETY: fails with a status where length and offset do not fit the store.
            .out(|env, out| unsafe { sys::napi_create_typedarray(env, kind, len, store, 0, out) })?;
        // ArrayBuffers are aligned for every kind of number.
        Some(Words { array: Reference::new(js, array)?, data: bytes.as_mut_ptr().cast(), len })
    }

    /// The Uint32Array.
    pub fn value(&self) -> Value {
        self.array.get()
    }

    /// Number `index`. Panics beyond the end.
    pub fn get(&self, index: usize) -> u32 {
        assert!(index < self.len, "beyond the array");
        // SAFETY: inside the array, whose store is never detached: lib/ keeps it to itself.
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
    pub fn out<T>(self, call: impl FnOnce(sys::napi_env, *mut T) -> sys::napi_status) -> Option<T> {
        let mut result = std::mem::MaybeUninit::uninit();
        if call(self.0, result.as_mut_ptr()) != sys::Status::napi_ok {
            return None;
        }
        // SAFETY: Node-API initialises its out-parameter whenever it returns napi_ok.
        Some(unsafe { result.assume_init() })
    }

    pub fn make(self, call: impl FnOnce(sys::napi_env, *mut Value) -> sys::napi_status) -> Value {
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

    /// Whether the value is `undefined`.
    pub fn is_undefined(self, value: Value) -> bool {
        // SAFETY: a value of this scope.
        let kind = self.out(|env, out| unsafe { sys::napi_typeof(env, value, out) });
        kind == Some(sys::ValueType::napi_undefined)
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

    /// An empty object.
    pub fn object(self) -> Value {
        // SAFETY: a live environment.
        self.make(|env, out| unsafe { sys::napi_create_object(env, out) })
    }

    /// An array of the given values.
    pub fn array(self, values: impl ExactSizeIterator<Item = Value>) -> Value {
        let len = values.len();
        // SAFETY: a live environment.
        let array =
            self.make(|env, out| unsafe { sys::napi_create_array_with_length(env, len, out) });
        for (index, value) in values.enumerate() {
            self.set_element(array, index as u32, value);
        }
        array
    }

    /// Of a new array: the element becomes its own, whatever setters `Array.prototype` has.
    fn set_element(self, array: Value, index: u32, value: Value) {
        let name = self.string(&index.to_string());
        let element = sys::napi_property_descriptor {
            utf8name: ptr::null(),
            name,
            method: None,
            getter: None,
            setter: None,
            value,
            attributes: sys::PropertyAttributes::writable
                | sys::PropertyAttributes::enumerable
                | sys::PropertyAttributes::configurable,
            data: ptr::null_mut(),
        };
        // SAFETY: values of this scope, and one whole descriptor.
        unsafe { sys::napi_define_properties(self.0, array, 1, &element) };
    }

    /// A new uninitialised Buffer; `None` when memory is short.
    ///
    /// # Safety
    /// As for [`Js::bytes`].
    pub unsafe fn buffer<'a>(self, len: usize) -> Option<(Value, JsBytes<'a>)> {
        // SAFETY: both out-parameters are written before napi_ok is returned.
        unsafe { self.memory(len, |env, data, out| sys::napi_create_buffer(env, len, data, out)) }
    }

    /// # Safety
    /// `make` writes both out-parameters before it returns napi_ok; as for [`Js::bytes`].
    unsafe fn memory<'a>(
        self,
        len: usize,
        make: impl FnOnce(sys::napi_env, *mut *mut c_void, *mut Value) -> sys::napi_status,
    ) -> Option<(Value, JsBytes<'a>)> {
        let mut data = ptr::null_mut();
        let value = self.out(|env, out| make(env, &mut data, out));
        if value.is_none() {
            self.clear_exception();
        }
        // SAFETY: as many bytes of a new value, and as this function demands.
        value.map(|value| (value, unsafe { JsBytes::new(data.cast(), len) }))
    }

    /// A new uninitialised ArrayBuffer; `None` when memory is short.
    ///
    /// # Safety
    /// As for [`Js::bytes`].
    pub unsafe fn uninit_array_buffer<'a>(self, len: usize) -> Option<(Value, JsBytes<'a>)> {
        // Only Buffers are made without being zeroed first.
        // SAFETY: as this function demands.
        let (view, bytes) = unsafe { self.buffer(len) }?;
        Some((self.store_of(view)?, bytes))
    }

    /// The ArrayBuffer behind a Buffer that is all of it.
    pub fn store_of(self, view: Value) -> Option<Value> {
        let (mut kind, mut length, mut data, mut offset) = (0, 0, ptr::null_mut(), 0);
        // SAFETY: a Buffer of ours; every out-parameter is written before napi_ok is returned.
        let store = self.out(|env, out| unsafe {
            sys::napi_get_typedarray_info(
                env,
                view,
                &mut kind,
                &mut length,
                &mut data,
                out,
                &mut offset,
            )
        })?;
        (offset == 0).then_some(store)
    }

    /// A new zeroed ArrayBuffer; `None` when memory is short.
    ///
    /// # Safety
    /// As for [`Js::bytes`].
    pub unsafe fn array_buffer<'a>(self, len: usize) -> Option<(Value, JsBytes<'a>)> {
        // SAFETY: both out-parameters are written before napi_ok is returned.
        unsafe {
            self.memory(len, |env, data, out| sys::napi_create_arraybuffer(env, len, data, out))
        }
    }

    /// A new Buffer holding `bytes`, or undefined when memory is short.
    pub fn buffer_from(self, bytes: &[u8]) -> Value {
        // SAFETY: filled at once.
        let Some((value, memory)) = (unsafe { self.buffer(bytes.len()) }) else {
            return self.undefined();
        };
        memory.write(0, bytes);
        value
    }

    /// The value as an i32, if it is a number.
    pub fn as_int(self, value: Value) -> Option<i32> {
        // SAFETY: a value of this scope.
        self.out(|env, out| unsafe { sys::napi_get_value_int32(env, value, out) })
    }

    /// Writes a string to `room` as UTF-8, or as Latin-1: how many bytes. None if it is no string;
    /// one that does not fit is cut.
    pub fn read_string(self, value: Value, room: &mut [u8], latin1: bool) -> Option<usize> {
        let (start, len) = (room.as_mut_ptr().cast(), room.len());
        let read = match latin1 {
            true => sys::napi_get_value_string_latin1,
            false => sys::napi_get_value_string_utf8,
        };
        // SAFETY: a value of this scope; `len` includes the NUL.
        self.out(|env, out| unsafe { read(env, value, start, len, out) })
    }

    /// The bytes of a Buffer, typed array or DataView, which lib/ has made sure that it is: older
    /// hosts abort the process for anything else.
    ///
    /// # Safety
    /// No JavaScript runs while `'a` lasts.
    pub unsafe fn bytes<'a>(self, value: Value) -> Option<JsBytes<'a>> {
        let mut data = ptr::null_mut();
        let len =
            // SAFETY: a value of this scope.
            self.out(|env, out| unsafe { sys::napi_get_buffer_info(env, value, &mut data, out) })?;
        // SAFETY: Node-API vouches for them until JavaScript runs again.
        Some(unsafe { JsBytes::new(data.cast(), len) })
    }

    /// The bytes of an ArrayBuffer; none of one that was detached.
    ///
    /// # Safety
    /// As for [`Js::bytes`].
    pub unsafe fn bytes_of_store<'a>(self, value: Value) -> Option<JsBytes<'a>> {
        let mut data = ptr::null_mut();
        let len = self
            // SAFETY: a value of this scope; fails with a status if it is no ArrayBuffer.
            .out(|env, out| unsafe { sys::napi_get_arraybuffer_info(env, value, &mut data, out) })?;
        // SAFETY: as in `bytes`.
        Some(unsafe { JsBytes::new(data.cast(), len) })
    }

    /// The bytes of a Buffer, typed array, DataView or ArrayBuffer; None of anything else.
    ///
    /// # Safety
    /// As for [`Js::bytes`].
    pub unsafe fn bytes_of_any<'a>(self, value: Value) -> Option<JsBytes<'a>> {
        // SAFETY: as this function demands.
        let store = unsafe { self.bytes_of_store(value) };
        // First, since it is one call, and fails for a view at no cost.
        if store.is_some() {
            return store;
        }
        // SAFETY: a value of this scope.
        let is_view = self.out(|env, out| unsafe { sys::napi_is_buffer(env, value, out) })?;
        // SAFETY: as this function demands.
        if is_view { unsafe { self.bytes(value) } } else { None }
    }

    /// The elements of an array, if it is one. Its getters, if it has any, run: as below.
    pub fn elements(self, array: Value) -> Option<Vec<Value>> {
        let elements = self.each(array)?;
        // An array of holes costs JavaScript nothing, but each element memory here.
        if elements.len() > MAX_ELEMENTS {
            return None;
        }
        elements.collect()
    }

    /// An element of an array. Its getter, if it has one, runs.
    pub fn element(self, array: Value, index: u32) -> Option<Value> {
        // SAFETY: a value of this scope; fails with a status if it is no object.
        self.out(|env, out| unsafe { sys::napi_get_element(env, array, index, out) })
    }

    fn each(self, array: Value) -> Option<impl ExactSizeIterator<Item = Option<Value>>> {
        // SAFETY: a value of this scope; fails with a status if it is no array.
        let len = self.out(|env, out| unsafe { sys::napi_get_array_length(env, array, out) })?;
        Some((0..len as usize).map(move |index| self.element(array, index as u32)))
    }

    /// The numbers of an array, if it is one of numbers. Its getters, if it has any, run: pointers
    /// to memory of JavaScript's are to be asked for afterwards.
    pub fn as_int_vec(self, array: Value) -> Option<Vec<i32>> {
        // A hole reads as undefined, which is no number, and ends a long search at once.
        self.each(array)?.map(|item| self.as_int(item?)).collect()
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
}

impl Js {
    /// Wraps an environment.
    ///
    /// # Safety
    /// `raw` is a live environment; the value is used on its thread only, and not after its end.
    pub unsafe fn from_raw(raw: sys::napi_env) -> Js {
        Js(raw)
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
    /// A context that starts now. What stands for it in `async_hooks` is an object of Node's own:
    /// Node 26 would keep one of ours from the collector for as long as the context lives.
    pub fn new(js: Js, name: Value) -> Option<AsyncContext> {
        let resource = ptr::null_mut();
        // SAFETY: values of this scope.
        let raw = js.out(|env, out| unsafe { sys::napi_async_init(env, resource, name, out) })?;
        Some(AsyncContext { js, raw })
    }

    /// The environment.
    pub fn js(&self) -> Js {
        self.js
    }

    /// Calls `function` as a turn of the event loop does: in this context, with microtasks and
    /// ticks run after it. An exception becomes `uncaughtException`; false if there was one.
    /// Its receiver is the function itself: Node-API needs an object.
    pub fn call(&self, function: Value, args: &[Value]) -> bool {
        let js = self.js;
        let mut result = ptr::null_mut();
        // SAFETY: values of this scope; the context lives as long as `self`.
        let status = unsafe {
            sys::napi_make_callback(
                js.0,
                self.raw,
                function,
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
