//! Owns: descriptors of any kind: what one is, its flags, duplicates, pipes.
//!
//! See fstat(2), socket(7), fcntl(2), dup(2), pipe(2).
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, SockRef, Type};

use crate::sys::errno::{Errno, Result, syscall};
use crate::sys::socket;

/// What a descriptor is.
pub struct Description {
    /// One of the names that `fdType()` documents.
    pub kind: &'static str,
    /// A socket that listens.
    pub listening: bool,
    /// `O_RDONLY`, `O_WRONLY` or `O_RDWR`.
    pub access: i32,
    /// An internet socket of version 6.
    pub is_ipv6: bool,
}

/// The number of a descriptor that JavaScript names, to ask the kernel about; EBADF below 0.
pub fn borrow<'a>(fd: RawFd) -> Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: not -1; it is used for system calls that check the number, before JavaScript runs.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// What `fd` is; EBADF where it is not open.
pub fn describe(fd: BorrowedFd<'_>) -> Result<Description> {
    let mode = stat(fd)?.st_mode;
    // SAFETY: a plain call on an open descriptor.
    let flags = unsafe { syscall!(fcntl(fd.as_raw_fd(), libc::F_GETFL)) }?;
    let kind = match mode & libc::S_IFMT {
        libc::S_IFSOCK => socket_kind(fd),
        libc::S_IFIFO => "pipe",
        libc::S_IFREG => "file",
        libc::S_IFDIR => "directory",
        libc::S_IFCHR if is_terminal(fd) => "tty",
        libc::S_IFCHR => "character-device",
        libc::S_IFBLK => "block-device",
        libc::S_IFLNK => "symlink",
        // Descriptors without a file type: epoll, eventfd, timerfd, signalfd, pidfd …
        _ => "unknown",
    };
    Ok(Description {
        kind,
        listening: mode & libc::S_IFMT == libc::S_IFSOCK && socket::is_listening(fd),
        access: flags & libc::O_ACCMODE,
        is_ipv6: matches!(kind, "tcp" | "udp") && domain(fd) == Some(Domain::IPV6),
    })
}

/// `fstat(2)`
pub fn stat(fd: BorrowedFd<'_>) -> Result<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: room for one stat.
    unsafe { syscall!(fstat(fd.as_raw_fd(), stat.as_mut_ptr())) }?;
    // SAFETY: fstat succeeded, so it is filled.
    Ok(unsafe { stat.assume_init() })
}

fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    std::io::IsTerminal::is_terminal(&fd)
}

fn socket_kind(fd: BorrowedFd<'_>) -> &'static str {
    let socket = SockRef::from(&fd);
    // A socket file opened with O_PATH has no type: it is no socket.
    let Ok(kind) = socket.r#type() else { return "unknown" };
    match (domain(fd), kind) {
        (Some(Domain::UNIX), Type::STREAM) => "unix-stream",
        (Some(Domain::UNIX), Type::SEQPACKET) => "unix-seqpacket",
        (Some(Domain::UNIX), Type::DGRAM) => "unix-dgram",
        (Some(Domain::IPV4 | Domain::IPV6), kind) if has_usual_protocol(fd, kind) => match kind {
            Type::STREAM => "tcp",
            _ => "udp",
        },
        _ => "socket",
    }
}

/// Whether an internet socket is TCP or UDP, not SCTP, ICMP, raw …
fn has_usual_protocol(fd: BorrowedFd<'_>, kind: Type) -> bool {
    let usual: &[Protocol] = match kind {
        #[cfg(target_os = "linux")]
        Type::STREAM => &[Protocol::TCP, Protocol::MPTCP],
        #[cfg(not(target_os = "linux"))]
        Type::STREAM => &[Protocol::TCP],
        Type::DGRAM => &[Protocol::UDP],
        _ => return false,
    };
    #[cfg(target_os = "linux")]
    return SockRef::from(&fd).protocol().is_ok_and(|it| it.is_some_and(|it| usual.contains(&it)));
    // macOS does not report the protocol; its stream and datagram sockets are TCP and UDP but for
    // ICMP's, which are datagram ones.
    #[cfg(not(target_os = "linux"))]
    return {
        let _ = fd;
        !usual.is_empty()
    };
}

fn domain(fd: BorrowedFd<'_>) -> Option<Domain> {
    #[cfg(target_os = "linux")]
    return SockRef::from(&fd).domain().ok();
    // There is no SO_DOMAIN: the address's family says it.
    #[cfg(not(target_os = "linux"))]
    return socket::local_address(fd).ok().map(|address| Domain::from(address.family()));
}

/// Closes `fd` on exec, as descriptors that were inherited do not. EBADF where it is not open.
pub fn set_cloexec(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: plain calls on a descriptor.
    let flags = unsafe { syscall!(fcntl(fd.as_raw_fd(), libc::F_GETFD)) }?;
    // SAFETY: as above.
    unsafe { syscall!(fcntl(fd.as_raw_fd(), libc::F_SETFD, flags | libc::FD_CLOEXEC)) }.map(drop)
}

/// A descriptor that was passed to us and that nobody has taken yet. Dropping it closes it without
/// waiting.
///
/// close(2) of the last copy of a TCP socket with SO_LINGER waits for its peer, as long as the
/// sender of the descriptor likes, and the event loop with it.
#[derive(Debug)]
pub struct PassedFd(Option<OwnedFd>);

impl From<OwnedFd> for PassedFd {
    fn from(fd: OwnedFd) -> PassedFd {
        PassedFd(Some(fd))
    }
}

impl Drop for PassedFd {
    fn drop(&mut self) {
        if let Some(fd) = &self.0 {
            forget_linger(fd.as_fd());
        }
    }
}

/// Closes descriptors that were passed to us; see [`PassedFd`].
pub fn close_passed(fds: impl IntoIterator<Item = OwnedFd>) {
    fds.into_iter().for_each(|fd| drop(PassedFd::from(fd)));
}

/// Sees to it that closing does not wait. Anything but a socket says ENOTSOCK. A time of 0 is left:
/// it does not wait, but resets the connection.
fn forget_linger(fd: BorrowedFd<'_>) {
    let none = libc::linger { l_onoff: 0, l_linger: 0 };
    // SAFETY: plain integers.
    let found = unsafe { socket::option(fd, libc::SOL_SOCKET, libc::SO_LINGER, none) };
    if found.is_ok_and(|found| found.l_onoff != 0 && found.l_linger > 0) {
        let _ = SockRef::from(&fd).set_linger(None);
    }
}

/// A descriptor of the same open file, close-on-exec, `dup(2)`. EBADF, EMFILE.
pub fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    Ok(fd.try_clone_to_owned()?)
}

/// Lets the number `over`, which is open, mean the file of `fd` from now on, close-on-exec: in one
/// step, so that no other file can get the number in between, `dup3(2)`.
pub fn replace(fd: BorrowedFd<'_>, over: BorrowedFd<'_>) -> Result<()> {
    let (from, to) = (fd.as_raw_fd(), over.as_raw_fd());
    // SAFETY: a plain call.
    unsafe { syscall!(fcntl(to, libc::F_GETFD)) }?;
    #[cfg(target_os = "linux")]
    // SAFETY: the caller gives up what `over` means now.
    return unsafe { syscall!(dup3(from, to, libc::O_CLOEXEC)) }.map(drop);
    #[cfg(not(target_os = "linux"))]
    {
        // SAFETY: as above.
        unsafe { syscall!(dup2(from, to)) }?;
        set_cloexec(over)
    }
}

/// Both ends of a pipe, to read from and to write to, close-on-exec, `pipe(2)`.
pub fn pipe(nonblocking: bool) -> Result<[OwnedFd; 2]> {
    let mut fds = [-1; 2];
    #[cfg(target_os = "linux")]
    {
        let flags = libc::O_CLOEXEC | if nonblocking { libc::O_NONBLOCK } else { 0 };
        // SAFETY: room for two descriptors.
        unsafe { syscall!(pipe2(fds.as_mut_ptr(), flags)) }?;
    }
    #[cfg(not(target_os = "linux"))]
    // SAFETY: room for two descriptors.
    unsafe { syscall!(pipe(fds.as_mut_ptr())) }?;
    // SAFETY: new descriptors that are ours.
    let ends = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    #[cfg(not(target_os = "linux"))]
    for end in &ends {
        set_cloexec(end.as_fd())?;
        if nonblocking {
            control(end.as_fd(), libc::F_SETFL, libc::O_NONBLOCK)?;
        }
    }
    Ok(ends)
}

/// `fcntl(2)`, commands that take an int or nothing; EINVAL for the others, whose argument is a
/// pointer.
pub fn control(fd: BorrowedFd<'_>, command: i32, argument: i32) -> Result<i32> {
    const KNOWN: &[i32] = &[
        libc::F_GETFD,
        libc::F_SETFD,
        libc::F_GETFL,
        libc::F_SETFL,
        libc::F_DUPFD_CLOEXEC,
        #[cfg(target_os = "linux")]
        libc::F_ADD_SEALS,
        #[cfg(target_os = "linux")]
        libc::F_GET_SEALS,
    ];
    if !KNOWN.contains(&command) {
        return Err(Errno::INVAL);
    }
    // SAFETY: none of these commands takes a pointer.
    unsafe { syscall!(fcntl(fd.as_raw_fd(), command, argument)) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    fn kind_of(fd: impl AsFd) -> &'static str {
        describe(fd.as_fd()).unwrap().kind
    }

    #[test]
    fn tells_what_descriptors_are() {
        let [left, right] = socket::pair(Type::SEQPACKET).unwrap();
        assert_eq!((kind_of(&left), kind_of(&right)), ("unix-seqpacket", "unix-seqpacket"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(describe(listener.as_fd()).unwrap().listening);
        assert_eq!(kind_of(&listener), "tcp");
        assert_eq!(kind_of(std::net::UdpSocket::bind("[::1]:0").unwrap()), "udp");
        assert_eq!(kind_of(std::fs::File::open("/").unwrap()), "directory");
        assert_eq!(kind_of(std::fs::File::open("/dev/null").unwrap()), "character-device");
        assert!(borrow(-1).is_err());
    }

    #[test]
    fn a_replaced_number_means_the_other_file_and_is_close_on_exec() {
        let [read, write] = pipe(false).unwrap();
        let over = std::fs::File::open("/").unwrap();
        replace(write.as_fd(), over.as_fd()).unwrap();
        drop(write);
        assert_eq!(kind_of(&over), "pipe");
        assert_eq!(control(over.as_fd(), libc::F_GETFD, 0), Ok(libc::FD_CLOEXEC));
        (&over).write_all(b"through it").unwrap();
        drop(over);
        let mut text = String::new();
        std::fs::File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through it");
    }

    #[test]
    fn a_number_that_is_not_open_is_not_replaced() {
        let file = std::fs::File::open("/").unwrap();
        let closed = borrow(1 << 29).unwrap();
        assert_eq!(replace(file.as_fd(), closed), Err(Errno::BADF));
        assert_eq!(replace(closed, file.as_fd()), Err(Errno::BADF));
        assert_eq!(kind_of(&file), "directory");
    }

    #[test]
    fn commands_with_a_pointer_are_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        for command in [libc::F_GETLK, libc::F_SETLK, libc::F_OFD_GETLK, libc::F_GETOWN, -1] {
            assert_eq!(control(file.as_fd(), command, 0), Err(Errno::INVAL));
        }
        let copy = control(file.as_fd(), libc::F_DUPFD_CLOEXEC, 700).unwrap();
        assert!(copy >= 700);
        // SAFETY: new, and ours.
        drop(unsafe { OwnedFd::from_raw_fd(copy) });
    }

    #[test]
    fn a_socket_that_lingers_is_closed_without_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let limit = Duration::from_secs(20);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _unread = listener.accept().unwrap();
        SockRef::from(&client).set_linger(Some(limit)).unwrap();
        client.set_nonblocking(true).unwrap();
        // More than the other end has room for.
        while (&client).write(&[0; 1 << 16]).is_ok() {}
        let started = Instant::now();
        close_passed([OwnedFd::from(client)]);
        assert!(started.elapsed() < limit / 2);
        // Anything but a socket is closed all the same, and what was taken is not.
        let (reader, writer) = std::io::pipe().unwrap();
        close_passed([OwnedFd::from(writer)]);
        assert_eq!((&reader).read(&mut [0]).unwrap(), 0);
        let taken = PassedFd::from(OwnedFd::from(reader)).0.take().unwrap();
        assert_eq!(kind_of(&taken), "pipe");
    }
}
