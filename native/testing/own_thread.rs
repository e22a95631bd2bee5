//! Owns: threads that share less with those of other tests: their descriptors, the working
//! directory, or the mounts.
#![allow(unsafe_code)]

/// Runs `body` in a thread with a table of descriptors of its own, in which only the standard ones
/// are open. Nothing that other tests have open is kept open by it. `/proc/self/fd` is not that
/// table, but the main thread's. Where the system has no such tables `body` runs as it is.
pub fn with_own_descriptors<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    if cfg!(any(miri, not(target_os = "linux"))) {
        return body();
    }
    let run = || {
        // close_range(2) with CLOSE_RANGE_UNSHARE, Linux 5.9.
        #[cfg(target_os = "linux")]
        // SAFETY: this thread has no descriptors but those that it makes from here on.
        unsafe {
            libc::syscall(libc::SYS_close_range, 3, u32::MAX, 2);
        }
        body()
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// Runs `body` in a thread with a working directory of its own, which it may change. False where
/// the process may not have that.
#[cfg(target_os = "linux")]
pub fn with_own_directory(body: impl FnOnce() + Send) -> bool {
    let run = || {
        // SAFETY: a plain call.
        let may = unsafe { libc::unshare(libc::CLONE_FS) } == 0;
        if may {
            body();
        }
        may
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// Runs `body` in a thread that sees an empty folder where /proc is. False where the process may
/// not have that: it takes root.
#[cfg(target_os = "linux")]
pub fn without_proc(body: impl FnOnce() + Send) -> bool {
    with_own_directory(|| {}) && {
        let run = || {
            let flags = libc::MS_REC | libc::MS_PRIVATE;
            let (root, none) = (c"/".as_ptr(), std::ptr::null());
            // SAFETY: NUL-terminated names; the mounts are this thread's alone.
            let may = unsafe {
                libc::unshare(libc::CLONE_NEWNS) == 0
                    && libc::mount(none, root, none, flags, none.cast()) == 0
                    && libc::mount(
                        c"none".as_ptr(),
                        c"/proc".as_ptr(),
                        c"tmpfs".as_ptr(),
                        0,
                        none.cast(),
                    ) == 0
            };
            if may {
                body();
            }
            may
        };
        std::thread::scope(|scope| scope.spawn(run).join().unwrap())
    }
}
