//! afunix: every kind of Unix socket for Node.js, on Node's own libuv loop.
//!
//! A folder imports only what stands below it:
//!
//! ```text
//! api      what lib/ calls: arguments in, numbers out
//! engine   sockets and listeners: what they wait for, receive and send, and how they end
//! node     Node-API and the host's libuv
//! sys      system calls: addresses, messages, descriptors, socket files
//! ```

// napi-rs registers nothing in unit tests, so nothing is reachable from there.
#![cfg_attr(test, allow(dead_code))]

mod api;
mod engine;
mod node;
mod sys;
#[cfg(test)]
mod testing;

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;

/// Registers what lib/native/binding.js exports. Once per environment.
#[napi(module_exports)]
fn register(exports: Object, env: Env) -> napi::Result<()> {
    api::register(&exports, &env);
    Ok(())
}
