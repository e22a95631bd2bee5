//! Owns: what lib/ calls, and its registration.

mod descriptors;
mod posix;
mod posix_constants;
mod sockets;

use std::rc::Rc;

use napi::bindgen_prelude::Object;
use napi::{Env, JsValue};

use crate::engine::endpoint::Endpoint;
use crate::engine::env::{Environment, Hooks};
use crate::engine::listener::Listener;
use crate::node::function::{Call, bare_function, define_class, function};
use crate::node::js::{self, Reference, Value};
use crate::node::uv;
use crate::sys::socket;

/// Adds everything to what lib/native/binding.js exports, or `missingHostFunction`.
pub fn register(exports: &Object, env: &Env) {
    let js = js::current(env);
    let target = exports.raw();
    if let Err(missing) = uv::load() {
        return js.set_named(target, c"missingHostFunction", js.string(missing));
    }
    let Some(environment) = Environment::new(js) else {
        return js.set_named(target, c"missingHostFunction", js.string("napi_get_uv_event_loop"));
    };
    js.set_named(target, c"Endpoint", define_class::<Endpoint>(js, &environment));
    js.set_named(target, c"Listener", define_class::<Listener>(js, &environment));
    js.set_named(target, c"setHooks", function(js, c"setHooks", &environment, set_hooks));
    js.set_named(target, c"uvVersion", function(js, c"uvVersion", &environment, uv_version));
    js.set_named(target, c"send", function(js, c"send", &environment, sockets::send));
    js.set_named(target, c"write", function(js, c"write", &environment, sockets::write));
    let write_string = function(js, c"writeString", &environment, sockets::write_string);
    js.set_named(target, c"writeString", write_string);
    let write_many = function(js, c"writeMany", &environment, sockets::write_many);
    js.set_named(target, c"writeMany", write_many);
    js.set_named(target, c"trySend", function(js, c"trySend", &environment, sockets::try_send));
    js.set_named(target, c"closeFd", function(js, c"closeFd", &environment, close_fd));
    descriptors::register(js, target, &environment);
    js.set_named(target, c"posix", bare_function(js, c"posix", posix::exports));
}
/// `closeFd(fd)`: 0, or an errno.
fn close_fd(call: &Call, _env: &Rc<Environment>) -> Value {
    call.status(call.int(0).and_then(socket::close).map(|()| 0))
}

/// `setHooks(messages, settled, connections, event)`, see [`Hooks`].
fn set_hooks(call: &Call, env: &Rc<Environment>) -> Value {
    let hook = |index| Reference::new(call.js, call.arg(index));
    if let [Some(messages), Some(settled), Some(connections), Some(event)] = [0, 1, 2, 3].map(hook)
    {
        env.set_hooks(Hooks { messages, settled, connections, event });
    }
    call.js.undefined()
}

/// `uvVersion()`: the version of the libuv that this addon runs on.
fn uv_version(call: &Call, _env: &Rc<Environment>) -> Value {
    call.js.string(uv::version())
}
