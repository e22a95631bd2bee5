//! Owns: anonymous files in memory.
//!
//! See memfd_create(2), fcntl(2).
#![allow(unsafe_code)]

use std::ffi::CStr;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

use crate::sys::errno::Failure;
#[cfg(target_os = "linux")]
use crate::sys::errno::{self, Errno, in_call, syscall};

/// An anonymous file that holds `bytes`, its offset 0; with `seal`, nobody can change it any more.
/// ENOSYS elsewhere than on Linux. The kernel checks the bytes' memory: EFAULT.
pub fn create(name: &CStr, bytes: *const [u8], seal: bool) -> Result<OwnedFd, Failure> {
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
        Err(Failure { call: "memfd_create", errno: crate::sys::errno::Errno::NOSYS })
    }
}

#[cfg(target_os = "linux")]
fn anonymous_file(name: &CStr, seal: bool) -> errno::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | if seal { libc::MFD_ALLOW_SEALING } else { 0 };
    // SAFETY: a NUL-terminated name.
    let create = |flags| unsafe { syscall!(memfd_create(name.as_ptr(), flags)) };
    // vm.memfd_noexec=2 demands this flag. It is not the first choice: it adds a seal, and
    // receivers exist that compare seals for equality.
    let raw = match create(flags) {
        Err(Errno::ACCES) => create(flags | libc::MFD_NOEXEC_SEAL),
        made => made,
    }?;
    // SAFETY: a new descriptor that is ours.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(raw) })
}

/// Writes from the file's start on; its offset stays where it is. Short writes are continued.
#[cfg(target_os = "linux")]
fn write_all(fd: &OwnedFd, bytes: *const [u8]) -> errno::Result<()> {
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

    use super::*;

    #[test]
    fn a_file_in_memory_is_read_from_its_start_and_sealed() {
        let bytes = vec![7; 3 << 20];
        let mut file =
            std::fs::File::from(create(c"test", &raw const bytes[..], true).ok().unwrap());
        let mut read = Vec::new();
        file.read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        assert!(std::io::Write::write(&mut file, b"x").is_err());
        assert!(file.set_len(0).is_err());
    }
}
