//! Owns: sockets as descriptors: making, connecting and questioning them.
//!
//! CLOEXEC and NONBLOCK from creation on. See socket(7), unix(7).
#![allow(unsafe_code)]

use std::collections::HashSet;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use socket2::{Domain, SockRef, Socket, Type};

use crate::sys::errno::{Errno, Result, syscall};
use crate::sys::unix_addr::UnixAddr;

/// A new unnamed Unix socket.
pub fn create(kind: Type) -> Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Two new sockets connected to each other, `socketpair(2)`.
pub fn pair(kind: Type) -> Result<[OwnedFd; 2]> {
    let (left, right) = Socket::pair(Domain::UNIX, kind, None)?;
    left.set_nonblocking(true)?;
    right.set_nonblocking(true)?;
    Ok([left.into(), right.into()])
}

/// What Linux does in the call that makes a socket: programs do not inherit it, and no SIGPIPE.
pub fn protect(fd: OwnedFd) -> Result<OwnedFd> {
    #[cfg(not(target_os = "linux"))]
    {
        let socket = SockRef::from(&fd);
        socket.set_cloexec(true)?;
        // Refused where the peer is gone already. Node ignores the signal, too.
        #[cfg(target_vendor = "apple")]
        let _ = socket.set_nosigpipe(true);
    }
    Ok(fd)
}

/// Whether a descriptor is an open Unix socket of `kind`: EBADF, ENOTSOCK, EAFNOSUPPORT for another
/// family, EPROTOTYPE for another type.
pub fn demand_kind(fd: BorrowedFd<'_>, kind: Type) -> Result<()> {
    // The address's family rather than SO_DOMAIN, which macOS lacks.
    if local_address(fd)?.family() != libc::AF_UNIX {
        return Err(Errno::AFNOSUPPORT);
    }
    if SockRef::from(&fd).r#type()? != kind {
        return Err(Errno::PROTOTYPE);
    }
    Ok(())
}

/// Takes over a descriptor that JavaScript gives up, and makes it nonblocking and CLOEXEC. On Err
/// it stays JavaScript's.
pub fn take_over(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    let socket = SockRef::from(&fd);
    socket.set_nonblocking(true)?;
    socket.set_cloexec(true)?;
    #[cfg(target_vendor = "apple")]
    let _ = socket.set_nosigpipe(true);
    // SAFETY: an open descriptor, and the caller gives it up.
    Ok(unsafe { OwnedFd::from_raw_fd(fd.as_raw_fd()) })
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
    let len = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: pointer and length are of one address.
    let result = unsafe { syscall!(connect(fd.as_raw_fd(), &unspecified, len)) }.map(drop);
    // macOS dissolves it, and then says that one cannot connect to such an address.
    if cfg!(target_os = "macos") && peer_address(fd) == Err(Errno::NOTCONN) {
        return Ok(());
    }
    result
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
    // Of a path that fills the structure Linux reports the length with its NUL, which is not there,
    // and takes no address of that length.
    addr.set_len(len.min(UnixAddr::capacity()));
    Ok(addr)
}

/// `getsockopt(2)` of an option that is a number or a structure; `value` where the kernel fills
/// less.
///
/// # Safety
/// `T` is plain integers.
pub unsafe fn option<T: Copy>(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    mut value: T,
) -> Result<T> {
    let (raw, mut len) = (fd.as_raw_fd(), size_of::<T>() as libc::socklen_t);
    // SAFETY: room for `len` bytes, any of which the caller says may be there.
    unsafe { syscall!(getsockopt(raw, level, name, (&raw mut value).cast(), &mut len)) }?;
    Ok(value)
}

/// `setsockopt(2)` of an option of SOL_SOCKET that is on or off.
pub fn switch(fd: BorrowedFd<'_>, name: libc::c_int, is_on: bool) -> Result<()> {
    let (value, len) = (libc::c_int::from(is_on), size_of::<libc::c_int>() as libc::socklen_t);
    let (raw, level, start) = (fd.as_raw_fd(), libc::SOL_SOCKET, (&raw const value).cast());
    // SAFETY: the option is an int, and `len` is its size.
    unsafe { syscall!(setsockopt(raw, level, name, start, len)) }.map(drop)
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

/// `listen(2)`
pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<()> {
    Ok(SockRef::from(&fd).listen(backlog)?)
}

/// Whether the socket listens, SO_ACCEPTCONN.
pub fn is_listening(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: an integer.
    let asked = unsafe { option(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, 0) };
    // Where the system does not say (macOS), a socket without a peer may.
    let may = || !cfg!(target_os = "linux") && peer_address(fd) == Err(Errno::NOTCONN);
    asked.map_or_else(|_| may(), |on: i32| on != 0)
}

/// The next waiting connection, `accept4(2)`; EAGAIN if none waits, whatever O_NONBLOCK says, and
/// EINVAL, for good, if none waits and the listener was shut down.
///
/// The flag belongs to the open file description: a child whose stdio it is, or whoever passed the
/// listener to us, can clear it at any moment, and an accept that waits stops the event loop. So
/// `poll(2)` comes first. It costs a tenth of the accept that would fail after the last connection,
/// which it spares. Between the two another process can take the connection, so that for the one
/// call the flag is set where it was cleared.
pub fn accept(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    let raw = fd.as_raw_fd();
    let events = libc::POLLIN | SHUT_DOWN;
    let mut wanted = libc::pollfd { fd: raw, events, revents: 0 };
    // SAFETY: one pollfd.
    if unsafe { syscall!(poll(&mut wanted, 1, 0)) }? == 0 {
        return Err(Errno::AGAIN);
    }
    // SAFETY: a plain call.
    let flags = unsafe { syscall!(fcntl(raw, libc::F_GETFL)) }?;
    let is_cleared = flags & libc::O_NONBLOCK == 0;
    if is_cleared {
        // SAFETY: as above.
        unsafe { syscall!(fcntl(raw, libc::F_SETFL, flags | libc::O_NONBLOCK)) }?;
    }
    let accepted = accept_now(fd);
    if is_cleared {
        // The flag is another's, who relies on waiting.
        // SAFETY: as above.
        let _ = unsafe { syscall!(fcntl(raw, libc::F_SETFL, flags)) };
    }
    match accepted {
        // What was shut down is readable for ever.
        Err(Errno::AGAIN) if wanted.revents & SHUT_DOWN != 0 => Err(Errno::INVAL),
        accepted => accepted,
    }
}

/// What poll(2) says of a listener that was shut down.
#[cfg(target_os = "linux")]
const SHUT_DOWN: libc::c_short = libc::POLLHUP | libc::POLLRDHUP;
#[cfg(not(target_os = "linux"))]
const SHUT_DOWN: libc::c_short = libc::POLLHUP;

fn accept_now(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
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
        let owned = protect(unsafe { OwnedFd::from_raw_fd(raw) })?;
        SockRef::from(&owned).set_nonblocking(true)?;
        Ok(owned)
    }
}

/// Whether the socket was shut down for receiving.
pub fn is_shut_down(fd: BorrowedFd<'_>) -> bool {
    #[cfg(target_os = "linux")]
    let event = libc::POLLRDHUP;
    #[cfg(not(target_os = "linux"))]
    let event = libc::POLLHUP;
    events(fd, event).is_ok_and(|found| found & (event | libc::POLLHUP) != 0)
}

/// Which of these events, or POLLHUP and POLLERR, there are now: `poll(2)` that does not wait.
fn events(fd: BorrowedFd<'_>, wanted: libc::c_short) -> Result<libc::c_short> {
    let mut one = libc::pollfd { fd: fd.as_raw_fd(), events: wanted, revents: 0 };
    // SAFETY: one pollfd.
    unsafe { syscall!(poll(&mut one, 1, 0)) }?;
    Ok(one.revents)
}

/// Sends no more, `shutdown(2)` with SHUT_WR.
pub fn shut_down_sending(fd: BorrowedFd<'_>) -> Result<()> {
    Ok(SockRef::from(&fd).shutdown(std::net::Shutdown::Write)?)
}

/// Takes over descriptors that JavaScript owns. EBADF if one is not open, EINVAL if one is named
/// twice: then all stay its own.
pub fn claim(fds: &[RawFd]) -> Result<Vec<OwnedFd>> {
    let mut seen = HashSet::with_capacity(fds.len());
    for fd in fds {
        if !seen.insert(*fd) {
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::sys::unix_addr::PATH_CAPACITY;
    use crate::testing::listening::listening;
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn an_address_that_was_reported_can_be_sent_to() {
        let folder = std::env::temp_dir().join(format!("afunix-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // A path that leaves no room for its NUL, which the kernel allows.
        let name = folder.as_os_str().as_bytes();
        let path = [name, b"/", &vec![b'x'; PATH_CAPACITY - name.len() - 1]].concat();
        let mut whole = UnixAddr::unnamed();
        // SAFETY: the path fills `sun_path`.
        unsafe {
            let start = whole.as_mut_ptr().cast::<u8>();
            let path_offset = std::mem::offset_of!(libc::sockaddr_un, sun_path);
            start.add(path_offset).copy_from_nonoverlapping(path.as_ptr(), path.len());
        }
        whole.set_len(UnixAddr::capacity());
        let (receiver, sender) = (create(Type::DGRAM).unwrap(), create(Type::DGRAM).unwrap());
        // SAFETY: pointer and length come from one address.
        unsafe { syscall!(bind(receiver.as_raw_fd(), whole.as_ptr(), whole.len())) }.unwrap();
        let reported = local_address(receiver.as_fd());
        let connected = reported.and_then(|found| connect(sender.as_fd(), &found));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(connected, Ok(()));
    }

    fn is_nonblocking(fd: BorrowedFd<'_>) -> bool {
        // SAFETY: a plain call.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) & libc::O_NONBLOCK != 0 }
    }

    #[test]
    fn accepting_never_waits_whatever_the_flag_says() {
        for kind in [Type::STREAM, Type::SEQPACKET] {
            let (listener, name) = listening(kind);
            for nonblocking in [false, true] {
                SockRef::from(&listener).set_nonblocking(nonblocking).unwrap();
                assert_eq!(accept(listener.as_fd()).err(), Some(Errno::AGAIN));
                let client = create(kind).unwrap();
                connect(client.as_fd(), &name).unwrap();
                let accepted = accept(listener.as_fd()).unwrap();
                assert!(is_nonblocking(accepted.as_fd()));
                assert_eq!(is_nonblocking(listener.as_fd()), nonblocking);
            }
            let client = create(kind).unwrap();
            connect(client.as_fd(), &name).unwrap();
            SockRef::from(&listener).shutdown(std::net::Shutdown::Read).unwrap();
            assert!(accept(listener.as_fd()).is_ok());
            assert_eq!(accept(listener.as_fd()).err(), Some(Errno::INVAL));
        }
    }
}
