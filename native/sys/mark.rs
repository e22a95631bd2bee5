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
    if labels_mark() { socket::switch(fd, SO_PASSSEC, true).map(|()| true) } else { Ok(false) }
}

/// Marks messages however they are received, but not those of accepted connections: by the time.
/// That costs each message more, and while any socket has it, the kernel notes the time of every
/// packet of its networks, too.
pub fn mark_by_time(fd: BorrowedFd<'_>) -> Result<()> {
    socket::switch(fd, libc::SO_TIMESTAMP, true)
}

/// Undoes [`mark_by_label`]: with control data, the kernel would look up each label.
pub fn stop_labels(fd: BorrowedFd<'_>) -> Result<()> {
    if labels_mark() { socket::switch(fd, SO_PASSSEC, false) } else { Ok(()) }
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
    if socket::switch(right.as_fd(), SO_PASSSEC, true).is_err() {
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
    use crate::sys::message::Receiver;
    use crate::testing::listening::listening;

    /// What is received of an empty message, one with a byte and the end: lengths and ends.
    fn received(control: bool, mark: impl Fn(BorrowedFd<'_>)) -> Vec<(usize, bool)> {
        let [left, right] = socket::pair(Type::SEQPACKET).unwrap();
        let mut receiver = Receiver::new().unwrap();
        for bytes in [&b""[..], b"x"] {
            SockRef::from(&left).send(bytes).unwrap();
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
    fn it_is_known_whether_labels_mark() {
        // Where the kernel has no labels, the option is refused.
        let label = |fd: BorrowedFd<'_>| {
            socket::switch(fd, SO_PASSSEC, true).ok();
        };
        let marks = received(false, label)[0] == (0, false);
        assert_eq!(try_label(), Ok(marks));
        assert_eq!(labels_mark(), marks);
    }

    #[test]
    fn labels_can_be_stopped() {
        let [left, right] = socket::pair(Type::SEQPACKET).unwrap();
        if mark_by_label(right.as_fd()) != Ok(true) {
            return;
        }
        assert_eq!(stop_labels(right.as_fd()), Ok(()));
        SockRef::from(&left).send(&[]).unwrap();
        let mut receiver = Receiver::new().unwrap();
        assert_eq!(receiver.receive(right.as_fd(), 1, false, false), Ok(1));
        assert!(receiver.message(0).is_end, "nothing marks it any more");
    }

    #[test]
    fn accepted_connections_have_the_label_of_the_listener() {
        if !labels_mark() {
            return;
        }
        let (listener, name) = listening(Type::SEQPACKET);
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
