//! Owns: native functions and classes as JavaScript calls them: arguments, receivers, wrapped
//! objects and how long they live.
//!
//! `#[napi]` methods cost about 245 ns a call and refuse re-entry; a raw method about 54.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr;
use std::rc::Rc;

use napi::sys;

use crate::node::js::{Js, Value};
use crate::node::view::{Bytes, Room};
use crate::sys::errno::{Errno, Result};

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
    let (call, data) = unsafe { read_call(env, info) };
    // SAFETY: `data` is what `function` leaked; it goes after the function.
    let (context, function) = unsafe { *data.cast::<Target<C>>() };
    // SAFETY: the owner of the context keeps it alive while JavaScript can run.
    let context = unsafe { shared(context) };
    function(&call, &context)
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
pub type BareFunction = fn(&Call) -> Value;

unsafe extern "C" fn call_bare_function(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> Value {
    // SAFETY: called by Node-API with this call's info.
    let (call, data) = unsafe { read_call(env, info) };
    // SAFETY: the data is this function pointer, see `bare_function`.
    let function = unsafe { std::mem::transmute::<*mut c_void, BareFunction>(data) };
    function(&call)
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

    /// Argument `index` as bytes to read or to write, of a view or an ArrayBuffer, or EINVAL.
    pub fn memory(&self, index: usize) -> Result<Room> {
        self.js.as_memory(self.args[index]).ok_or(Errno::INVAL)
    }

    /// The elements of argument `index`, or EINVAL if it is no array.
    pub fn elements(&self, index: usize) -> Result<Vec<Value>> {
        self.js.elements(self.args[index]).ok_or(Errno::INVAL)
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
        // SAFETY: Node-API calls us with a live environment, on its thread.
        js: unsafe { Js::from_raw(env) },
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
                sys::napi_reference_ref(self.js.raw(), self.raw, &mut count);
            } else {
                sys::napi_reference_unref(self.js.raw(), self.raw, &mut count);
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
        unsafe { sys::napi_delete_reference(self.js.raw(), self.raw) };
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
