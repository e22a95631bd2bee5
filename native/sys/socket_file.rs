//! Owns: the socket file's life: made by bind(2), replaced only when dead, removed only when ours.
//!
//! Whoever may write to the folder can exchange the file at any moment, so nothing is concluded
//! from a name alone: a file is what a descriptor holds, or a device and inode that cannot be given
//! away meanwhile. SECURITY.md says what that guarantees. See unix(7), rename(2).
#![allow(unsafe_code)]

use std::collections::hash_map::RandomState;
use std::ffi::{CStr, CString, OsStr};
use std::hash::{BuildHasher, Hasher};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use socket2::Type;

#[cfg(target_os = "linux")]
use crate::sys::descriptor;
use crate::sys::errno::{Errno, Result, check, syscall};
use crate::sys::name::{Folders, Spot};
use crate::sys::socket;
#[cfg(target_os = "linux")]
use crate::sys::socket_diag;
use crate::sys::unix_addr::UnixAddr;

mod access;

pub use access::Access;
use access::Narrowed;

/// A socket file of ours. Dropping it removes the file, if it is still the one we made.
pub struct SocketFile {
    spot: Spot,
    id: Identity,
    stays: bool,
}

impl SocketFile {
    /// Forgets the file, which stays: another has the socket now.
    pub fn keep(mut self) {
        self.stays = true;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The socket is still open here (its owner drops this first), so its inode number cannot
        // have been given to another file.
        if !self.stays {
            remove(&self.spot, self.id);
        }
    }
}

/// Device and inode of a socket.
type Identity = (u64, u64);

fn socket_identity(found: &libc::stat) -> Option<Identity> {
    let is_socket = found.st_mode & libc::S_IFMT == libc::S_IFSOCK;
    // Narrower on some systems.
    #[allow(clippy::unnecessary_cast)]
    is_socket.then_some((found.st_dev as u64, found.st_ino as u64))
}

/// The socket that has this name, without following a link; None for anything else.
fn identity_at(folder: RawFd, name: &CStr) -> Option<Identity> {
    // SAFETY: stat is plain data, which the call below fills.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: a NUL-terminated name and room for the answer.
    unsafe { syscall!(fstatat(folder, name.as_ptr(), &mut found, flags)) }.ok()?;
    socket_identity(&found)
}

impl Spot {
    fn at(&self) -> RawFd {
        number(self.folder.as_ref())
    }

    fn identity(&self) -> Option<Identity> {
        identity_at(self.at(), &self.name)
    }

    fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.name.to_bytes()))
    }

    /// Opens the folder.
    fn open_folder(&self, access: libc::c_int) -> Option<OwnedFd> {
        let path = match &self.folder {
            Some(_) => c".".to_owned(),
            None => c_string(self.path().parent()?).ok()?,
        };
        // Something else than a directory, put there meanwhile, could make us wait for ever.
        let flags = access | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: a NUL-terminated path.
        let raw = unsafe { syscall!(openat(self.at(), path.as_ptr(), flags)) }.ok()?;
        // SAFETY: a new descriptor that is ours.
        Some(unsafe { OwnedFd::from_raw_fd(raw) })
    }
}

/// For the calls that take a folder: without one, names are paths.
fn number(folder: Option<&Rc<OwnedFd>>) -> RawFd {
    folder.map_or(libc::AT_FDCWD, |folder| folder.as_raw_fd())
}

fn c_string(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)
}

/// How to bind.
#[derive(Default)]
pub struct Options {
    /// The file's permissions and owner.
    pub access: Access,
    /// The file is not removed when the socket closes.
    pub stays: bool,
    /// Listen at once, with this backlog: a client that has seen the file is not refused.
    pub backlog: Option<i32>,
}

/// What [`bind_at`] made.
pub struct Bound {
    /// The file to remove on close. None for names that are not files, and where it stays.
    pub file: Option<SocketFile>,
    #[allow(dead_code)]
    /// The kernel knows the socket by another name than the one given, which is too long for it.
    pub is_renamed: bool,
}

/// [`bind_at`] of a name that is an address, with permissions alone.
#[cfg(test)]
pub fn bind(fd: BorrowedFd<'_>, to: &UnixAddr, mode: Option<u32>) -> Result<Option<SocketFile>> {
    let name: Vec<u8> = to.name().collect();
    let options = Options { access: Access { mode, ..Access::default() }, ..Options::default() };
    Ok(bind_at(fd, &name, &options, &Folders::default())?.file)
}

/// `bind(2)` with manners, and `listen(2)`: a dead socket file in the way is replaced, nothing else
/// is touched.
///
/// Permissions and owner are as asked for before anybody can connect who may not; see [`Access`].
///
/// EADDRINUSE for a living socket and for whatever is no socket; EINVAL for a socket that has a
/// name already, which the kernel gives it when it first sends with credentials; ENAMETOOLONG
/// beyond what an address has room for, of a listener beyond what [`Folders::resolve`] takes. The
/// socket is as it was then, and so is what has the name.
pub fn bind_at(
    fd: BorrowedFd<'_>,
    name: &[u8],
    options: &Options,
    folders: &Folders,
) -> Result<Bound> {
    let listen = || options.backlog.map_or(Ok(()), |backlog| socket::listen(fd, backlog));
    if name.first().is_none_or(|first| *first == 0) {
        bind_only(fd, &UnixAddr::new(name)?)?;
        return listen().map(|()| Bound { file: None, is_renamed: false });
    }
    let (to, is_renamed) = match UnixAddr::new(name) {
        // Whoever receives a datagram needs the name.
        Err(Errno::NAMETOOLONG) if options.backlog.is_some() => (folders.resolve(name)?, true),
        found => (found?.into(), false),
    };
    let spot = folders.spot(name)?;
    // The kernel makes the file before it finds out.
    if socket::local_address(fd)?.name_len() > 0 {
        return Err(Errno::INVAL);
    }
    // Nothing that comes after the bind may fail for want of a descriptor: it cannot be undone.
    let spares = [fd.try_clone_to_owned()?, fd.try_clone_to_owned()?];
    let narrowed = Narrowed::new(fd, &options.access, &spot)?;
    if let Err(errno) = replace(fd, to.addr(), &spot) {
        narrowed.undo(fd);
        return Err(errno);
    }
    let listening = listen();
    drop(spares);
    let file = own_file(fd, spot, &narrowed)?;
    listening?;
    let file = if options.stays {
        file.into_iter().for_each(SocketFile::keep);
        None
    } else {
        file
    };
    Ok(Bound { file, is_renamed })
}

fn bind_only(fd: BorrowedFd<'_>, to: &UnixAddr) -> Result<()> {
    // SAFETY: pointer and length come from one address.
    unsafe { syscall!(bind(fd.as_raw_fd(), to.as_ptr(), to.len())) }.map(drop)
}

fn replace(fd: BorrowedFd<'_>, to: &UnixAddr, spot: &Spot) -> Result<()> {
    let mut attempts = 0;
    loop {
        match bind_only(fd, to) {
            // Others may be replacing the same file: a few rounds settle it.
            Err(Errno::ADDRINUSE) if attempts < 4 && remove_if_dead(spot, to)? => attempts += 1,
            result => return result,
        }
    }
}

/// The file that was just made, with the access it is to have. None if it is gone or replaced
/// already: then there is nothing of ours to remove.
#[cfg(target_os = "linux")]
fn own_file(fd: BorrowedFd<'_>, spot: Spot, narrowed: &Narrowed) -> Result<Option<SocketFile>> {
    let pinned = match pin(&spot) {
        Err(Errno::NOENT) => return Ok(None),
        pinned => pinned,
    };
    let found = match &pinned {
        Ok(pinned) => identity_if_own(fd, pinned),
        Err(_) => spot.identity(),
    };
    let Some(id) = found else { return Ok(None) };
    let file = SocketFile { spot, id, stays: false };
    if narrowed.is_needed() {
        narrowed.widen(fd, &pinned?)?;
    }
    Ok(Some(file))
}

#[cfg(not(target_os = "linux"))]
fn own_file(_fd: BorrowedFd<'_>, spot: Spot, narrowed: &Narrowed) -> Result<Option<SocketFile>> {
    let Some(id) = spot.identity() else { return Ok(None) };
    let file = SocketFile { spot, id, stays: false };
    narrowed.widen(&file.spot)?;
    Ok(Some(file))
}

/// The socket that is pinned, if it is the file that `fd` is bound to: another may have taken its
/// place.
#[cfg(target_os = "linux")]
fn identity_if_own(fd: BorrowedFd<'_>, pinned: &OwnedFd) -> Option<Identity> {
    let (own, found) = (socket_diag::bound_file(fd), socket_diag::number_of(pinned));
    // Where that cannot be known it is taken for ours, as a moment ago it was.
    let is_own = own.is_none() || found.is_none() || own == found;
    held_identity(pinned).filter(|_| is_own)
}

/// Holds the file itself, so that its inode number stays its own while we look at it.
#[cfg(target_os = "linux")]
fn pin(spot: &Spot) -> Result<OwnedFd> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: a NUL-terminated name.
    let fd = unsafe { syscall!(openat(spot.at(), spot.name.as_ptr(), flags)) }?;
    // SAFETY: a new descriptor that is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What is pinned, whatever its name means by now.
#[cfg(target_os = "linux")]
fn held_identity(pinned: &OwnedFd) -> Option<Identity> {
    socket_identity(&descriptor::stat(pinned.as_fd()).ok()?)
}

/// A path that means the pinned file, wherever its name has gone. Needs /proc.
#[cfg(target_os = "linux")]
fn descriptor_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// A turn at replacing files in a folder: an advisory lock on it, until dropped, so that two who
/// find the same dead file do not disturb each other. None where there is no such lock to be had:
/// then each only finds a living socket in its way.
fn take_turn(spot: &Spot) -> Option<OwnedFd> {
    let folder = spot.open_folder(libc::O_RDONLY)?;
    // Whoever holds it needs microseconds; a stranger's lock must not hold us for long.
    for _ in 0..100 {
        // SAFETY: a plain call on an open descriptor.
        let locked = unsafe { syscall!(flock(folder.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB)) };
        if locked.is_ok() {
            return Some(folder);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    None
}

/// Removes the socket file of that name, whose address is `to`, if nobody is bound to it. True: try
/// to bind again.
fn remove_if_dead(spot: &Spot, to: &UnixAddr) -> Result<bool> {
    let _turn = take_turn(spot);
    // While it is pinned, no other file can be given its inode number, and what is found out about
    // it here is found out about no other.
    #[cfg(target_os = "linux")]
    let pinned = match pin(spot) {
        Err(Errno::NOENT) => return Ok(true),
        Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => return Err(errno),
        Err(_) => return Ok(false),
        Ok(pinned) => pinned,
    };
    #[cfg(target_os = "linux")]
    let (found, probe) =
        (held_identity(&pinned), UnixAddr::new(descriptor_path(&pinned).as_bytes())?);
    #[cfg(not(target_os = "linux"))]
    let (found, probe) = (spot.identity(), *to);
    let Some(id) = found else { return Ok(false) };
    // A datagram socket, whatever the kind: a server would see another's connection. A living
    // socket of another type is EPROTOTYPE, also while it is not listening yet.
    let asker = socket::create(Type::DGRAM)?;
    let answer = match socket::connect(asker.as_fd(), &probe) {
        // No /proc here: the name has to do, which is looked at once more before it is removed.
        Err(Errno::NOENT) => socket::connect(asker.as_fd(), to),
        answer => answer,
    };
    Ok(answer == Err(Errno::CONNREFUSED) && remove(spot, id))
}

/// Removes the file if it is that socket. Its inode number must not have been given away.
fn remove(spot: &Spot, id: Identity) -> bool {
    spot.identity() == Some(id) && Place::of(spot).is_some_and(|place| place.remove(id))
}

/// A name that nobody else knows.
fn private_name() -> String {
    format!(".afunix-{:016x}", RandomState::new().build_hasher().finish())
}

/// A name in a folder, which stays the same folder wherever its path leads to by now.
struct Place {
    /// None, and then the names are paths, where it cannot be opened: the process may have no
    /// descriptor left, and its files are to be removed nevertheless.
    folder: Option<Rc<OwnedFd>>,
    name: CString,
    /// A name that nobody else knows.
    aside: CString,
}

impl Place {
    fn of(spot: &Spot) -> Option<Place> {
        let aside = private_name();
        if let Some(folder) = &spot.folder {
            let (folder, name) = (Some(folder.clone()), spot.name.clone());
            return Some(Place { folder, name, aside: CString::new(aside).ok()? });
        }
        #[cfg(target_os = "linux")]
        let access = libc::O_PATH;
        #[cfg(not(target_os = "linux"))]
        let access = libc::O_RDONLY;
        let path = spot.path();
        Some(match spot.open_folder(access) {
            Some(folder) => Place {
                folder: Some(Rc::new(folder)),
                name: c_string(Path::new(path.file_name()?)).ok()?,
                aside: CString::new(aside).ok()?,
            },
            None => Place {
                folder: None,
                name: spot.name.clone(),
                aside: c_string(&path.parent()?.join(aside)).ok()?,
            },
        })
    }

    /// Removes the file if it is that socket.
    ///
    /// unlink(2) takes a name, and a look at what has the name says nothing about the moment after.
    /// So the file is moved aside first, looked at where nobody exchanges it, and put back if it is
    /// another.
    fn remove(&self, id: Identity) -> bool {
        let (name, aside) = (self.name.as_ptr(), self.aside.as_ptr());
        // SAFETY: NUL-terminated names.
        if unsafe { syscall!(renameat(self.at(), name, self.at(), aside)) }.is_err() {
            return false;
        }
        let is_it = identity_at(self.at(), &self.aside) == Some(id);
        // SAFETY: as above.
        let is_removed = is_it && unsafe { syscall!(unlinkat(self.at(), aside, 0)) }.is_ok();
        if !is_removed {
            self.put_back();
        }
        is_removed
    }

    fn at(&self) -> RawFd {
        number(self.folder.as_ref())
    }

    /// Gives another's file its name again. If a third has taken the name meanwhile, it stays
    /// aside: nothing is ever overwritten.
    fn put_back(&self) {
        let (at, name, aside) = (self.at(), self.name.as_ptr(), self.aside.as_ptr());
        #[cfg(target_os = "linux")]
        // By number: older C libraries have no function for it.
        // SAFETY: NUL-terminated names.
        let moved = check(|| unsafe {
            libc::syscall(libc::SYS_renameat2, at, aside, at, name, libc::RENAME_NOREPLACE) as i32
        });
        #[cfg(not(target_os = "linux"))]
        // SAFETY: NUL-terminated names.
        let moved = check(|| unsafe { libc::renameatx_np(at, aside, at, name, libc::RENAME_EXCL) });
        // File systems that cannot do that have hard links.
        if matches!(moved, Err(errno) if errno != Errno::EXIST)
            // SAFETY: NUL-terminated names.
            && unsafe { syscall!(linkat(at, aside, at, name, 0)) }.is_ok()
        {
            // SAFETY: a NUL-terminated name.
            let _ = unsafe { syscall!(unlinkat(at, aside, 0)) };
        }
    }
}

#[cfg(test)]
mod tests;
