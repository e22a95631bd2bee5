//! Owns: native functions as JavaScript calls them, and their arguments.
//!
//! `#[napi]` functions cost about 245 ns a call and refuse re-entry; a raw one about 54.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_void};
use std::mem::ManuallyDrop;
use std::ptr;
use std::rc::Rc;

use napi::sys;

use crate::node::answer::Answer;
use crate::node::js::{Js, Reference, Value};
use crate::node::view::JsBytes;
use crate::sys::errno::{Errno, Result};

/// What a [`function`] does: gets the call and the context.
pub type Method<C> = fn(&mut Call, &Rc<C>) -> Value;

/// A plain function over `context`, which the caller keeps alive while JavaScript can run.
pub fn function<C: 'static>(js: Js, name: &CStr, context: &Rc<C>, call: Method<C>) -> Value {
    let (name, len) = (name.as_ptr(), name.count_bytes() as isize);
    let target: Box<Target<C>> = Box::new((Rc::as_ptr(context), call));
    let data = Box::into_raw(target).cast();
    // SAFETY: name and len agree; call_function::<C> expects this data.
    let function = js.make(|env, out| unsafe {
        sys::napi_create_function(env, name, len, Some(call_function::<C>), data, out)
    });
    let (no_hint, no_reference) = (ptr::null_mut(), ptr::null_mut());
    // Without it each worker would leave its functions' data behind.
    // SAFETY: a new function, and what drop_target::<C> expects; fails with a status if it is none.
    unsafe {
        let drop = Some(drop_target::<C> as _);
        sys::napi_add_finalizer(js.raw(), function, data, drop, no_hint, no_reference);
    }
    function
}

/// What a [`function`] calls, and with what.
type Target<C> = (*const C, Method<C>);

unsafe extern "C" fn drop_target<C: 'static>(
    _env: sys::napi_env,
    data: *mut c_void,
    _hint: *mut c_void,
) {
    // SAFETY: the box leaked in `function`, whose function nobody can call any more.
    drop(unsafe { Box::from_raw(data.cast::<Target<C>>()) });
}

unsafe extern "C" fn call_function<C: 'static>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> Value {
    // SAFETY: called by Node-API with this call's info.
    let (mut call, data) = unsafe { read_call(env, info) };
    // SAFETY: `data` is what `function` leaked; it goes after the function.
    let (context, function) = unsafe { *data.cast::<Target<C>>() };
    // SAFETY: the owner of the context, who made it an Rc, keeps it alive while JavaScript can run.
    let context = ManuallyDrop::new(unsafe { Rc::from_raw(context) });
    function(&mut call, &context)
}

/// A plain function that needs nothing but its arguments: the cheapest there is.
pub fn bare_function(js: Js, name: &CStr, call: BareFunction) -> Value {
    let (name, len) = (name.as_ptr(), name.count_bytes() as isize);
    let data = call as *mut c_void;
    // SAFETY: name and len agree; call_bare_function expects this data.
    js.make(|env, out| unsafe {
        sys::napi_create_function(env, name, len, Some(call_bare_function), data, out)
    })
}

/// What [`bare_function`] makes callable.
pub type BareFunction = fn(&mut Call) -> Value;

unsafe extern "C" fn call_bare_function(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> Value {
    // SAFETY: called by Node-API with this call's info.
    let (mut call, data) = unsafe { read_call(env, info) };
    // SAFETY: the data is this function pointer, see `bare_function`.
    let function = unsafe { std::mem::transmute::<*mut c_void, BareFunction>(data) };
    function(&mut call)
}

/// A function of `N` arguments that returns a number, for where nanoseconds count: nothing is read
/// or made for it beyond that, and it is called directly.
pub trait Quick<const N: usize> {
    /// What it does. Absent arguments are undefined.
    fn run(js: Js, args: &[Value; N]) -> i32;
}

/// Makes it callable.
pub fn quick_function<const N: usize, Q: Quick<N>>(js: Js, name: &CStr) -> Value {
    let (name, len) = (name.as_ptr(), name.count_bytes() as isize);
    let (call, no_data) = (Some(call_quick::<N, Q> as _), ptr::null_mut());
    // SAFETY: name and len agree.
    js.make(|env, out| unsafe { sys::napi_create_function(env, name, len, call, no_data, out) })
}

unsafe extern "C" fn call_quick<const N: usize, Q: Quick<N>>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> Value {
    // SAFETY: Node-API calls us with a live environment, on its thread.
    let js = unsafe { Js::from_raw(env) };
    let (mut args, mut passed) = ([ptr::null_mut(); N], N);
    let (no_this, no_data) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: `info` is this call's; Node-API fills absent arguments with undefined.
    unsafe {
        sys::napi_get_cb_info(env, info, &mut passed, args.as_mut_ptr(), no_this, no_data);
    }
    js.int(Q::run(js, &args))
}

/// The most arguments a native function takes.
const MAX_ARGS: usize = 7;

/// One call from JavaScript. What may run JavaScript meanwhile, such as an array's getters, needs
/// it mutable: bytes of an argument, which may be moved then, are borrowed.
pub struct Call {
    /// The environment.
    pub js: Js,
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

    /// Argument `index`, a view, as bytes, or EINVAL.
    pub fn bytes(&self, index: usize) -> Result<JsBytes<'_>> {
        self.bytes_of(self.args[index])
    }

    /// The same for an element of an argument.
    pub fn bytes_of(&self, view: Value) -> Result<JsBytes<'_>> {
        // SAFETY: while the call is borrowed no JavaScript runs.
        unsafe { self.js.bytes(view) }.ok_or(Errno::INVAL)
    }

    /// Argument `index`, a view or an ArrayBuffer, as bytes, or EINVAL.
    pub fn memory(&self, index: usize) -> Result<JsBytes<'_>> {
        self.memory_of(self.args[index])
    }

    /// The same for an element of an argument.
    pub fn memory_of(&self, value: Value) -> Result<JsBytes<'_>> {
        // SAFETY: as in `bytes_of`.
        unsafe { self.js.bytes_of_any(value) }.ok_or(Errno::INVAL)
    }

    /// The elements of argument `index`, or EINVAL if it is no array. Its getters run.
    pub fn elements(&mut self, index: usize) -> Result<Vec<Value>> {
        self.js.elements(self.args[index]).ok_or(Errno::INVAL)
    }

    /// Argument `index` as numbers: none if it was not passed, EINVAL if they are no numbers. Its
    /// getters run.
    pub fn ints(&mut self, index: usize) -> Result<Vec<i32>> {
        if index >= self.passed {
            return Ok(Vec::new());
        }
        self.js.as_int_vec(self.args[index]).ok_or(Errno::INVAL)
    }

    /// A reference to argument `index`; None if it was not passed or is undefined.
    pub fn reference(&self, index: usize) -> Option<Reference> {
        let value = self.args[index];
        if self.js.is_undefined(value) { None } else { Reference::new(self.js, value) }
    }

    /// What the function returns.
    pub fn answer(&self, answer: impl Answer) -> Value {
        answer.to_value(self.js)
    }
}

/// Reads arguments and the function's data. Anything unreadable is undefined.
unsafe fn read_call(env: sys::napi_env, info: sys::napi_callback_info) -> (Call, *mut c_void) {
    let mut call = Call {
        // SAFETY: Node-API calls us with a live environment, on its thread.
        js: unsafe { Js::from_raw(env) },
        args: [ptr::null_mut(); MAX_ARGS],
        passed: MAX_ARGS,
    };
    let mut data = ptr::null_mut();
    // SAFETY: `info` is this call's; Node-API fills absent arguments with undefined.
    unsafe {
        let (args, no_this) = (call.args.as_mut_ptr(), ptr::null_mut());
        sys::napi_get_cb_info(env, info, &mut call.passed, args, no_this, &mut data);
    }
    (call, data)
}
