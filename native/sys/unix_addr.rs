//! Owns: the `sockaddr_un` codec, `unix(7)`. Lengths are exact, names are bytes.

use std::mem::{offset_of, size_of};

use crate::sys::errno::{Errno, Result};
use crate::sys::raw_addr::RawAddr;

const PATH_OFFSET: usize = offset_of!(libc::sockaddr_un, sun_path);

/// Bytes in `sun_path`: 108 on Linux, 104 on macOS.
pub const PATH_CAPACITY: usize = size_of::<libc::sockaddr_un>() - PATH_OFFSET;

/// A Unix socket address: a file path, an abstract name (Linux; leading NUL, length-exact, may
/// contain NULs), or no name at all.
///
/// Where a call reports a length of zero, as for an unbound sender, it has no name.
pub type UnixAddr = RawAddr<libc::sockaddr_un>;

impl UnixAddr {
    /// The unnamed address: what an unbound sender has; binding to it autobinds on Linux.
    pub const fn unnamed() -> UnixAddr {
        RawAddr { raw: empty_sockaddr(), len: PATH_OFFSET as libc::socklen_t }
    }

    /// Encodes a name: empty, a path without NULs, or (Linux) a NUL and an abstract name.
    ///
    /// ENAMETOOLONG beyond what the kernel stores (a path needs room for its NUL, an abstract
    /// name does not); EINVAL for a NUL inside a path.
    pub fn new(name: &[u8]) -> Result<UnixAddr> {
        let mut addr = UnixAddr::unnamed();
        let is_abstract = name.first() == Some(&0);
        let terminator = usize::from(!name.is_empty() && !is_abstract);
        if name.len() + terminator > PATH_CAPACITY {
            return Err(Errno::NAMETOOLONG);
        }
        if is_abstract && !cfg!(target_os = "linux") || !is_abstract && name.contains(&0) {
            return Err(Errno::INVAL);
        }
        for (slot, byte) in addr.raw.sun_path.iter_mut().zip(name) {
            *slot = *byte as libc::c_char;
        }
        addr.len = (PATH_OFFSET + name.len() + terminator) as libc::socklen_t;
        Ok(addr)
    }

    /// The name's bytes: empty for unnamed, with its leading NUL for an abstract one.
    pub fn name(&self) -> impl ExactSizeIterator<Item = u8> + '_ {
        self.raw.sun_path[..self.name_len()].iter().map(|byte| *byte as u8)
    }

    /// How many bytes [`UnixAddr::name`] yields.
    pub fn name_len(&self) -> usize {
        // The kernel may report a length beyond the structure (a 108-byte path without its NUL).
        let stored = (self.len as usize).clamp(PATH_OFFSET, size_of::<libc::sockaddr_un>());
        let path = &self.raw.sun_path[..stored - PATH_OFFSET];
        match path.first() {
            None => 0,
            Some(0) if cfg!(target_os = "linux") => path.len(),
            Some(_) => path.iter().position(|byte| *byte == 0).unwrap_or(path.len()),
        }
    }

    /// AF_UNIX, unless a call wrote the address of another family's socket.
    pub fn family(&self) -> i32 {
        i32::from(self.raw.sun_family)
    }
}

impl PartialEq for UnixAddr {
    fn eq(&self, other: &UnixAddr) -> bool {
        // The usual case, one sender after the other, without a look for the end of either name.
        let stored = (self.len as usize).clamp(PATH_OFFSET, size_of::<libc::sockaddr_un>());
        let path = ..stored - PATH_OFFSET;
        if self.len == other.len && self.raw.sun_path[path] == other.raw.sun_path[path] {
            return true;
        }
        self.raw.sun_path[..self.name_len()] == other.raw.sun_path[..other.name_len()]
    }
}

impl Eq for UnixAddr {}

impl std::hash::Hash for UnixAddr {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for byte in self.name() {
            state.write_u8(byte);
        }
    }
}

impl std::fmt::Debug for UnixAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UnixAddr({})", self.name().collect::<Vec<_>>().escape_ascii())
    }
}

const fn empty_sockaddr() -> libc::sockaddr_un {
    libc::sockaddr_un {
        #[cfg(target_os = "macos")]
        sun_len: 0,
        sun_family: libc::AF_UNIX as libc::sa_family_t,
        sun_path: [0; PATH_CAPACITY],
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use super::*;

    fn round_trip(name: &[u8]) -> Vec<u8> {
        UnixAddr::new(name).unwrap().name().collect()
    }

    #[test]
    fn lengths_are_exact() {
        assert_eq!(UnixAddr::new(b"").unwrap().len() as usize, PATH_OFFSET);
        assert_eq!(UnixAddr::new(b"/a").unwrap().len() as usize, PATH_OFFSET + 3);
        assert_eq!(round_trip(b"/tmp/x"), b"/tmp/x");
    }

    #[test]
    fn the_longest_path_leaves_room_for_its_nul() {
        let longest = vec![b'x'; PATH_CAPACITY - 1];
        assert_eq!(round_trip(&longest), longest);
        assert_eq!(UnixAddr::new(&[b'x'; PATH_CAPACITY]), Err(Errno::NAMETOOLONG));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn abstract_names_are_bytes_and_may_fill_the_structure() {
        let mut name = vec![0xff; PATH_CAPACITY];
        name[0] = 0;
        name[5] = 0;
        name[PATH_CAPACITY - 1] = 0;
        assert_eq!(round_trip(&name), name);
        assert_eq!(UnixAddr::new(&name).unwrap().len() as usize, size_of::<libc::sockaddr_un>());
        name.push(1);
        assert_eq!(UnixAddr::new(&name), Err(Errno::NAMETOOLONG));
        assert_ne!(UnixAddr::new(b"\0a").unwrap(), UnixAddr::new(b"\0a\0").unwrap());
    }

    #[test]
    fn a_nul_inside_a_path_is_refused() {
        assert_eq!(UnixAddr::new(b"/tmp/a\0b"), Err(Errno::INVAL));
    }

    #[test]
    fn lengths_the_kernel_reports_are_clamped() {
        let mut addr = UnixAddr::new(&[b'y'; PATH_CAPACITY - 1]).unwrap();
        for len in [0, 1, 2, 3, UnixAddr::capacity() + 1, u32::MAX] {
            addr.set_len(len);
            assert!(addr.name_len() <= PATH_CAPACITY);
        }
        addr.set_len(0);
        assert_eq!(addr, UnixAddr::unnamed());
    }

    #[test]
    fn the_family_is_what_the_kernel_wrote() {
        let mut addr = UnixAddr::unnamed();
        assert_eq!(addr.family(), libc::AF_UNIX);
        addr.raw.sun_family = libc::AF_INET6 as libc::sa_family_t;
        assert_eq!(addr.family(), libc::AF_INET6);
    }

    #[test]
    fn equal_names_have_one_hash() {
        let hash = |addr: &UnixAddr| {
            let mut hasher = DefaultHasher::new();
            addr.hash(&mut hasher);
            hasher.finish()
        };
        let addr = UnixAddr::new(b"/tmp/x").unwrap();
        let mut without_nul = addr;
        without_nul.set_len(addr.len() - 1);
        assert_eq!(without_nul, addr);
        assert_eq!(hash(&without_nul), hash(&addr));
        assert_ne!(hash(&UnixAddr::new(b"/tmp/y").unwrap()), hash(&addr));
        assert_ne!(hash(&UnixAddr::unnamed()), hash(&addr));
    }

    #[test]
    fn debug_output_escapes_the_name() {
        assert_eq!(format!("{:?}", UnixAddr::new(b"/tmp/\xff").unwrap()), "UnixAddr(/tmp/\\xff)");
    }

    #[test]
    fn any_bytes_are_a_name_or_refused() {
        crate::testing::random::rounds(|random| {
            let len = random.below(2 * PATH_CAPACITY);
            let name = random.bytes(len);
            let is_abstract = name.first() == Some(&0);
            let terminator = usize::from(!name.is_empty() && !is_abstract);
            match UnixAddr::new(&name) {
                Ok(addr) => {
                    assert_eq!(addr.name().collect::<Vec<_>>(), name);
                    assert_eq!(addr.len() as usize, PATH_OFFSET + name.len() + terminator);
                }
                Err(Errno::NAMETOOLONG) => assert!(name.len() + terminator > PATH_CAPACITY),
                Err(errno) => {
                    assert_eq!(errno, Errno::INVAL);
                    assert!(name.contains(&0) && (!is_abstract || !cfg!(target_os = "linux")));
                }
            }
        });
    }

    #[test]
    fn whatever_the_kernel_writes_is_within_the_structure() {
        crate::testing::random::rounds(|random| {
            let mut addr = UnixAddr::unnamed();
            for (slot, byte) in addr.raw.sun_path.iter_mut().zip(random.bytes(PATH_CAPACITY)) {
                *slot = byte as libc::c_char;
            }
            let len = random.below(2 * PATH_CAPACITY) as libc::socklen_t;
            addr.set_len(random.choose(&[len, UnixAddr::capacity(), u32::MAX]));
            let name: Vec<u8> = addr.name().collect();
            assert!(name.len() == addr.name_len() && name.len() <= PATH_CAPACITY);
            // What can be had can be said again, but for a path that leaves no room for its NUL.
            match UnixAddr::new(&name) {
                Ok(again) => assert_eq!(again, addr),
                Err(errno) => assert_eq!((errno, name.len()), (Errno::NAMETOOLONG, PATH_CAPACITY)),
            }
        });
    }
}
