//! Owns: descriptors of any kind: what one is, and making those that are no endpoint of ours
//! (anonymous files, close-on-exec of inherited ones).
//!
//! See fstat(2), socket(7), memfd_create(2).
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, SockRef, Type};

#[cfg(target_os = "linux")]
use crate::sys::errno::in_call;
use crate::sys::errno::{Errno, Failure, Result, syscall};
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
        // What has no type of a file: epoll, eventfd, timerfd, signalfd, pidfd …
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
    // macOS does not tell the protocol; its stream and datagram sockets are TCP and UDP but for
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
    // There is no SO_DOMAIN: the address's family tells.
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

/// A descriptor that somebody passed to us and nobody has taken yet. Dropping it closes it without
/// waiting.
///
/// close(2) of the last copy of a TCP socket with SO_LINGER waits for its peer, as long as the sender
/// of the descriptor likes, and the event loop with it.
#[derive(Debug)]
pub struct PassedFd(Option<OwnedFd>);

impl From<OwnedFd> for PassedFd {
    fn from(fd: OwnedFd) -> PassedFd {
        PassedFd(Some(fd))
    }
}

impl PassedFd {
    /// The descriptor, for whoever takes it.
    #[allow(dead_code)]
    pub fn take(mut self) -> Option<OwnedFd> {
        self.0.take()
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

/// Sees to it that closing does not wait. What is no socket says ENOTSOCK. A time of 0 is left: it
/// does not wait, but resets the connection.
fn forget_linger(fd: BorrowedFd<'_>) {
    let none = libc::linger { l_onoff: 0, l_linger: 0 };
    // SAFETY: plain integers.
    let found = unsafe { socket::option(fd, libc::SOL_SOCKET, libc::SO_LINGER, none) };
    if found.is_ok_and(|found| found.l_onoff != 0 && found.l_linger > 0) {
        let _ = SockRef::from(&fd).set_linger(None);
    }
}

/// An anonymous file that holds `bytes`, its offset 0; with `seal`, nobody can change it any more.
/// ENOSYS elsewhere than on Linux. The kernel checks the bytes' memory: EFAULT.
pub fn memfd(name: &CStr, bytes: *const [u8], seal: bool) -> std::result::Result<OwnedFd, Failure> {
    #[cfg(target_os = "linux")]
    {
        let fd = anonymous_file(name, seal).map_err(in_call("memfd_create"))?;
        write_all(&fd, bytes).map_err(in_call("pwrite"))?;
        if seal {
            let seals =
                libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
            // SAFETY: a plain call on a descriptor of ours.
            unsafe { syscall!(fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals)) }
                .map_err(in_call("fcntl"))?;
        }
        Ok(fd)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (name, bytes, seal);
        Err(Failure { call: "memfd_create", errno: Errno::NOSYS })
    }
}

#[cfg(target_os = "linux")]
fn anonymous_file(name: &CStr, seal: bool) -> Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | if seal { libc::MFD_ALLOW_SEALING } else { 0 };
    // SAFETY: a NUL-terminated name.
    let create = |flags| unsafe { syscall!(memfd_create(name.as_ptr(), flags)) };
    // vm.memfd_noexec=2 demands this flag. It is not the first choice: it adds a seal, and receivers
    // exist that compare seals for equality.
    let raw = match create(flags) {
        Err(Errno::ACCES) => create(flags | libc::MFD_NOEXEC_SEAL),
        made => made,
    }?;
    // SAFETY: a new descriptor that is ours.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(raw) })
}

/// Writes from the file's start on; its offset stays where it is. Short writes are continued.
#[cfg(target_os = "linux")]
fn write_all(fd: &OwnedFd, bytes: *const [u8]) -> Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        let start = bytes.cast::<u8>().wrapping_add(done).cast();
        let (len, offset) = (bytes.len() - done, done as libc::off_t);
        // SAFETY: the kernel only reads, and refuses memory that is not there.
        done += unsafe { syscall!(pwrite(fd.as_raw_fd(), start, len, offset)) }? as usize;
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    fn kind_of(fd: impl AsFd) -> &'static str {
        describe(fd.as_fd()).unwrap().kind
    }

    #[test]
    fn tells_what_descriptors_are() {
        let (left, right) = socket::pair(Type::SEQPACKET).unwrap();
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
    fn a_file_in_memory_is_read_from_its_start_and_sealed() {
        let bytes = vec![7; 3 << 20];
        let mut file =
            std::fs::File::from(memfd(c"test", &raw const bytes[..], true).ok().unwrap());
        let mut read = Vec::new();
        file.read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        assert!(file.write(b"x").is_err());
        assert!(file.set_len(0).is_err());
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
        // What is no socket is closed all the same, and what was taken is not.
        let (reader, writer) = std::io::pipe().unwrap();
        close_passed([OwnedFd::from(writer)]);
        assert_eq!((&reader).read(&mut [0]).unwrap(), 0);
        let taken = PassedFd::from(OwnedFd::from(reader)).take().unwrap();
        assert_eq!(kind_of(&taken), "pipe");
    }
}
