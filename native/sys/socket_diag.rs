//! Owns: asking the kernel which file a socket is bound to, sock_diag(7).
//!
//! fstat(2) of a bound socket does not speak of its file, and what has the file's name may be
//! another file by now. This the kernel shows to everybody, where it has unix_diag (an option of
//! its configuration) and nothing keeps the process from netlink sockets.
#![allow(unsafe_code)]

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::sys::descriptor;
use crate::sys::errno::{Result, syscall};

/// `linux/sock_diag.h`, `linux/unix_diag.h`
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const UDIAG_SHOW_VFS: u32 = 2;
const UNIX_DIAG_VFS: u16 = 1;

/// Bytes of `struct nlmsghdr`, `struct unix_diag_req`, `struct unix_diag_msg`, `struct nlattr`.
const HEADER: usize = 16;
const REQUEST: usize = 24;
const REPLY: usize = 16;
const ATTRIBUTE: usize = 4;

/// The lower half of the inode number of the file that the socket is bound to; None if that
/// cannot be known. It is the kernel's own number: see [`number_of`].
pub fn bound_file(socket: BorrowedFd<'_>) -> Option<u32> {
    let inode = descriptor::stat(socket).ok()?.st_ino as u32;
    let mut netlink = std::fs::File::from(open_netlink().ok()?);
    netlink.write_all(&request(inode)).ok()?;
    let mut room = [0; 1024];
    let len = netlink.read(&mut room).ok()?;
    file_in(&room[..len])
}

/// The same number of a file that a descriptor holds. Not fstat(2)'s: file systems such as
/// overlayfs report another to users than to the kernel.
pub fn number_of(pinned: &OwnedFd) -> Option<u32> {
    let path = format!("/proc/self/fdinfo/{}", pinned.as_raw_fd());
    let info = std::fs::read_to_string(path).ok()?;
    let number = info.lines().find_map(|line| line.strip_prefix("ino:"))?;
    number.trim().parse::<u64>().ok().map(|number| number as u32)
}

fn open_netlink() -> Result<OwnedFd> {
    // Nothing is waited for: the answer is there when the question has been written.
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: a plain call.
    let fd = unsafe { syscall!(socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG)) }?;
    // SAFETY: a new descriptor that is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn request(inode: u32) -> [u8; HEADER + REQUEST] {
    let mut bytes = [0; HEADER + REQUEST];
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    put(0, &((HEADER + REQUEST) as u32).to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    put(HEADER, &[libc::AF_UNIX as u8]);
    // Whatever its state and its cookie.
    put(HEADER + 4, &u32::MAX.to_ne_bytes());
    put(HEADER + 8, &inode.to_ne_bytes());
    put(HEADER + 12, &UDIAG_SHOW_VFS.to_ne_bytes());
    put(HEADER + 16, &[0xff; 8]);
    bytes
}

/// Finds the file in an answer.
fn file_in(answer: &[u8]) -> Option<u32> {
    let half = |at: usize| Some(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    // Otherwise it is an error.
    if half(4)? != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let mut at = HEADER + REPLY;
    loop {
        let (len, kind) = (half(at)? as usize, half(at + 2)?);
        if kind == UNIX_DIAG_VFS {
            return word(at + ATTRIBUTE);
        }
        if len < ATTRIBUTE {
            return None;
        }
        at += len.next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::os::unix::net::UnixDatagram;

    /// Whether the kernel has unix_diag, and lets us ask.
    fn answers(inode: u32) -> bool {
        let netlink = socket2::Domain::from(libc::AF_NETLINK);
        let protocol = socket2::Protocol::from(libc::NETLINK_SOCK_DIAG);
        let opened = socket2::Socket::new(netlink, socket2::Type::DGRAM, Some(protocol));
        let Ok(mut socket) = opened else { return false };
        let mut room = [0; 1024];
        socket.write_all(&request(inode)).is_ok()
            && socket.read(&mut room).is_ok()
            && room[4..6] == SOCK_DIAG_BY_FAMILY.to_ne_bytes()
    }

    #[test]
    fn a_sockets_file_is_told() {
        let name = |number: u32| format!("afunix-diag-{}-{number}", std::process::id());
        let paths = [1, 2].map(|number| std::env::temp_dir().join(name(number)));
        let sockets = paths.each_ref().map(|path| UnixDatagram::bind(path).unwrap());
        let numbers = paths.each_ref().map(|path| {
            let mut options = std::fs::OpenOptions::new();
            options.read(true).custom_flags(libc::O_PATH);
            number_of(&options.open(path).unwrap().into())
        });
        let found = sockets.each_ref().map(|socket| bound_file(socket.as_fd()));
        for path in paths {
            std::fs::remove_file(path).unwrap();
        }
        assert_ne!(numbers[0], numbers[1]);
        if answers(descriptor::stat(sockets[0].as_fd()).unwrap().st_ino as u32) {
            assert_eq!(found, numbers);
        } else {
            assert_eq!(found, [None, None]);
        }
        assert_eq!(bound_file(UnixDatagram::unbound().unwrap().as_fd()), None);
    }

    #[test]
    fn who_asks_neither_waits_nor_is_inherited() {
        // Nothing keeps us from opening it where it is known.
        let Ok(netlink) = open_netlink() else { return };
        assert!(socket2::SockRef::from(&netlink).nonblocking().unwrap());
        // SAFETY: F_GETFD on a live descriptor.
        assert_eq!(unsafe { libc::fcntl(netlink.as_raw_fd(), libc::F_GETFD) }, libc::FD_CLOEXEC);
    }

    #[test]
    fn the_question_is_laid_out_as_the_kernel_has_it() {
        let expected = [
            // nlmsghdr: length, type and flags, sequence, port.
            40,
            u32::from(SOCK_DIAG_BY_FAMILY) | 1 << 16,
            0,
            0,
            // unix_diag_req: family and protocol, states, inode, what to show, cookie.
            libc::AF_UNIX as u32,
            u32::MAX,
            0x01020304,
            UDIAG_SHOW_VFS,
            u32::MAX,
            u32::MAX,
        ];
        if cfg!(target_endian = "little") {
            assert_eq!(request(0x01020304)[..], expected.map(u32::to_ne_bytes).concat());
        }
    }

    /// An answer with these attributes.
    fn answer(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER + REPLY];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        for (kind, data) in attributes {
            bytes.extend(((ATTRIBUTE + data.len()) as u16).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*data);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_file_is_found_behind_other_attributes() {
        let number = 0x01020304_u32.to_ne_bytes();
        let file = [number, [9; 4]].concat();
        let others: [&[(u16, &[u8])]; 4] =
            [&[], &[(0, b"/path")], &[(2, &[]), (3, b"12345678")], &[(4, b"1"), (0, b"23")]];
        for other in others {
            let all = [other, &[(UNIX_DIAG_VFS, &file[..])]].concat();
            assert_eq!(file_in(&answer(SOCK_DIAG_BY_FAMILY, &all)), Some(0x01020304));
            assert_eq!(file_in(&answer(SOCK_DIAG_BY_FAMILY, other)), None);
            // NLMSG_ERROR
            assert_eq!(file_in(&answer(2, &all)), None);
        }
        // An attribute shorter than itself would be looked at for ever.
        for len in [0u16, 3] {
            let mut broken = answer(SOCK_DIAG_BY_FAMILY, &[(9, b"")]);
            broken[HEADER + REPLY..][..2].copy_from_slice(&len.to_ne_bytes());
            broken.extend(answer(0, &[(UNIX_DIAG_VFS, &file)]).split_off(HEADER + REPLY));
            assert_eq!(file_in(&broken), None);
        }
    }

    #[test]
    fn any_answer_is_read_or_refused() {
        crate::testing::random::rounds(|random| {
            let len = random.below(100);
            let mut answer = random.bytes(len);
            if len > 6 && random.below(4) > 0 {
                answer[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
            }
            let file = file_in(&answer);
            assert!(file.is_none() || len >= HEADER + REPLY + 2 * ATTRIBUTE);
        });
    }
}
