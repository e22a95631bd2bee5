//! afunix: every kind of Unix socket for Node.js, on Node's own libuv loop.
//!
//! Imports go downward only:
//!
//! ```text
//! lib        registration
//! handles    the classes lib/ uses               calls       functions about descriptors
//!                                                posix       the synchronous calls, posix_constants
//! endpoint   one engine for every socket         listener    accepting
//! core       what both have: descriptor, JavaScript object, life and end
//! env        one JavaScript environment's state
//! inbox      what is known of received messages  outbox      messages that wait to be sent
//!                                                flow        a stream's bytes that wait
//! batch      how messages cross to JavaScript    payload     bytes that wait
//! class      functions and classes of ours       blocking    calls that block, and signals
//! js         raw Node-API                        uv          the host's libuv
//! descriptor what one is, anonymous files        socket_file bind, the file's life and end
//! reuseport  shared ports                        socket_diag which file is a socket's
//! stream     recvmsg, sendmsg
//! message    recvmmsg, sendmmsg                  socket      sockets as descriptors
//! sockaddr   addresses of all families           region      memory for a batch of messages
//! ancillary  descriptors and credentials         addr        sockaddr_un
//! errno      system calls                        memory      bytes of JavaScript's
//! ```

// napi-rs registers nothing in unit tests, so nothing is reachable from there.
#![cfg_attr(test, allow(dead_code))]

mod addr;
mod ancillary;
mod batch;
mod blocking;
mod calls;
#[cfg(all(test, target_os = "linux"))]
mod carried;
mod class;
mod core;
mod descriptor;
mod endpoint;
mod env;
mod errno;
mod flow;
mod handles;
mod inbox;
mod js;
mod listener;
mod memory;
mod message;
mod outbox;
mod payload;
mod posix;
mod posix_constants;
#[cfg(test)]
mod random;
mod region;
mod reuseport;
mod sockaddr;
mod socket;
#[cfg(target_os = "linux")]
mod socket_diag;
mod socket_file;
mod stream;
mod uv;

use class::{Call, bare_function, define_class, function};
use endpoint::Endpoint;
use env::{Environment, Hooks};
use js::{Reference, Value};
use listener::Listener;
use napi::bindgen_prelude::Object;
use napi::{Env, JsValue};
use napi_derive::napi;

/// Registers what lib/binding.js exports. Once per environment.
#[napi(module_exports)]
fn register(exports: Object, env: Env) -> napi::Result<()> {
    let js = js::current(&env);
    let target = exports.raw();
    if let Err(missing) = uv::load() {
        js.set_named(target, c"missingHostFunction", js.string(missing));
        return Ok(());
    }
    let Some(environment) = Environment::new(js) else {
        js.set_named(target, c"missingHostFunction", js.string("napi_get_uv_event_loop"));
        return Ok(());
    };
    js.set_named(target, c"Endpoint", define_class::<Endpoint>(js, &environment));
    js.set_named(target, c"Listener", define_class::<Listener>(js, &environment));
    js.set_named(target, c"setHooks", function(js, c"setHooks", &environment, set_hooks));
    js.set_named(target, c"uvVersion", function(js, c"uvVersion", &environment, uv_version));
    js.set_named(target, c"send", function(js, c"send", &environment, handles::send));
    js.set_named(target, c"write", function(js, c"write", &environment, handles::write));
    let write_string = function(js, c"writeString", &environment, handles::write_string);
    js.set_named(target, c"writeString", write_string);
    let write_many = function(js, c"writeMany", &environment, handles::write_many);
    js.set_named(target, c"writeMany", write_many);
    js.set_named(target, c"trySend", function(js, c"trySend", &environment, handles::try_send));
    js.set_named(target, c"closeFd", function(js, c"closeFd", &environment, close_fd));
    calls::register(js, target, &environment);
    js.set_named(target, c"posix", bare_function(js, c"posix", posix::exports));
    Ok(())
}

/// `closeFd(fd)`: 0, or an errno.
fn close_fd(call: &Call, _env: &std::rc::Rc<Environment>) -> Value {
    call.status(call.int(0).and_then(socket::close).map(|()| 0))
}

/// `setHooks(messages, settled, connections, event)`, see [`Hooks`].
fn set_hooks(call: &Call, env: &std::rc::Rc<Environment>) -> Value {
    let hook = |index| Reference::new(call.js, call.arg(index));
    if let [Some(messages), Some(settled), Some(connections), Some(event)] = [0, 1, 2, 3].map(hook)
    {
        env.set_hooks(Hooks { messages, settled, connections, event });
    }
    call.js.undefined()
}

/// `uvVersion()`: the version of the libuv that this addon runs on.
fn uv_version(call: &Call, _env: &std::rc::Rc<Environment>) -> Value {
    call.js.string(uv::version())
}
