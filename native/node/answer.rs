//! Owns: what native functions return, as JavaScript gets it: a number, or what is described with
//! numbers; an errno, negated, where there is none.

use std::os::fd::{IntoRawFd, OwnedFd};

use crate::node::js::{Js, Value};
use crate::sys::errno::{Errno, Failure};
use crate::sys::unix_addr::UnixAddr;

/// A result of a native function.
pub trait Answer {
    /// The value that JavaScript gets.
    fn to_value(self, js: Js) -> Value;
}

impl Answer for Value {
    fn to_value(self, _js: Js) -> Value {
        self
    }
}

/// Done: 0.
impl Answer for () {
    fn to_value(self, js: Js) -> Value {
        js.int(0)
    }
}

/// 0 or 1.
impl Answer for bool {
    fn to_value(self, js: Js) -> Value {
        js.int(self.into())
    }
}

impl Answer for i32 {
    fn to_value(self, js: Js) -> Value {
        js.int(self)
    }
}

impl Answer for u32 {
    fn to_value(self, js: Js) -> Value {
        js.uint(self)
    }
}

/// The largest number of an i32 at most.
impl Answer for usize {
    fn to_value(self, js: Js) -> Value {
        js.int(self.min(i32::MAX as usize) as i32)
    }
}

impl Answer for &str {
    fn to_value(self, js: Js) -> Value {
        js.string(self)
    }
}

/// JavaScript's from here on.
impl Answer for OwnedFd {
    fn to_value(self, js: Js) -> Value {
        js.int(self.into_raw_fd())
    }
}

/// undefined where there is none.
impl<T: Answer> Answer for Option<T> {
    fn to_value(self, js: Js) -> Value {
        self.map_or_else(|| js.undefined(), |answer| answer.to_value(js))
    }
}

impl<T: Answer> Answer for Vec<T> {
    fn to_value(self, js: Js) -> Value {
        js.array(self.into_iter().map(|item| item.to_value(js)))
    }
}

impl<T: Answer, const N: usize> Answer for [T; N] {
    fn to_value(self, js: Js) -> Value {
        js.array(self.into_iter().map(|item| item.to_value(js)))
    }
}

/// A Buffer.
impl Answer for Vec<u8> {
    fn to_value(self, js: Js) -> Value {
        js.buffer_from(&self)
    }
}

/// A Buffer with the name, empty for unnamed.
impl Answer for UnixAddr {
    fn to_value(self, js: Js) -> Value {
        self.name().collect::<Vec<u8>>().to_value(js)
    }
}

impl<T: Answer> Answer for Result<T, Errno> {
    fn to_value(self, js: Js) -> Value {
        self.map_or_else(|errno| js.int(errno.to_js()), |answer| answer.to_value(js))
    }
}

/// `[errno, name of the system call]` where it is one of several that failed.
impl<T: Answer> Answer for Result<T, Failure> {
    fn to_value(self, js: Js) -> Value {
        match self {
            Ok(answer) => answer.to_value(js),
            Err(Failure { call, errno }) => {
                js.array([js.int(errno.to_js()), js.string(call)].into_iter())
            }
        }
    }
}
