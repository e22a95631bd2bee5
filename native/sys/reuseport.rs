//! Owns: internet sockets whose port several listeners share, SO_REUSEPORT, and how one of them
//! leaves without a loss.
//!
//! See socket(7), tcp(7).
#![allow(unsafe_code)]

use std::ffi::CString;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{BorrowedFd, OwnedFd};

use socket2::{Domain, Protocol, Socket, Type};

use crate::sys::errno::{Errno, Failure, Result, in_call};
#[cfg(target_os = "linux")]
use crate::sys::socket;

/// A numeric address, with a zone (`fe80::1%eth0`, or its number) where it has one.
pub fn parse(host: &[u8], port: u16) -> Result<SocketAddr> {
    let host = std::str::from_utf8(host).map_err(|_| Errno::INVAL)?;
    let (host, zone) = host.split_once('%').map_or((host, None), |(host, zone)| (host, Some(zone)));
    Ok(match (host.parse().map_err(|_| Errno::INVAL)?, zone) {
        (IpAddr::V6(ip), Some(zone)) => SocketAddrV6::new(ip, port, 0, scope_id(zone)?).into(),
        (_, Some(_)) => return Err(Errno::INVAL),
        (ip, None) => SocketAddr::new(ip, port),
    })
}

/// The number of an interface; EINVAL if there is none of that name.
fn scope_id(zone: &str) -> Result<u32> {
    let name = CString::new(zone).map_err(|_| Errno::INVAL)?;
    // SAFETY: a NUL-terminated name.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => zone.parse().map_err(|_| Errno::INVAL),
        index => Ok(index),
    }
}

/// A TCP or UDP socket bound to an address that others may be bound to as well.
pub fn bound(
    kind: Type,
    address: SocketAddr,
    only_v6: bool,
) -> std::result::Result<OwnedFd, Failure> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))
        .map_err(in_call("socket"))?;
    prepare(&socket, kind, address.is_ipv6().then_some(only_v6)).map_err(in_call("setsockopt"))?;
    socket.bind(&address.into()).map_err(in_call("bind"))?;
    Ok(socket.into())
}

fn prepare(socket: &Socket, kind: Type, only_v6: Option<bool>) -> std::io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(true)?;
    // As libuv does: a restarted server need not wait for TIME_WAIT. For UDP it would let anybody
    // take over the port.
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    // Said either way, whatever net.ipv6.bindv6only is.
    only_v6.map_or(Ok(()), |only| socket.set_only_v6(only))
}

/// Lets a TCP listener ignore new connections, whose clients try again a second later, while
/// handshakes that have begun are finished. For good. ENOSYS elsewhere than on Linux.
pub fn ignore_new_connections(fd: BorrowedFd<'_>) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        use socket2::{SockFilter, SockRef};
        const FLAGS_OFFSET: u32 = 13;
        const SYN: u32 = 0x02;
        const ACK: u32 = 0x10;
        const DROP: u32 = 0;
        const PASS: u32 = u32::MAX;
        let op = |code: u32, k| SockFilter::new(code as u16, 0, 0, k);
        let filter = [
            // The segment's flags; a filter's packet starts with the TCP header.
            op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, FLAGS_OFFSET),
            op(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, SYN | ACK),
            SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, 0, 1, SYN),
            op(libc::BPF_RET | libc::BPF_K, DROP),
            op(libc::BPF_RET | libc::BPF_K, PASS),
        ];
        Ok(SockRef::from(&fd).attach_filter(&filter)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        Err(Errno::NOSYS)
    }
}

/// How many connections wait to be accepted by a TCP listener; EINVAL of a socket that does not
/// listen, EOPNOTSUPP or ENOPROTOOPT of another kind, ENOSYS elsewhere than on Linux.
pub fn waiting_connections(fd: BorrowedFd<'_>) -> Result<u32> {
    #[cfg(target_os = "linux")]
    {
        const TCP_LISTEN: u8 = 10;
        // SAFETY: numbers only, of which zero is a value.
        let nothing: libc::tcp_info = unsafe { std::mem::zeroed() };
        // SAFETY: numbers only.
        let info = unsafe { socket::option(fd, libc::IPPROTO_TCP, libc::TCP_INFO, nothing) }?;
        // Of a listener, this field is the length of its queue.
        if info.tcpi_state == TCP_LISTEN { Ok(info.tcpi_unacked) } else { Err(Errno::INVAL) }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        Err(Errno::NOSYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket;
    use socket2::SockRef;
    use std::net::{TcpStream, UdpSocket};
    use std::os::fd::AsFd;

    #[test]
    fn addresses_are_numeric_and_may_have_a_zone() {
        assert_eq!(parse(b"127.0.0.1", 80).unwrap(), "127.0.0.1:80".parse().unwrap());
        assert_eq!(parse(b"::1", 0).unwrap(), "[::1]:0".parse().unwrap());
        let SocketAddr::V6(scoped) = parse(b"fe80::1%7", 1).unwrap() else { panic!("no v6") };
        assert_eq!(scoped.scope_id(), 7);
        for wrong in ["", "localhost", "127.0.0.1%1", "1.2.3", "::1%no-such-interface", "::1%\0"] {
            assert_eq!(parse(wrong.as_bytes(), 1), Err(Errno::INVAL), "{wrong}");
        }
    }

    fn local(fd: &OwnedFd) -> SocketAddr {
        SockRef::from(fd).local_addr().unwrap().as_socket().unwrap()
    }

    fn bind(kind: Type, address: &str, only_v6: bool) -> OwnedFd {
        bound(kind, address.parse().unwrap(), only_v6).unwrap()
    }

    #[test]
    fn several_are_bound_to_one_port_and_do_not_wait() {
        for kind in [Type::STREAM, Type::DGRAM] {
            let first = bind(kind, "127.0.0.1:0", false);
            let second = bound(kind, local(&first), false).unwrap();
            assert_eq!(local(&second), local(&first));
            let socket = SockRef::from(&second);
            assert!(socket.nonblocking().unwrap());
            // One that anybody could take the port from would be worse than waiting.
            assert_eq!(socket.reuse_address().unwrap(), kind == Type::STREAM);
            assert_eq!(socket.r#type().unwrap(), kind);
        }
        let alone = UdpSocket::bind("127.0.0.1:0").unwrap();
        let refused = bound(Type::DGRAM, alone.local_addr().unwrap(), false).err().unwrap();
        assert_eq!((refused.errno, refused.call), (Errno::ADDRINUSE, "bind"));
    }

    #[test]
    fn whether_v4_is_taken_too_is_said_either_way() {
        // No IPv6 in some containers.
        let Ok(first) = bound(Type::DGRAM, "[::]:0".parse().unwrap(), true) else { return };
        assert!(SockRef::from(&first).only_v6().unwrap());
        assert!(!SockRef::from(&bind(Type::DGRAM, "[::]:0", false)).only_v6().unwrap());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_listener_counts_who_waits_and_ignores_who_comes_then() {
        let listener = bind(Type::STREAM, "127.0.0.1:0", false);
        assert_eq!(waiting_connections(listener.as_fd()), Err(Errno::INVAL));
        socket::listen(listener.as_fd(), 10).unwrap();
        assert_eq!(waiting_connections(listener.as_fd()), Ok(0));
        let early = [(); 2].map(|()| TcpStream::connect(local(&listener)).unwrap());
        assert_eq!(waiting_connections(listener.as_fd()), Ok(2));
        ignore_new_connections(listener.as_fd()).unwrap();
        let patience = std::time::Duration::from_millis(100);
        let connect = || TcpStream::connect_timeout(&local(&listener), patience);
        let late = std::thread::scope(|scope| {
            let trying: Vec<_> = (0..8).map(|_| scope.spawn(connect)).collect();
            trying.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        for tried in late {
            assert_eq!(tried.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        }
        // Those that came before are served: their segments still pass.
        assert_eq!(waiting_connections(listener.as_fd()), Ok(2));
        drop(early);
        let udp = bind(Type::DGRAM, "127.0.0.1:0", false);
        assert!(waiting_connections(udp.as_fd()).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_handshake_that_has_begun_is_finished() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let listener = bind(Type::STREAM, "127.0.0.1:0", false);
        // The handshake ends when the first data comes.
        let (seconds, len) = (30 as libc::c_int, size_of::<libc::c_int>() as libc::socklen_t);
        let (raw, level, value) = (listener.as_raw_fd(), libc::IPPROTO_TCP, (&raw const seconds));
        // SAFETY: the option is an int, and `len` is its size.
        let set =
            unsafe { libc::setsockopt(raw, level, libc::TCP_DEFER_ACCEPT, value.cast(), len) };
        assert_eq!(set, 0);
        socket::listen(listener.as_fd(), 10).unwrap();
        let mut early = TcpStream::connect(local(&listener)).unwrap();
        assert_eq!(waiting_connections(listener.as_fd()), Ok(0));
        ignore_new_connections(listener.as_fd()).unwrap();
        early.write_all(b"x").unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while waiting_connections(listener.as_fd()) == Ok(0) {
            assert!(std::time::Instant::now() < end, "the connection is not made");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[test]
    fn any_bytes_are_an_address_or_refused() {
        const PARTS: [&[u8]; 9] = [b"1", b"255", b"fe80", b":", b"::", b".", b"%", b"\0", b"lo"];
        crate::testing::random::rounds(|random| {
            let len = random.below(40);
            let host = match random.below(2) {
                0 => random.bytes(len),
                _ => {
                    (0..random.below(9)).map(|_| random.choose(&PARTS)).collect::<Vec<_>>().concat()
                }
            };
            let port = random.below(1 << 16) as u16;
            match parse(&host, port) {
                Err(errno) => assert_eq!(errno, Errno::INVAL),
                // Said again without the zone, whose number it has taken over, it is the same.
                Ok(address) => {
                    assert_eq!(address.port(), port);
                    let again = parse(address.ip().to_string().as_bytes(), port).unwrap();
                    assert_eq!(again.ip(), address.ip());
                }
            }
        });
    }
}
