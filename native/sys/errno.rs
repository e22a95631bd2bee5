//! Owns: the error number type and the one way to make a system call.
//!
//! Inside the crate a failure is an [`Errno`]; at the JavaScript edge it is the same number,
//! negated, as libuv and Node do it. JavaScript makes the Error object.

use std::fmt;

/// A positive `errno(3)` value. Values this crate has no name for are legal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

/// What every fallible call into the system returns.
pub type Result<T> = std::result::Result<T, Errno>;

macro_rules! named {
    ($($name:ident = $value:expr),+ $(,)?) => {
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                pub const $name: Errno = Errno($value);
            )+

            fn name(self) -> Option<&'static str> {
                match self {
                    $(Errno::$name => Some(stringify!($name)),)+
                    _ => None,
                }
            }
        }
    };
}

named! {
    ACCES = libc::EACCES,
    ADDRINUSE = libc::EADDRINUSE,
    AFNOSUPPORT = libc::EAFNOSUPPORT,
    AGAIN = libc::EAGAIN,
    ALREADY = libc::EALREADY,
    BADF = libc::EBADF,
    BUSY = libc::EBUSY,
    CONNABORTED = libc::ECONNABORTED,
    CONNREFUSED = libc::ECONNREFUSED,
    EXIST = libc::EEXIST,
    FAULT = libc::EFAULT,
    INPROGRESS = libc::EINPROGRESS,
    INTR = libc::EINTR,
    INVAL = libc::EINVAL,
    MFILE = libc::EMFILE,
    NAMETOOLONG = libc::ENAMETOOLONG,
    NFILE = libc::ENFILE,
    NOBUFS = libc::ENOBUFS,
    NODATA = libc::ENODATA,
    NOENT = libc::ENOENT,
    NOMEM = libc::ENOMEM,
    NOPROTOOPT = libc::ENOPROTOOPT,
    NOSYS = libc::ENOSYS,
    NOTCONN = libc::ENOTCONN,
    NOTDIR = libc::ENOTDIR,
    PERM = libc::EPERM,
    PROTOTYPE = libc::EPROTOTYPE,
    RANGE = libc::ERANGE,
    TOOMANYREFS = libc::ETOOMANYREFS,
}

impl Errno {
    /// The calling thread's `errno`.
    pub fn last() -> Errno {
        Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }

    /// The number that crosses to JavaScript: negative, as in libuv.
    pub const fn to_js(self) -> i32 {
        -self.0
    }

    /// Whether a send that failed so may succeed later: no room, too many descriptors in flight, or
    /// no memory.
    pub fn means_later(self) -> bool {
        matches!(self, Errno::AGAIN | Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM)
    }

    /// Whether that is so, and no event says when: only time helps.
    pub fn has_no_event(self) -> bool {
        // Elsewhere ENOBUFS is how a full receiver shows.
        let is_shortage =
            self == Errno::NOMEM || cfg!(target_os = "linux") && self == Errno::NOBUFS;
        self == Errno::TOOMANYREFS || is_shortage
    }

    /// Takes a negative status as libuv returns it.
    pub const fn from_uv(status: i32) -> Errno {
        Errno(-status)
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Errno {
        Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "E{name}"),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

/// A failure, and the system call it is of.
#[derive(Debug)]
pub struct Failure {
    /// The call's name, for the Error's `syscall`.
    pub call: &'static str,
    /// What it returned.
    pub errno: Errno,
}

/// For `map_err`: names the call that failed.
pub fn in_call<E: Into<Errno>>(call: &'static str) -> impl FnOnce(E) -> Failure {
    move |errno| Failure { call, errno: errno.into() }
}

/// What C's `-1` convention yields, as a type: lets [`syscall!`] serve `int` and `ssize_t` calls.
pub trait CReturn: Copy {
    /// True for the value that means "look at errno".
    fn is_failure(self) -> bool;
}

impl CReturn for i32 {
    fn is_failure(self) -> bool {
        self == -1
    }
}

impl CReturn for isize {
    fn is_failure(self) -> bool {
        self == -1
    }
}

/// Repeats `call` while it is interrupted by a signal, and turns `-1` into the errno.
///
/// Never for `close(2)`, which an interruption leaves done.
#[inline]
pub fn check<T: CReturn>(mut call: impl FnMut() -> T) -> Result<T> {
    loop {
        let value = call();
        if !value.is_failure() {
            return Ok(value);
        }
        match Errno::last() {
            Errno::INTR => continue,
            errno => return Err(errno),
        }
    }
}

/// Turns `-1` into the errno: for calls that cannot just be repeated when a signal interrupts them.
#[inline]
pub fn check_once<T: CReturn>(value: T) -> Result<T> {
    if value.is_failure() { Err(Errno::last()) } else { Ok(value) }
}

/// `syscall!(name(args…))` calls `libc::name`, retries EINTR and returns [`Result`]. The caller
/// owns the `unsafe` block. `syscall!(once name(args…))` leaves EINTR to the caller.
macro_rules! syscall {
    (once $name:ident($($arg:expr),* $(,)?)) => {
        $crate::sys::errno::check_once(libc::$name($($arg),*))
    };
    ($name:ident($($arg:expr),* $(,)?)) => {
        $crate::sys::errno::check(|| libc::$name($($arg),*))
    };
}
pub(crate) use syscall;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_interrupted_calls_only() {
        let mut calls = 0;
        let result = check(|| {
            calls += 1;
            set_errno(if calls < 3 { libc::EINTR } else { libc::EPERM });
            -1
        });
        assert_eq!((result, calls), (Err(Errno(libc::EPERM)), 3));
    }

    #[test]
    fn unknown_values_are_legal() {
        assert_eq!(format!("{:?} {:?}", Errno(4095), Errno::AGAIN), "Errno(4095) EAGAIN");
        assert_eq!(Errno::from_uv(Errno::BADF.to_js()), Errno::BADF);
    }

    #[test]
    fn what_passes_by_itself_and_what_the_kernel_reports() {
        let later = [Errno::AGAIN, Errno::TOOMANYREFS, Errno::NOBUFS, Errno::NOMEM];
        assert!(later.iter().all(|errno| errno.means_later()));
        let for_good = [Errno::BADF, Errno::CONNREFUSED, Errno::NOTCONN];
        assert!(!for_good.iter().any(|errno| errno.means_later() || errno.has_no_event()));
        assert!(Errno::TOOMANYREFS.has_no_event() && Errno::NOMEM.has_no_event());
        assert!(!Errno::AGAIN.has_no_event());
        assert_eq!(Errno::NOBUFS.has_no_event(), cfg!(target_os = "linux"));
    }

    #[allow(unsafe_code)]
    fn set_errno(value: i32) {
        #[cfg(target_os = "linux")]
        // SAFETY: __errno_location returns this thread's errno, always valid.
        unsafe {
            *libc::__errno_location() = value;
        }
        #[cfg(target_os = "macos")]
        // SAFETY: __error returns this thread's errno, always valid.
        unsafe {
            *libc::__error() = value;
        }
    }
}
