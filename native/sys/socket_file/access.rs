//! Owns: permissions and owner of a socket file, which nobody passes before they are as asked for.
//!
//! Linux makes the file with the socket's own mode, less the umask. So permissions are never wider
//! than asked for, not even for a moment: the umask's bits are given back afterwards. An owner can
//! only be changed once there is a file: until then it has no permissions at all. Elsewhere sockets
//! have no mode, and there is a moment in which the file has the umask's. See fchmod(2), fchown(2).
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;
#[cfg(target_os = "linux")]
use std::{
    ffi::CString,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    rc::Rc,
};

#[cfg(target_os = "linux")]
use crate::sys::descriptor::stat;
#[cfg(target_os = "linux")]
use crate::sys::errno::{Errno, check};
use crate::sys::errno::{Result, syscall};
use crate::sys::name::Spot;
#[cfg(target_os = "linux")]
use crate::sys::socket_file::{descriptor_path, held_identity, pin, private_name, remove};

/// Who may connect: what is None is left to the umask, and to who we are.
#[derive(Clone, Copy, Default)]
pub struct Access {
    /// The file's permissions.
    pub mode: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
}

impl Access {
    fn has_owner(&self) -> bool {
        self.uid.is_some() || self.gid.is_some()
    }

    /// For chown(2), which leaves what is -1.
    fn owner(&self) -> (u32, u32) {
        (self.uid.unwrap_or(u32::MAX), self.gid.unwrap_or(u32::MAX))
    }
}

/// A socket whose file will let in fewer than asked for at first.
pub struct Narrowed {
    /// What the file is to have, and so its mode wherever something has to be done.
    access: Access,
    /// The socket's own mode as it was.
    #[cfg(target_os = "linux")]
    before: u32,
}

#[cfg(target_os = "linux")]
impl Narrowed {
    /// Prepares a socket that is to be bound to `spot`. EPERM for an owner that we may not give.
    pub fn new(fd: BorrowedFd<'_>, access: &Access, spot: &Spot) -> Result<Narrowed> {
        let mut narrowed = Narrowed { access: *access, before: 0 };
        if !narrowed.is_needed() {
            return Ok(narrowed);
        }
        narrowed.before = stat(fd)?.st_mode & 0o7777;
        if access.has_owner() {
            // Found out before, since bind(2) cannot be undone.
            narrowed.access.mode = Some(rehearse(access, spot)?);
        }
        let first = if access.has_owner() { 0 } else { access.mode.unwrap_or(0) };
        set_mode(fd, first)?;
        Ok(narrowed)
    }

    /// Whether there is anything to do.
    pub fn is_needed(&self) -> bool {
        self.access.mode.is_some() || self.access.has_owner()
    }

    /// The socket was not bound.
    pub fn undo(&self, fd: BorrowedFd<'_>) {
        if self.is_needed() {
            let _ = set_mode(fd, self.before);
        }
    }

    /// Gives the file that is held, to which the socket was bound, what was asked for.
    pub fn widen(&self, fd: BorrowedFd<'_>, own: &OwnedFd) -> Result<()> {
        self.undo(fd);
        if self.access.has_owner() {
            set_owner(own, &self.access)?;
        }
        match self.access.mode {
            Some(mode) if stat(own.as_fd())?.st_mode & 0o7777 != mode => set_held_mode(own, mode),
            _ => Ok(()),
        }
    }
}

#[cfg(target_os = "linux")]
fn set_mode(fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
    // SAFETY: a plain call.
    unsafe { syscall!(fchmod(fd.as_raw_fd(), mode as libc::mode_t)) }.map(drop)
}

#[cfg(target_os = "linux")]
fn set_owner(held: &OwnedFd, access: &Access) -> Result<()> {
    let (raw, name, (uid, gid)) = (held.as_raw_fd(), c"".as_ptr(), access.owner());
    // SAFETY: a NUL-terminated name.
    unsafe { syscall!(fchownat(raw, name, uid, gid, libc::AT_EMPTY_PATH)) }.map(drop)
}

/// By a descriptor that was opened with O_PATH: through /proc, or where there is none by
/// fchmodat2(2), Linux 6.6.
#[cfg(target_os = "linux")]
fn set_held_mode(held: &OwnedFd, mode: u32) -> Result<()> {
    const SYS_FCHMODAT2: libc::c_long = 452;
    let path = CString::new(descriptor_path(held)).map_err(|_| Errno::INVAL)?;
    // SAFETY: a NUL-terminated path.
    match unsafe { syscall!(chmod(path.as_ptr(), mode as libc::mode_t)) } {
        Err(Errno::NOENT) => {
            let (raw, name, flags) = (held.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH);
            // SAFETY: a NUL-terminated name.
            check(|| unsafe { libc::syscall(SYS_FCHMODAT2, raw, name, mode, flags) as i32 })
        }
        result => result,
    }
    .map(drop)
}

/// Makes a socket file of a private name in the same folder, and gives it the owner. Returns the
/// mode that the real one is to have.
#[cfg(target_os = "linux")]
fn rehearse(access: &Access, spot: &Spot) -> Result<u32> {
    let folder = spot.open_folder(libc::O_PATH).ok_or_else(Errno::last)?;
    let name = CString::new(private_name()).map_err(|_| Errno::INVAL)?;
    let trial = Spot { folder: Some(Rc::new(folder)), name };
    // The mode of a new socket, less the umask or as the folder's access list says.
    let (mode, at) = (libc::S_IFSOCK | 0o777, trial.at());
    // SAFETY: a NUL-terminated name.
    unsafe { syscall!(mknodat(at, trial.name.as_ptr(), mode, 0)) }?;
    let pinned = pin(&trial)?;
    let found = stat(pinned.as_fd())?;
    let id = held_identity(&pinned).filter(|_| found.st_nlink == 1);
    // Another file was put there.
    let id = id.ok_or(Errno::EXIST)?;
    let given = set_owner(&pinned, access);
    remove(&trial, id);
    given.map(|()| access.mode.unwrap_or(found.st_mode & 0o7777))
}

#[cfg(not(target_os = "linux"))]
impl Narrowed {
    /// Nothing can be prepared.
    pub fn new(_fd: BorrowedFd<'_>, access: &Access, _spot: &Spot) -> Result<Narrowed> {
        Ok(Narrowed { access: *access })
    }

    /// Nothing was.
    pub fn undo(&self, _fd: BorrowedFd<'_>) {}

    /// Gives the file what was asked for.
    pub fn widen(&self, own: &Spot) -> Result<()> {
        let (at, name, (uid, gid)) = (own.at(), own.name.as_ptr(), self.access.owner());
        if self.access.has_owner() {
            // SAFETY: a NUL-terminated name.
            unsafe { syscall!(fchownat(at, name, uid, gid, libc::AT_SYMLINK_NOFOLLOW)) }?;
        }
        let Some(mode) = self.access.mode else { return Ok(()) };
        // SAFETY: as above.
        unsafe { syscall!(fchmodat(at, name, mode as libc::mode_t, libc::AT_SYMLINK_NOFOLLOW)) }
            .map(drop)
    }
}
