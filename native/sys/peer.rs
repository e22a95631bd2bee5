//! Owns: what the kernel knows of who is on the other end: its credentials, process, groups and
//! security label.
//!
//! Except for the credentials these are Linux alone, and newer than some kernels: None is "this
//! system does not say". See unix(7), socket(7), pidfd_open(2).
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::sys::ancillary::Credentials;
#[cfg(target_os = "linux")]
use crate::sys::blocking;
use crate::sys::errno::{Errno, Result, syscall};
#[cfg(target_os = "linux")]
use crate::sys::socket::option;

/// Options that the libc crate lacks; of `asm-generic/socket.h`, which x86, ARM, RISC-V and s390
/// use.
#[cfg(target_os = "linux")]
const SO_PEERGROUPS: libc::c_int = 59;
#[cfg(target_os = "linux")]
const SO_PASSPIDFD: libc::c_int = 76;
#[cfg(target_os = "linux")]
const SO_PEERPIDFD: libc::c_int = 77;

/// Who is on the other end, SO_PEERCRED; ENOTCONN where nobody ever was.
pub fn credentials(fd: BorrowedFd<'_>) -> Result<Credentials> {
    #[cfg(target_os = "linux")]
    {
        let nobody = Credentials { pid: 0, uid: 0, gid: 0 };
        // SAFETY: integers, in ucred's layout.
        let found = unsafe { option(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, nobody) }?;
        // The kernel says pid 0 and uid -1 where there is no peer.
        if found.pid == 0 && found.uid == u32::MAX {
            return Err(Errno::NOTCONN);
        }
        Ok(found)
    }
    #[cfg(not(target_os = "linux"))]
    {
        use std::os::fd::AsRawFd;
        let (mut uid, mut gid) = (0, 0);
        // SAFETY: two valid out-parameters.
        unsafe { syscall!(getpeereid(fd.as_raw_fd(), &mut uid, &mut gid)) }?;
        Ok(Credentials { pid: 0, uid, gid })
    }
}

/// The process that connected, or listened, or made the pair, SO_PEERPIDFD (Linux 6.5): a pidfd,
/// CLOEXEC. ENOTCONN where there is no peer; ESRCH where older kernels know that it has ended.
pub fn pidfd(fd: BorrowedFd<'_>) -> Result<Option<OwnedFd>> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: an integer.
        let found: Option<RawFd> =
            unknown_is_none(unsafe { option(fd, libc::SOL_SOCKET, SO_PEERPIDFD, -1) })?;
        // SAFETY: a new descriptor that is ours.
        Ok(found.filter(|raw| *raw >= 0).map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        Ok(None)
    }
}

/// The supplementary groups that the peer had, SO_PEERGROUPS (Linux 4.13). ENOTCONN.
pub fn groups(fd: BorrowedFd<'_>) -> Result<Option<Vec<u32>>> {
    #[cfg(target_os = "linux")]
    {
        let bytes = unknown_is_none(long_option(fd, SO_PEERGROUPS))?;
        let group = |raw: &[u8]| u32::from_ne_bytes([raw[0], raw[1], raw[2], raw[3]]);
        Ok(bytes.map(|bytes| bytes.chunks_exact(4).map(group).collect()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        Ok(None)
    }
}

/// The peer's security label (SELinux, AppArmor, Smack), SO_PEERSEC, without the NUL at its end.
/// None also where no security module gives sockets labels. ENOTCONN.
pub fn label(fd: BorrowedFd<'_>) -> Result<Option<Vec<u8>>> {
    #[cfg(target_os = "linux")]
    {
        let mut found = unknown_is_none(long_option(fd, libc::SO_PEERSEC))?;
        if let Some(label) = &mut found
            && label.last() == Some(&0)
        {
            label.pop();
        }
        Ok(found)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        Ok(None)
    }
}

/// Asks the kernel to put the sender's pidfd on every message, SO_PASSPIDFD (Linux 6.5), or no
/// longer. False where it cannot.
pub fn pass_pidfd(fd: BorrowedFd<'_>, on: bool) -> Result<bool> {
    #[cfg(target_os = "linux")]
    {
        Ok(unknown_is_none(crate::sys::socket::switch(fd, SO_PASSPIDFD, on))?.is_some())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, on);
        Ok(false)
    }
}

/// Whether the process of a pidfd has not ended yet, pidfd_open(2). EBADF if it is no pidfd; ENOSYS
/// where there are none.
pub fn is_alive(pidfd: BorrowedFd<'_>) -> Result<bool> {
    #[cfg(target_os = "linux")]
    {
        let raw = pidfd.as_raw_fd();
        // Signal 0 reaches nobody. Of other answers the poll knows better: a process that nobody
        // has waited for yet may still be signalled, and one of another user may not.
        // SAFETY: a plain call.
        let asked = unsafe {
            let info = std::ptr::null::<libc::c_void>();
            libc::syscall(libc::SYS_pidfd_send_signal, raw, 0, info, 0)
        };
        if asked < 0 && Errno::last() == Errno::BADF {
            return Err(Errno::BADF);
        }
        let mut wanted = libc::pollfd { fd: raw, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { syscall!(poll(&mut wanted, 1, 0)) }?;
        Ok(wanted.revents == 0)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pidfd;
        Err(Errno::NOSYS)
    }
}

#[cfg(target_os = "linux")]
fn unknown_is_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOPROTOOPT | Errno::NOSYS) => Ok(None),
        Err(Errno::NODATA) => Err(Errno::NOTCONN),
        Err(errno) => Err(errno),
    }
}

/// A SOL_SOCKET option of any length: ERANGE says that there is more.
#[cfg(target_os = "linux")]
fn long_option(fd: BorrowedFd<'_>, name: i32) -> Result<Vec<u8>> {
    let mut room = vec![0; 256];
    loop {
        let (start, len) = (room.as_mut_ptr(), room.len());
        // SAFETY: as much room as is said.
        match unsafe { blocking::option(fd.as_raw_fd(), libc::SOL_SOCKET, name, start, len) } {
            Ok(len) => {
                room.truncate(len);
                return Ok(room);
            }
            // NGROUPS_MAX of four bytes each, and more than any label.
            Err(Errno::RANGE) if room.len() < 1 << 20 => room.resize(room.len() * 4, 0),
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::sys::message::{self, Outgoing, Receiver};
    use crate::sys::socket;
    use socket2::Type;
    use std::os::fd::AsFd;

    /// The process id in a pidfd's fdinfo; -1 once it was waited for.
    fn process_of(pidfd: &OwnedFd) -> i32 {
        let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
        let info = std::fs::read_to_string(path).unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap();
        line.trim().parse().unwrap()
    }

    fn send(fd: BorrowedFd<'_>, bytes: &[u8]) {
        let message = Outgoing { bytes: bytes.as_ptr(), len: bytes.len(), to: None, rights: None };
        // SAFETY: a live slice.
        unsafe { message::send(fd, &message) }.unwrap();
    }

    #[test]
    fn the_peer_is_this_process() {
        let [left, _right] = socket::pair(Type::SEQPACKET).unwrap();
        // None where the kernel is older than the option.
        if let Some(pidfd) = pidfd(left.as_fd()).unwrap() {
            assert_eq!(process_of(&pidfd), std::process::id() as i32);
            assert_eq!(is_alive(pidfd.as_fd()), Ok(true));
        }
        let mut own = vec![0; 1 << 16];
        // SAFETY: as much room as is said.
        let count = unsafe { libc::getgroups(own.len() as i32, own.as_mut_ptr()) };
        own.truncate(count as usize);
        let found = groups(left.as_fd()).unwrap();
        assert!(found.is_none_or(|found| found == own));
        assert!(label(left.as_fd()).is_ok());
    }

    #[test]
    fn a_socket_without_a_peer_has_none_of_its_facts() {
        let alone = socket::create(Type::STREAM).unwrap();
        assert_eq!(credentials(alone.as_fd()), Err(Errno::NOTCONN));
        let found = pidfd(alone.as_fd());
        assert!(!matches!(found, Ok(Some(_))), "{found:?}");
        assert!(groups(alone.as_fd()).is_err());
    }

    #[test]
    fn a_process_that_has_ended_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = libc::c_long::from(child.id());
        // SAFETY: a plain call.
        let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as RawFd;
        child.wait().unwrap();
        // Kernels before 5.3 have none.
        if raw >= 0 {
            // SAFETY: a new descriptor that is ours.
            let pidfd = unsafe { OwnedFd::from_raw_fd(raw) };
            assert_eq!(is_alive(pidfd.as_fd()), Ok(false));
        }
        let other = socket::create(Type::STREAM).unwrap();
        assert_eq!(is_alive(other.as_fd()), Err(Errno::BADF));
    }

    #[test]
    fn messages_bring_the_senders_process_which_is_owned() {
        let mut receiver = Receiver::new().unwrap();
        for kind in [Type::DGRAM, Type::SEQPACKET] {
            let [left, right] = socket::pair(kind).unwrap();
            if !pass_pidfd(right.as_fd(), true).unwrap() {
                return;
            }
            send(left.as_fd(), b"x");
            receiver.receive(right.as_fd(), 1, true, true).unwrap();
            let pidfd = receiver.message(0).ancillary.pidfd.unwrap();
            assert_eq!(process_of(&pidfd), std::process::id() as i32);
            pass_pidfd(right.as_fd(), false).unwrap();
            send(left.as_fd(), b"x");
            receiver.receive(right.as_fd(), 1, true, true).unwrap();
            assert!(receiver.message(0).ancillary.pidfd.is_none());
        }
    }
}
