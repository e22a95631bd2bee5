//! Owns: what lib/ calls, and its registration.

mod descriptors;
mod posix;
mod posix_address;
mod posix_constants;
mod posix_transfer;
mod sockets;

use std::rc::Rc;

use napi::bindgen_prelude::Object;
use napi::{Env, JsValue};

use crate::engine::env::Environment;
use crate::node::function::{Call, bare_function, function};
use crate::node::js::{self, Value};
use crate::node::uv;
use crate::sys::errno::Errno;
use crate::sys::{owned, socket};

/// Adds what needs no event loop to what lib/native/binding.js exports, and `addSockets()`, which
/// adds the rest: so hosts whose libuv cannot be called load the addon, too.
pub fn register(exports: &Object, env: &Env) {
    let js = js::current(env);
    let target = exports.raw();
    descriptors::register(js, target);
    js.set_named(target, c"closeFd", bare_function(js, c"closeFd", close_fd));
    js.set_named(target, c"posix", bare_function(js, c"posix", posix::exports));
    js.set_named(target, c"addSockets", bare_function(js, c"addSockets", add_sockets));
}

/// `closeFd(fd)`: 0, or an errno: EBUSY for the descriptor of an open socket.
fn close_fd(call: &mut Call) -> Value {
    let close = |fd| if owned::is_owned(fd) { Err(Errno::BUSY) } else { socket::close(fd) };
    call.answer(call.int(0).and_then(close))
}

/// `addSockets(target)`: adds what runs on the event loop. The name of the function that the host
/// lacks, where one is missing: then nothing is added.
fn add_sockets(call: &mut Call) -> Value {
    let (js, target) = (call.js, call.arg(0));
    if let Err(missing) = uv::load() {
        return js.string(missing);
    }
    let Some(environment) = Environment::new(js) else {
        return js.string("napi_get_uv_event_loop");
    };
    sockets::register(js, target, &environment);
    js.set_named(target, c"uvVersion", function(js, c"uvVersion", &environment, uv_version));
    js.undefined()
}

/// `uvVersion()`: the version of the libuv that this addon runs on.
fn uv_version(call: &mut Call, _env: &Rc<Environment>) -> Value {
    call.js.string(uv::version())
}
