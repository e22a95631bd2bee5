//! Owns: calls that block, and the signals that interrupt them: an interrupted call is made again,
//! but waits no longer than the socket's own time limit allows.
//!
//! Handlers that Node installs have SA_RESTART, so that Linux itself repeats most calls. It does
//! not where a time limit is set, nor for poll(2). See signal(7).
#![allow(unsafe_code)]

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use crate::sys::errno::{CReturn, Errno, Result, check_once, syscall};

/// The longest that `poll(2)` waits, in milliseconds.
const MAX_WAIT: u128 = libc::c_int::MAX as u128;

/// Waits for a connection that is under way. EINPROGRESS where SO_SNDTIMEO ends the wait.
#[cold]
pub fn finish_connecting(fd: RawFd) -> Result<()> {
    let deadline = deadline(fd, libc::POLLOUT);
    let mut wanted = [libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }];
    if poll(&mut wanted, deadline)? == 0 {
        return Err(Errno::INPROGRESS);
    }
    let mut error = 0;
    value(fd, libc::SO_ERROR, &mut error)?;
    if error == 0 { Ok(()) } else { Err(Errno::from_uv(-error)) }
}

/// `poll(2)` until the deadline, however many signals interrupt it. 0 if nothing happened.
pub fn poll(wanted: &mut [libc::pollfd], deadline: Option<Instant>) -> Result<i32> {
    let count = wanted.len() as libc::nfds_t;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // Up to the next millisecond, or the last part of one would be spent in a loop.
        let left =
            left.map_or(-1, |left| left.as_micros().div_ceil(1000).min(MAX_WAIT) as libc::c_int);
        // SAFETY: pointer and length of one slice.
        match unsafe { syscall!(once poll(wanted.as_mut_ptr(), count, left)) } {
            Err(Errno::INTR) => continue,
            result => return result,
        }
    }
}

/// Repeats a call while signals interrupt it, but no longer than the socket's own time limit.
#[inline]
pub fn interruptible<T>(fd: RawFd, event: libc::c_short, mut call: impl FnMut() -> T) -> Result<T>
where
    T: CReturn,
{
    match check_once(call()) {
        Err(Errno::INTR) => resume(fd, event, call),
        result => result,
    }
}

/// After the first interruption. With a time limit, what the call had waited before is not known:
/// it gets its whole limit once more, however often it is interrupted then, and EAGAIN at its end.
#[cold]
pub fn resume<T>(fd: RawFd, event: libc::c_short, mut call: impl FnMut() -> T) -> Result<T>
where
    T: CReturn,
{
    let deadline = deadline(fd, event);
    loop {
        if deadline.is_some() {
            let mut wanted = [libc::pollfd { fd, events: event, revents: 0 }];
            let ready = poll(&mut wanted, deadline)?;
            if ready == 0 || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Errno::AGAIN);
            }
        }
        match check_once(call()) {
            Err(Errno::INTR) => continue,
            result => return result,
        }
    }
}

/// When SO_RCVTIMEO or SO_SNDTIMEO, as the event says, has passed from now on; None without one.
fn deadline(fd: RawFd, event: libc::c_short) -> Option<Instant> {
    let name = if event == libc::POLLIN { libc::SO_RCVTIMEO } else { libc::SO_SNDTIMEO };
    let mut limit = libc::timeval { tv_sec: 0, tv_usec: 0 };
    value(fd, name, &mut limit).ok()?;
    let limit = Duration::from_secs(u64::try_from(limit.tv_sec).ok()?)
        + Duration::from_micros(u64::try_from(limit.tv_usec).ok()?);
    // No limit is zero; one beyond what the clock can say is none either.
    Instant::now().checked_add(limit).filter(|_| !limit.is_zero())
}

/// A SOL_SOCKET option whose value is a plain C structure or number.
fn value<T: Copy>(fd: RawFd, name: i32, value: &mut T) -> Result<usize> {
    // SAFETY: a live value, of which the kernel fills no more than its size.
    unsafe { option(fd, libc::SOL_SOCKET, name, std::ptr::from_mut(value).cast(), size_of::<T>()) }
}

/// `getsockopt(2)`: how many of the `capacity` bytes from `start` on the option has filled.
///
/// # Safety
/// `start` is writable for `capacity` bytes.
pub unsafe fn option(
    fd: RawFd,
    level: i32,
    name: i32,
    start: *mut u8,
    capacity: usize,
) -> Result<usize> {
    let mut len = libc::socklen_t::try_from(capacity).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: as this function demands; `len` is no more than that.
    unsafe { syscall!(getsockopt(fd, level, name, start.cast(), &mut len)) }?;
    // Some options report how long they are even where they were cut.
    Ok((len as usize).min(capacity))
}
