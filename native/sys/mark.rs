//! Owns: what distinguishes an empty message of a seqpacket socket from the end, which to
//! `recvmsg(2)` are both no bytes: a mark that the kernel puts on every message.
#![allow(unsafe_code)]

use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::OnceLock;

use socket2::{SockRef, Type};

use crate::sys::errno::{Result, syscall};
use crate::sys::socket;

#[cfg(target_os = "linux")]
const SO_PASSSEC: libc::c_int = libc::SO_PASSSEC;
/// There are no seqpacket sockets: never used.
#[cfg(not(target_os = "linux"))]
const SO_PASSSEC: libc::c_int = 0;

/// Marks messages that are received without control data, and those of connections that the socket
/// accepts: by the sender's security label, which the kernel notes it has no room for. False where
/// this kernel has no labels.
pub fn mark_by_label(fd: BorrowedFd<'_>) -> Result<bool> {
    if labels_mark() { set(fd, SO_PASSSEC, true).map(|()| true) } else { Ok(false) }
}

/// Marks messages however they are received, but not those of accepted connections: by the time.
/// That costs each message more, and while any socket has it, the kernel notes the time of every
/// packet of its networks, too.
pub fn mark_by_time(fd: BorrowedFd<'_>) -> Result<()> {
    set(fd, libc::SO_TIMESTAMP, true)
}

/// Undoes [`mark_by_label`]: with control data, the kernel would look up each label.
pub fn stop_labels(fd: BorrowedFd<'_>) -> Result<()> {
    if labels_mark() { set(fd, SO_PASSSEC, false) } else { Ok(()) }
}

fn set(fd: BorrowedFd<'_>, name: libc::c_int, is_on: bool) -> Result<()> {
    let (value, len) = (libc::c_int::from(is_on), size_of::<libc::c_int>() as libc::socklen_t);
    let (raw, level, start) = (fd.as_raw_fd(), libc::SOL_SOCKET, (&raw const value).cast());
    // SAFETY: the option is an int, and `len` is its size.
    unsafe { syscall!(setsockopt(raw, level, name, start, len)) }.map(drop)
}

/// Whether a label marks a message: not in a kernel that was built without them.
fn labels_mark() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return *known;
    }
    // Where it cannot be tried (no descriptor is left), the next socket tries again.
    let Ok(marks) = try_label() else { return false };
    *KNOWN.get_or_init(|| marks)
}

fn try_label() -> Result<bool> {
    let [left, right] = socket::pair(Type::SEQPACKET)?;
    if set(right.as_fd(), SO_PASSSEC, true).is_err() {
        return Ok(false);
    }
    SockRef::from(&left).send(&[])?;
    // SAFETY: plain integers and pointers, for which zero is valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    let (raw, flags) = (right.as_raw_fd(), libc::MSG_DONTWAIT);
    // SAFETY: a header of a message of no bytes.
    unsafe { syscall!(recvmsg(raw, &mut header, flags)) }?;
    Ok(header.msg_flags & libc::MSG_CTRUNC != 0)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::sys::message::{Outgoing, Receiver, send};
    use crate::sys::unix_addr::UnixAddr;

    /// What is received of an empty message, one with a byte and the end: lengths and ends.
    fn received(control: bool, mark: impl Fn(BorrowedFd<'_>)) -> Vec<(usize, bool)> {
        let [left, right] = socket::pair(Type::SEQPACKET).unwrap();
        let mut receiver = Receiver::new().unwrap();
        for bytes in [&b""[..], b"x"] {
            let message =
                Outgoing { bytes: bytes.as_ptr(), len: bytes.len(), to: None, rights: None };
            // SAFETY: a live slice.
            unsafe { send(left.as_fd(), &message) }.unwrap();
        }
        // Also for messages that were sent before.
        mark(right.as_fd());
        drop(left);
        (0..3)
            .map(|_| {
                assert_eq!(receiver.receive(right.as_fd(), 1, control, false), Ok(1));
                let message = receiver.message(0);
                assert!(!message.truncated && !message.control_truncated);
                (message.bytes.len(), message.is_end)
            })
            .collect()
    }

    #[test]
    fn an_end_is_no_empty_message() {
        let expected = [(0, false), (1, false), (0, true)];
        for control in [false, true] {
            assert_eq!(received(control, |fd| mark_by_time(fd).unwrap()), expected);
        }
        if labels_mark() {
            assert_eq!(received(false, |fd| assert_eq!(mark_by_label(fd), Ok(true))), expected);
        }
    }

    #[test]
    fn accepted_connections_have_the_label_of_the_listener() {
        if !labels_mark() {
            return;
        }
        let listener = socket::create(Type::SEQPACKET).unwrap();
        // Linux picks a name.
        let unnamed = UnixAddr::unnamed();
        let raw = listener.as_raw_fd();
        let family = size_of::<libc::sa_family_t>() as libc::socklen_t;
        // SAFETY: as many bytes of an address.
        unsafe { syscall!(bind(raw, unnamed.as_ptr(), family)) }.unwrap();
        let name = socket::local_address(listener.as_fd()).unwrap();
        socket::listen(listener.as_fd(), 1).unwrap();
        assert_eq!(mark_by_label(listener.as_fd()), Ok(true));
        let client = socket::create(Type::SEQPACKET).unwrap();
        socket::connect(client.as_fd(), &name).unwrap();
        let accepted = socket::accept(listener.as_fd()).unwrap();
        SockRef::from(&client).send(&[]).unwrap();
        drop(client);
        let mut receiver = Receiver::new().unwrap();
        for is_end in [false, true] {
            assert_eq!(receiver.receive(accepted.as_fd(), 1, false, false), Ok(1));
            assert_eq!(receiver.message(0).is_end, is_end);
        }
    }
}
