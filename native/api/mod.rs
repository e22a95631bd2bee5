//! Owns: what lib/ calls, and its registration.

mod descriptors;
mod posix;
mod posix_constants;
mod sockets;

use std::rc::Rc;

use napi::bindgen_prelude::Object;
use napi::{Env, JsValue};

use crate::engine::env::Environment;
use crate::node::function::{Call, bare_function, function};
use crate::node::js::{self, Value};
use crate::node::uv;

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
    sockets::register(js, target, &environment);
    descriptors::register(js, target);
    js.set_named(target, c"uvVersion", function(js, c"uvVersion", &environment, uv_version));
    js.set_named(target, c"posix", bare_function(js, c"posix", posix::exports));
}

/// `uvVersion()`: the version of the libuv that this addon runs on.
fn uv_version(call: &Call, _env: &Rc<Environment>) -> Value {
    call.js.string(uv::version())
}
