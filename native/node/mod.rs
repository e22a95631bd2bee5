//! Owns: the host: Node-API values, functions and memory, and its libuv.

pub mod answer;
pub mod function;
pub mod js;
pub mod polls;
pub mod uv;
pub mod view;
