//! Owns: socket addresses as the synchronous API speaks them (`sockaddr_un`, `sockaddr_in`,
//! `sockaddr_in6`, and `sockaddr` for every other family), and the slot in which they cross to
//! JavaScript.
//!
//! The slot is plain bytes that lib/posix/sockaddr.js has the other end of: five u32 in the host's
//! order (family, port, flow information, scope, length of the text), then the text: a Unix name
//! byte for byte, an IP address as one writes it, or what follows the family in an address of
//! another one. See ip(7), ipv6(7), unix(7), netlink(7), vsock(7).
#![allow(unsafe_code)]

use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::sys::errno::{Errno, Result};
use crate::sys::raw_addr::RawAddr;
use crate::sys::unix_addr::{PATH_CAPACITY, UnixAddr};

/// Where the slot's text starts.
const TEXT: usize = 5 * size_of::<u32>();
/// Bytes of a slot: its longest text is a Unix name.
pub const SLOT: usize = TEXT + PATH_CAPACITY;

/// Where an address goes on behind its family, `sa_data`.
const DATA: usize = std::mem::offset_of!(libc::sockaddr, sa_data);
// A slot's text fits any address.
const _: () = assert!(DATA + PATH_CAPACITY <= size_of::<libc::sockaddr_storage>());

/// A slot's bytes.
pub type Slot = [u8; SLOT];

/// An address of any family, as the kernel reads and writes it.
pub type SockAddr = RawAddr<libc::sockaddr_storage>;

/// What an address says.
#[derive(Debug, PartialEq, Eq)]
enum Parts {
    /// AF_UNSPEC: what dissolves a connection.
    None,
    Unix(UnixAddr),
    Inet {
        port: u16,
        addr: Ipv4Addr,
    },
    /// `flow` as the structure has it, in network order.
    Inet6 {
        port: u16,
        addr: Ipv6Addr,
        flow: u32,
        scope: u32,
    },
    /// Another family: `sa_data` as it is.
    Other {
        family: libc::sa_family_t,
        data: Vec<u8>,
    },
}

impl SockAddr {
    /// Room for a call to write an address to.
    pub fn empty() -> SockAddr {
        // SAFETY: plain integers, for which zero is valid.
        RawAddr { raw: unsafe { zeroed() }, len: SockAddr::capacity() }
    }

    /// An unnamed Unix address.
    pub fn unnamed() -> SockAddr {
        SockAddr::of_unix(&UnixAddr::unnamed())
    }

    /// Whether it is of AF_UNIX.
    pub fn is_unix(&self) -> bool {
        i32::from(self.raw.ss_family) == libc::AF_UNIX
    }

    /// Reads a slot that JavaScript filled. ENAMETOOLONG for a Unix name beyond what the kernel
    /// stores; EINVAL for a NUL inside a path, an IP address that is none, or a port beyond 65535;
    /// EAFNOSUPPORT for a number that cannot be a family.
    pub fn from_slot(slot: &Slot) -> Result<SockAddr> {
        let [family, port, flow, scope, len] = [0, 1, 2, 3, 4].map(|at| word(slot, at));
        let port = u16::try_from(port).map_err(|_| Errno::INVAL)?;
        // JavaScript says how long a name is even where it does not fit.
        let text = slot[TEXT..].get(..len as usize).ok_or(Errno::NAMETOOLONG);
        match family as i32 {
            libc::AF_UNSPEC => Ok(SockAddr::unspecified()),
            libc::AF_UNIX => Ok(SockAddr::of_unix(&UnixAddr::new(text?)?)),
            libc::AF_INET => Ok(SockAddr::of_inet(port, parse(text?)?)),
            libc::AF_INET6 => Ok(SockAddr::of_inet6(port, parse(text?)?, flow, scope)),
            _ => SockAddr::of_other(family, text?),
        }
    }

    /// Fills a slot for JavaScript: the family AF_UNSPEC where there is no address, or one that
    /// cannot be. Never fails: what came from the address must not be lost for it.
    pub fn to_slot(self, slot: &mut Slot) {
        *slot = [0; SLOT];
        match self.parts() {
            Parts::None => {}
            Parts::Unix(addr) => {
                set_word(slot, 0, libc::AF_UNIX as u32);
                set_word(slot, 4, addr.name_len() as u32);
                for (to, byte) in slot[TEXT..].iter_mut().zip(addr.name()) {
                    *to = byte;
                }
            }
            Parts::Inet { port, addr } => {
                set_word(slot, 0, libc::AF_INET as u32);
                set_word(slot, 1, port.into());
                set_text(slot, &addr.to_string());
            }
            Parts::Inet6 { port, addr, flow, scope } => {
                set_word(slot, 0, libc::AF_INET6 as u32);
                set_word(slot, 1, port.into());
                set_word(slot, 2, flow);
                set_word(slot, 3, scope);
                set_text(slot, &addr.to_string());
            }
            Parts::Other { family, data } => {
                set_word(slot, 0, family.into());
                set_word(slot, 4, data.len() as u32);
                slot[TEXT..][..data.len()].copy_from_slice(&data);
            }
        }
    }

    fn unspecified() -> SockAddr {
        // Zeroed, it is AF_UNSPEC already.
        let mut made = SockAddr::empty();
        made.len = size_of::<libc::sockaddr>() as libc::socklen_t;
        made
    }

    fn of_unix(addr: &UnixAddr) -> SockAddr {
        let mut made = SockAddr::empty();
        // SAFETY: sockaddr_storage has room for every address, and UnixAddr holds a sockaddr_un.
        unsafe { *made.as_mut_ptr().cast() = *addr.as_ptr().cast::<libc::sockaddr_un>() };
        made.len = addr.len();
        made
    }

    fn of_inet(port: u16, addr: Ipv4Addr) -> SockAddr {
        // SAFETY: plain integers, for which zero is valid.
        let mut raw: libc::sockaddr_in = unsafe { zeroed() };
        raw.sin_family = libc::AF_INET as libc::sa_family_t;
        raw.sin_port = port.to_be();
        raw.sin_addr.s_addr = u32::from(addr).to_be();
        let mut made = SockAddr::empty();
        // SAFETY: as in `of_unix`.
        unsafe { *made.as_mut_ptr().cast() = raw };
        made.len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        made
    }

    fn of_inet6(port: u16, addr: Ipv6Addr, flow: u32, scope: u32) -> SockAddr {
        // SAFETY: plain integers, for which zero is valid.
        let mut raw: libc::sockaddr_in6 = unsafe { zeroed() };
        raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
        raw.sin6_port = port.to_be();
        raw.sin6_flowinfo = flow;
        raw.sin6_addr.s6_addr = addr.octets();
        raw.sin6_scope_id = scope;
        let mut made = SockAddr::empty();
        // SAFETY: as in `of_unix`.
        unsafe { *made.as_mut_ptr().cast() = raw };
        made.len = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        made
    }

    /// `data` is what follows the family in the structure.
    fn of_other(family: u32, data: &[u8]) -> Result<SockAddr> {
        let mut made = SockAddr::empty();
        made.raw.ss_family = family.try_into().map_err(|_| Errno::AFNOSUPPORT)?;
        made.len = (DATA + data.len()) as libc::socklen_t;
        #[cfg(target_vendor = "apple")]
        {
            made.raw.ss_len = made.len as u8;
        }
        // SAFETY: a slot's text is shorter than the structure behind its family, see below.
        unsafe {
            let start = made.as_mut_ptr().cast::<u8>().add(DATA);
            start.copy_from_nonoverlapping(data.as_ptr(), data.len());
        }
        Ok(made)
    }

    fn parts(&self) -> Parts {
        let start = self.as_ptr();
        let holds = |size: usize| self.len as usize >= size;
        match i32::from(self.raw.ss_family) {
            _ if self.len == 0 => Parts::None,
            libc::AF_UNSPEC => Parts::None,
            libc::AF_UNIX => {
                let mut addr = UnixAddr::unnamed();
                // SAFETY: both hold a sockaddr_un; bytes beyond `len` are zero.
                unsafe { *addr.as_mut_ptr().cast() = *start.cast::<libc::sockaddr_un>() };
                addr.set_len(self.len);
                Parts::Unix(addr)
            }
            libc::AF_INET if holds(size_of::<libc::sockaddr_in>()) => {
                // SAFETY: the storage is aligned for, and holds, this structure.
                let raw = unsafe { *start.cast::<libc::sockaddr_in>() };
                let addr = u32::from_be(raw.sin_addr.s_addr).into();
                Parts::Inet { port: u16::from_be(raw.sin_port), addr }
            }
            libc::AF_INET6 if holds(size_of::<libc::sockaddr_in6>()) => {
                // SAFETY: as above.
                let raw = unsafe { *start.cast::<libc::sockaddr_in6>() };
                Parts::Inet6 {
                    port: u16::from_be(raw.sin6_port),
                    addr: raw.sin6_addr.s6_addr.into(),
                    flow: raw.sin6_flowinfo,
                    scope: raw.sin6_scope_id,
                }
            }
            // Cut short by whoever made it, or longer than a slot's text.
            libc::AF_INET | libc::AF_INET6 => Parts::None,
            _ if !(DATA..=DATA + PATH_CAPACITY).contains(&(self.len as usize)) => Parts::None,
            _ => {
                let mut data = vec![0; self.len as usize - DATA];
                // SAFETY: checked above: they are inside of the structure.
                unsafe {
                    let first = start.cast::<u8>().add(DATA);
                    first.copy_to_nonoverlapping(data.as_mut_ptr(), data.len());
                }
                Parts::Other { family: self.raw.ss_family, data }
            }
        }
    }
}

fn word(slot: &Slot, at: usize) -> u32 {
    let start = at * 4;
    u32::from_ne_bytes([slot[start], slot[start + 1], slot[start + 2], slot[start + 3]])
}

fn set_word(slot: &mut Slot, at: usize, value: u32) {
    slot[at * 4..at * 4 + 4].copy_from_slice(&value.to_ne_bytes());
}

fn set_text(slot: &mut Slot, text: &str) {
    set_word(slot, 4, text.len() as u32);
    slot[TEXT..][..text.len()].copy_from_slice(text.as_bytes());
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Result<T> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(family: i32, [port, flow, scope]: [u32; 3], text: &[u8]) -> Slot {
        let mut slot = [0; SLOT];
        for (at, value) in
            [family as u32, port, flow, scope, text.len() as u32].into_iter().enumerate()
        {
            set_word(&mut slot, at, value);
        }
        let fits = text.len().min(PATH_CAPACITY);
        slot[TEXT..][..fits].copy_from_slice(&text[..fits]);
        slot
    }

    fn unix(name: &[u8]) -> Slot {
        slot(libc::AF_UNIX, [0; 3], name)
    }

    #[track_caller]
    fn survives(slot: Slot) -> SockAddr {
        let addr = SockAddr::from_slot(&slot).unwrap();
        let mut back = [0xff; SLOT];
        addr.to_slot(&mut back);
        assert_eq!(back, slot);
        addr
    }

    #[test]
    fn lengths_are_exact() {
        let of_unix = |name: &[u8]| survives(unix(name)).len() as usize;
        let path = std::mem::offset_of!(libc::sockaddr_un, sun_path);
        assert_eq!(of_unix(b""), path);
        assert_eq!(of_unix(b"/a"), path + 3);
        let inet = survives(slot(libc::AF_INET, [8080, 0, 0], b"127.0.0.1"));
        assert_eq!(inet.len() as usize, size_of::<libc::sockaddr_in>());
        let inet6 = survives(slot(libc::AF_INET6, [65535, 7, 9], b"fe80::1"));
        assert_eq!(inet6.len() as usize, size_of::<libc::sockaddr_in6>());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn abstract_names_keep_their_nuls() {
        let path = std::mem::offset_of!(libc::sockaddr_un, sun_path);
        for name in [b"\0".as_slice(), b"\0a", b"\0a\0", b"\0\0\0b\xff"] {
            assert_eq!(survives(unix(name)).len() as usize, path + name.len());
        }
        assert_eq!(survives(unix(&[0; PATH_CAPACITY])).len(), UnixAddr::capacity());
    }

    #[test]
    fn names_stop_at_what_the_kernel_stores() {
        survives(unix(&[b'x'; PATH_CAPACITY - 1]));
        for len in [PATH_CAPACITY, PATH_CAPACITY + 1, 4000] {
            let found = SockAddr::from_slot(&unix(&vec![b'x'; len])).err();
            assert_eq!(found, Some(Errno::NAMETOOLONG));
        }
        let mut lying = unix(b"/a");
        set_word(&mut lying, 4, u32::MAX);
        assert_eq!(SockAddr::from_slot(&lying).err(), Some(Errno::NAMETOOLONG));
        assert_eq!(SockAddr::from_slot(&unix(b"/a\0b")).err(), Some(Errno::INVAL));
    }

    #[test]
    fn numbers_are_in_network_order() {
        let addr = survives(slot(libc::AF_INET, [0x0102, 0, 0], b"1.2.3.4"));
        // SAFETY: an address of this family holds this structure.
        let raw = unsafe { *addr.as_ptr().cast::<libc::sockaddr_in>() };
        assert_eq!(raw.sin_port.to_ne_bytes(), [1, 2]);
        assert_eq!(raw.sin_addr.s_addr.to_ne_bytes(), [1, 2, 3, 4]);
        let addr = survives(slot(libc::AF_INET6, [0x0102, 0x01020304, 5], b"1::2"));
        // SAFETY: as above.
        let raw = unsafe { *addr.as_ptr().cast::<libc::sockaddr_in6>() };
        assert_eq!((raw.sin6_flowinfo, raw.sin6_scope_id), (0x01020304, 5));
        assert_eq!(raw.sin6_addr.s6_addr, [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    }

    #[test]
    fn other_families_are_their_bytes() {
        let addr = survives(slot(libc::AF_APPLETALK, [0; 3], b"\x01\x00\x02\x03"));
        assert_eq!(addr.len() as usize, DATA + 4);
        survives(slot(libc::AF_APPLETALK, [0; 3], &[0xff; PATH_CAPACITY]));
        let mut long = addr;
        long.set_len(SockAddr::capacity());
        let mut written = [0xff; SLOT];
        long.to_slot(&mut written);
        assert_eq!(written, slot(libc::AF_UNSPEC, [0; 3], b""));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "1.2.3", "01.2.3.4", "1.2.3.4 ", "1.2.3.256", "::1", "localhost"] {
            let found = SockAddr::from_slot(&slot(libc::AF_INET, [1, 0, 0], text.as_bytes()));
            assert_eq!(found.err(), Some(Errno::INVAL), "{text}");
        }
        for text in ["", "1.2.3.4", ":", "1:::2", "fe80::1%lo", "12345::", "::1\0"] {
            let found = SockAddr::from_slot(&slot(libc::AF_INET6, [1, 0, 0], text.as_bytes()));
            assert_eq!(found.err(), Some(Errno::INVAL), "{text}");
        }
        let port = slot(libc::AF_INET, [65536, 0, 0], b"1.2.3.4");
        assert_eq!(SockAddr::from_slot(&port).err(), Some(Errno::INVAL));
        let family = slot(1 << 16, [0; 3], b"");
        assert_eq!(SockAddr::from_slot(&family).err(), Some(Errno::AFNOSUPPORT));
    }

    #[test]
    fn reported_lengths_are_not_trusted() {
        let mut out = [0; SLOT];
        for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_UNSPEC, 77] {
            for len in [0, 1, 2, 15, 16, 27, 28, 110, 111, SockAddr::capacity(), u32::MAX] {
                let mut addr = SockAddr::empty();
                addr.raw.ss_family = family as libc::sa_family_t;
                addr.len = len;
                addr.to_slot(&mut out);
                assert!(word(&out, 4) as usize <= PATH_CAPACITY);
            }
        }
        let mut none = SockAddr::empty();
        none.set_len(0);
        none.to_slot(&mut out);
        assert_eq!(word(&out, 0), libc::AF_UNSPEC as u32);
    }

    #[test]
    fn what_was_cut_short_or_says_nothing_is_no_address() {
        let sizes = [
            (libc::AF_UNIX, 0),
            (libc::AF_INET, 0),
            (libc::AF_INET, size_of::<libc::sockaddr_in>() - 1),
            (libc::AF_INET6, size_of::<libc::sockaddr_in6>() - 1),
            (libc::AF_INET, DATA),
            (libc::AF_APPLETALK, 0),
            (libc::AF_APPLETALK, DATA - 1),
            (libc::AF_UNSPEC, size_of::<libc::sockaddr>()),
        ];
        for (family, len) in sizes {
            let mut addr = SockAddr::empty();
            // SAFETY: as many bytes as the structure has.
            unsafe { addr.as_mut_ptr().cast::<u8>().write_bytes(7, size_of_val(&addr.raw)) };
            addr.raw.ss_family = family as libc::sa_family_t;
            addr.set_len(len as libc::socklen_t);
            let mut written = [0xff; SLOT];
            addr.to_slot(&mut written);
            assert!(written == [0; SLOT], "family {family}, {len} bytes");
        }
    }

    #[test]
    fn the_family_is_known() {
        assert!(SockAddr::unnamed().is_unix());
        let inet = SockAddr::from_slot(&slot(libc::AF_INET, [1, 0, 0], b"1.2.3.4")).unwrap();
        assert!(!inet.is_unix());
        // What dissolves a connection has a length of its own.
        let none = SockAddr::from_slot(&slot(libc::AF_UNSPEC, [0; 3], b"")).unwrap();
        assert!(!none.is_unix() && none.len() as usize == size_of::<libc::sockaddr>());
    }

    #[test]
    fn any_slot_is_an_address_or_refused() {
        const FAMILIES: [i32; 5] =
            [libc::AF_UNSPEC, libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, -1];
        const TEXTS: [&[u8]; 5] = [b"127.0.0.1", b"::1", b"fe80::1%lo", b"\0a\0b", b"/tmp/x"];
        crate::testing::random::rounds(|random| {
            let mut slot: Slot = random.bytes(SLOT).try_into().unwrap();
            if random.below(4) > 0 {
                let text = random.choose(&TEXTS);
                let numbers = [random.below(70000) as u32, random.below(9) as u32, 7];
                slot = self::slot(random.choose(&FAMILIES), numbers, text);
                if random.below(3) == 0 {
                    slot[random.below(SLOT)] ^= 1 << random.below(8);
                }
            }
            let Ok(addr) = SockAddr::from_slot(&slot) else { return };
            assert!(addr.len() <= SockAddr::capacity());
            let (mut written, mut again) = ([0xff; SLOT], [0xff; SLOT]);
            addr.to_slot(&mut written);
            SockAddr::from_slot(&written).unwrap().to_slot(&mut again);
            assert_eq!(written, again);
        });
    }

    #[test]
    fn whatever_the_kernel_writes_is_reported() {
        let room = SockAddr::capacity() as usize;
        crate::testing::random::rounds(|random| {
            let mut addr = SockAddr::empty();
            let bytes = random.bytes(room);
            // SAFETY: `bytes` are as many as the structure has, which is plain integers.
            unsafe { addr.as_mut_ptr().cast::<u8>().copy_from(bytes.as_ptr(), room) };
            let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_UNSPEC, 300];
            addr.raw.ss_family = random.choose(&families) as libc::sa_family_t;
            let len = random.below(room + 2) as libc::socklen_t;
            addr.set_len(random.choose(&[len, u32::MAX, SockAddr::capacity()]));
            let mut written = [0xff; SLOT];
            addr.to_slot(&mut written);
            assert!(word(&written, 4) as usize <= PATH_CAPACITY);
            assert!(word(&written, 1) <= u32::from(u16::MAX));
        });
    }
}
