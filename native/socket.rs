//! Owns: sockets as descriptors: making, connecting and questioning them.
//! May import: errno, addr, ancillary (Credentials).
//!
//! CLOEXEC and NONBLOCK from creation on. See socket(7), unix(7).
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use socket2::{Domain, SockRef, Socket, Type};

use crate::addr::UnixAddr;
use crate::ancillary::Credentials;
use crate::errno::{Errno, Result, syscall};

/// A new unnamed Unix socket.
pub fn create(kind: Type) -> Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Two new sockets connected to each other, `socketpair(2)`.
pub fn pair(kind: Type) -> Result<(OwnedFd, OwnedFd)> {
    let (left, right) = Socket::pair(Domain::UNIX, kind, None)?;
    left.set_nonblocking(true)?;
    right.set_nonblocking(true)?;
    Ok((left.into(), right.into()))
}

/// Takes over a descriptor that JavaScript gives up, if it is an open Unix socket of `kind`; makes
/// it nonblocking and CLOEXEC.
///
/// EBADF, ENOTSOCK, EAFNOSUPPORT for another family, EPROTOTYPE for another type: then, and where
/// a later step fails and the caller lets go with `into_raw_fd`, it stays JavaScript's.
pub fn adopt(fd: RawFd, kind: Type) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: not -1; every use below is a system call that checks the number.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    // The address's family rather than SO_DOMAIN, which macOS lacks.
    if local_address(borrowed)?.family() != libc::AF_UNIX {
        return Err(Errno::AFNOSUPPORT);
    }
    let socket = SockRef::from(&borrowed);
    if socket.r#type()? != kind {
        return Err(Errno::PROTOTYPE);
    }
    socket.set_nonblocking(true)?;
    socket.set_cloexec(true)?;
    // SAFETY: an open descriptor, and the caller gives it up.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `connect(2)`. EAGAIN from a listener whose backlog is full.
pub fn connect(fd: BorrowedFd<'_>, to: &UnixAddr) -> Result<()> {
    // Unix connects that return EINTR were not begun, so they may be repeated.
    // SAFETY: pointer and length come from one address.
    unsafe { syscall!(connect(fd.as_raw_fd(), to.as_ptr(), to.len())) }.map(drop)
}

/// Dissolves a datagram socket's connection: connect to AF_UNSPEC.
pub fn disconnect(fd: BorrowedFd<'_>) -> Result<()> {
    let unspecified = libc::sockaddr {
        #[cfg(target_os = "macos")]
        sa_len: 0,
        sa_family: libc::AF_UNSPEC as libc::sa_family_t,
        sa_data: [0; 14],
    };
    let len = size_of::<libc::sa_family_t>() as libc::socklen_t;
    // SAFETY: the family alone is read.
    unsafe { syscall!(connect(fd.as_raw_fd(), &unspecified, len)) }.map(drop)
}

/// The name `fd` is bound to, `getsockname(2)`.
pub fn local_address(fd: BorrowedFd<'_>) -> Result<UnixAddr> {
    address(|addr, len| {
        // SAFETY: `addr` has room for `len` bytes.
        unsafe { syscall!(getsockname(fd.as_raw_fd(), addr, len)) }.map(drop)
    })
}

/// The name of `fd`'s peer, `getpeername(2)`; ENOTCONN if there is none.
pub fn peer_address(fd: BorrowedFd<'_>) -> Result<UnixAddr> {
    address(|addr, len| {
        // SAFETY: `addr` has room for `len` bytes.
        unsafe { syscall!(getpeername(fd.as_raw_fd(), addr, len)) }.map(drop)
    })
}

fn address(
    call: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> Result<()>,
) -> Result<UnixAddr> {
    let mut addr = UnixAddr::unnamed();
    let mut len = UnixAddr::capacity();
    call(addr.as_mut_ptr(), &mut len)?;
    addr.set_len(len);
    Ok(addr)
}

/// Who is on the other end, SO_PEERCRED; ENOTCONN where nobody ever was.
pub fn peer_credentials(fd: BorrowedFd<'_>) -> Result<Credentials> {
    #[cfg(target_os = "linux")]
    {
        let mut found = Credentials { pid: 0, uid: 0, gid: 0 };
        let mut len = size_of::<Credentials>() as libc::socklen_t;
        let raw = fd.as_raw_fd();
        let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        // SAFETY: Credentials has ucred's layout, and `len` is its size.
        unsafe { syscall!(getsockopt(raw, level, name, (&raw mut found).cast(), &mut len)) }?;
        // The kernel says pid 0 and uid -1 where there is no peer.
        if found.pid == 0 && found.uid == u32::MAX {
            return Err(Errno::NOTCONN);
        }
        Ok(found)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let (mut uid, mut gid) = (0, 0);
        // SAFETY: two valid out-parameters.
        unsafe { syscall!(getpeereid(fd.as_raw_fd(), &mut uid, &mut gid)) }?;
        Ok(Credentials { pid: 0, uid, gid })
    }
}

/// Asks the kernel to put the sender's credentials on every message, SO_PASSCRED. Linux only.
pub fn pass_credentials(fd: BorrowedFd<'_>) -> Result<()> {
    #[cfg(target_os = "linux")]
    return Ok(SockRef::from(&fd).set_passcred(true)?);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        Err(Errno::NOSYS)
    }
}

/// Gives every message a timestamp, SO_TIMESTAMP: what tells an empty message from the end.
pub fn stamp_messages(fd: BorrowedFd<'_>) -> Result<()> {
    let (on, len) = (1 as libc::c_int, size_of::<libc::c_int>() as libc::socklen_t);
    let (level, name, value) = (libc::SOL_SOCKET, libc::SO_TIMESTAMP, (&raw const on).cast());
    // SAFETY: the option is an int, and `len` is its size.
    unsafe { syscall!(setsockopt(fd.as_raw_fd(), level, name, value, len)) }.map(drop)
}

/// `listen(2)`
pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<()> {
    Ok(SockRef::from(&fd).listen(backlog)?)
}

/// Whether the socket listens, SO_ACCEPTCONN.
pub fn is_listening(fd: BorrowedFd<'_>) -> bool {
    let (mut answer, mut len) = (0 as libc::c_int, size_of::<libc::c_int>() as libc::socklen_t);
    let (level, name, value) = (libc::SOL_SOCKET, libc::SO_ACCEPTCONN, (&raw mut answer).cast());
    // SAFETY: the option is an int, and `len` is its size.
    let asked = unsafe { syscall!(getsockopt(fd.as_raw_fd(), level, name, value, &mut len)) };
    // Where the system does not say, accept(2) will.
    asked.map_or(!cfg!(target_os = "linux"), |_| answer != 0)
}

/// The next waiting connection, `accept4(2)`; EAGAIN if none waits.
pub fn accept(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    let (no_address, no_len) = (std::ptr::null_mut(), std::ptr::null_mut());
    #[cfg(target_os = "linux")]
    {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no address is asked for.
        let raw = unsafe { syscall!(accept4(fd.as_raw_fd(), no_address, no_len, flags)) }?;
        // SAFETY: a new descriptor that is ours.
        Ok(unsafe { OwnedFd::from_raw_fd(raw) })
    }
    #[cfg(not(target_os = "linux"))]
    {
        // SAFETY: no address is asked for.
        let raw = unsafe { syscall!(accept(fd.as_raw_fd(), no_address, no_len)) }?;
        // SAFETY: a new descriptor that is ours.
        let owned = unsafe { OwnedFd::from_raw_fd(raw) };
        SockRef::from(&owned).set_cloexec(true)?;
        SockRef::from(&owned).set_nonblocking(true)?;
        Ok(owned)
    }
}

/// Sends no more, `shutdown(2)` with SHUT_WR.
pub fn shut_down_sending(fd: BorrowedFd<'_>) -> Result<()> {
    Ok(SockRef::from(&fd).shutdown(std::net::Shutdown::Write)?)
}

/// Takes over descriptors that JavaScript owns. EBADF if one is not open, EINVAL if one is named
/// twice: then all stay its own.
pub fn claim(fds: &[RawFd]) -> Result<Vec<OwnedFd>> {
    for (index, fd) in fds.iter().enumerate() {
        if fds[..index].contains(fd) {
            return Err(Errno::INVAL);
        }
        // SAFETY: F_GETFD on any number is harmless.
        unsafe { syscall!(fcntl(*fd, libc::F_GETFD)) }?;
    }
    // SAFETY: open, and JavaScript gives them up.
    Ok(fds.iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }).collect())
}

/// `close(2)` of a descriptor that JavaScript owns; EBADF if it is not open.
pub fn close(fd: RawFd) -> Result<()> {
    // SAFETY: the number is JavaScript's, which gives it up. Not repeated on EINTR: it is closed.
    match unsafe { libc::close(fd) } {
        -1 if Errno::last() != Errno::INTR => Err(Errno::last()),
        _ => Ok(()),
    }
}

/// Takes the pending error, SO_ERROR.
pub fn take_error(fd: BorrowedFd<'_>) -> Option<Errno> {
    SockRef::from(&fd).take_error().ok().flatten().map(Errno::from)
}

/// True while the socket's own send buffer, not the receiver, is what refuses a message.
///
/// The kernel refuses once the bytes in flight reach SO_SNDBUF (`SIOCOUTQ`, unix(7)).
pub fn send_buffer_is_full(fd: BorrowedFd<'_>) -> bool {
    #[cfg(target_os = "linux")]
    {
        let mut in_flight: libc::c_int = 0;
        // SAFETY: SIOCOUTQ, which shares TIOCOUTQ's number, writes one int.
        let asked = unsafe { syscall!(ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &mut in_flight)) };
        // SO_SNDBUF reads back doubled on Linux, and the doubled value is what the kernel compares.
        let limit = SockRef::from(&fd).send_buffer_size();
        asked.is_ok() && limit.is_ok_and(|limit| in_flight as usize >= limit)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        true
    }
}
