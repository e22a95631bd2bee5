//! Owns: the socket file's life: made by bind(2), replaced only when dead, removed only when ours.
//!
//! Whoever may write to the folder can exchange the file at any moment, so nothing is concluded from
//! a name alone: a file is what a descriptor holds, or a device and inode that cannot be given away
//! meanwhile. SECURITY.md says what that guarantees. See unix(7), rename(2).
#![allow(unsafe_code)]

use std::collections::hash_map::RandomState;
use std::ffi::{CString, OsStr};
use std::fs::Metadata;
use std::hash::{BuildHasher, Hasher};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::Type;

use crate::sys::errno::{Errno, Result, check, syscall};
use crate::sys::socket;
#[cfg(target_os = "linux")]
use crate::sys::socket_diag;
use crate::sys::unix_addr::UnixAddr;

/// A socket file of ours. Dropping it removes the file, if it is still the one we made.
pub struct SocketFile {
    path: PathBuf,
    id: Identity,
}

impl SocketFile {
    /// Forgets the file, which stays.
    pub fn keep(mut self) {
        drop(std::mem::take(&mut self.path));
        std::mem::forget(self);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The socket is still open here (its owner drops this first), so its inode number cannot
        // have been given to another file.
        remove(&self.path, self.id);
    }
}

/// Device and inode of a socket.
type Identity = (u64, u64);

fn socket_identity(found: &Metadata) -> Option<Identity> {
    found.file_type().is_socket().then(|| (found.dev(), found.ino()))
}

/// The socket at `path`, without following a link; None for anything else.
fn identity(path: &Path) -> Option<Identity> {
    socket_identity(&std::fs::symlink_metadata(path).ok()?)
}

/// `bind(2)` with manners: a dead socket file in the way is replaced, nothing else is touched.
///
/// `mode` is the file's permissions. On Linux they are never wider than asked for, not even for a
/// moment: the kernel creates the file with the socket's own mode, less the umask. Returns the file
/// to remove on close, or None for names that are not files.
///
/// EADDRINUSE for a living socket and for whatever is no socket.
pub fn bind(fd: BorrowedFd<'_>, to: &UnixAddr, mode: Option<u32>) -> Result<Option<SocketFile>> {
    // A socket has no mode elsewhere.
    #[cfg(target_os = "linux")]
    if let Some(mode) = mode {
        // SAFETY: a plain call. Linux applies it to the file that bind(2) will create.
        unsafe { syscall!(fchmod(fd.as_raw_fd(), mode as libc::mode_t)) }?;
    }
    let name: Vec<u8> = to.name().collect();
    if name.first().is_none_or(|first| *first == 0) {
        bind_only(fd, to)?;
        return Ok(None);
    }
    // Absolute, so that a later chdir(2) does not make us look elsewhere.
    let path = std::path::absolute(OsStr::from_bytes(&name))?;
    let mut attempts = 0;
    loop {
        match bind_only(fd, to) {
            Ok(()) => break,
            // Others may be replacing the same file: a few rounds settle it.
            Err(Errno::ADDRINUSE) if attempts < 4 && remove_if_dead(&path)? => attempts += 1,
            Err(errno) => return Err(errno),
        }
    }
    // Gone or replaced already: then there is nothing of ours to remove.
    #[cfg(target_os = "linux")]
    let (pinned, found) = match pin(&path) {
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => (Err(errno), identity(&path)),
        Ok(pinned) => {
            let found = identity_if_own(fd, &pinned);
            (Ok(pinned), found)
        }
    };
    #[cfg(not(target_os = "linux"))]
    let found = identity(&path);
    let Some(id) = found else { return Ok(None) };
    let file = SocketFile { path, id };
    if let Some(mode) = mode {
        #[cfg(target_os = "linux")]
        widen(&pinned?, mode)?;
        #[cfg(not(target_os = "linux"))]
        std::fs::set_permissions(&file.path, PermissionsExt::from_mode(mode))?;
    }
    Ok(Some(file))
}

fn bind_only(fd: BorrowedFd<'_>, to: &UnixAddr) -> Result<()> {
    // SAFETY: pointer and length come from one address.
    unsafe { syscall!(bind(fd.as_raw_fd(), to.as_ptr(), to.len())) }.map(drop)
}

/// The socket that is pinned, if it is the file that `fd` is bound to: another may have taken its
/// place.
#[cfg(target_os = "linux")]
fn identity_if_own(fd: BorrowedFd<'_>, pinned: &OwnedFd) -> Option<Identity> {
    let (own, found) = (socket_diag::bound_file(fd), socket_diag::number_of(pinned));
    // Where there is no telling it is taken for ours, as a moment ago it was.
    let is_own = own.is_none() || found.is_none() || own == found;
    socket_identity(&held(pinned).ok()?).filter(|_| is_own)
}

/// Gives back the permission bits that the umask took, to the file that is held.
#[cfg(target_os = "linux")]
fn widen(own: &OwnedFd, mode: u32) -> Result<()> {
    if held(own)?.mode() & 0o7777 == mode {
        return Ok(());
    }
    Ok(std::fs::set_permissions(descriptor_path(own), PermissionsExt::from_mode(mode))?)
}

fn c_string(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)
}

/// Holds the file at `path` itself, so that its inode number stays its own while we look at it.
#[cfg(target_os = "linux")]
fn pin(path: &Path) -> Result<OwnedFd> {
    let path = c_string(path)?;
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: a NUL-terminated path.
    let fd = unsafe { syscall!(open(path.as_ptr(), flags)) }?;
    // SAFETY: a new descriptor that is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What is pinned, whatever its name means by now.
#[cfg(target_os = "linux")]
fn held(pinned: &OwnedFd) -> Result<Metadata> {
    Ok(std::fs::File::from(pinned.try_clone()?).metadata()?)
}

/// A path that means the pinned file, wherever its name has gone. Needs /proc.
#[cfg(target_os = "linux")]
fn descriptor_path(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// A turn at replacing files in `path`'s directory: an advisory lock on it, until dropped, so that
/// two who find the same dead file do not disturb each other. None where there is no such lock to
/// be had: then each only finds a living socket in its way.
fn take_turn(path: &Path) -> Option<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    // Something else than a directory, put there meanwhile, could make us wait for ever.
    let folder = options.read(true).custom_flags(libc::O_DIRECTORY).open(path.parent()?).ok()?;
    // Whoever holds it needs microseconds; somebody else's lock must not hold us for long.
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

/// Removes the socket file at `path` if nobody is bound to it. True: try to bind again.
fn remove_if_dead(path: &Path) -> Result<bool> {
    let _turn = take_turn(path);
    // While it is pinned, no other file can be given its inode number, and what is found out about
    // it here is found out about no other.
    #[cfg(target_os = "linux")]
    let pinned = match pin(path) {
        Err(Errno::NOENT) => return Ok(true),
        Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => return Err(errno),
        Err(_) => return Ok(false),
        Ok(pinned) => pinned,
    };
    #[cfg(target_os = "linux")]
    let (found, probe) = (socket_identity(&held(&pinned)?), descriptor_path(&pinned));
    #[cfg(not(target_os = "linux"))]
    let (found, probe) = (identity(path), path.to_path_buf());
    let Some(id) = found else { return Ok(false) };
    let probe = UnixAddr::new(probe.as_os_str().as_bytes())?;
    // ENOENT: no /proc here, so nothing can be said, and what may be alive is left alone.
    // A datagram socket, whatever the kind: a server would see another's connection. A living socket
    // of another type is EPROTOTYPE, also while it is not listening yet.
    let asker = socket::create(Type::DGRAM)?;
    if socket::connect(asker.as_fd(), &probe) != Err(Errno::CONNREFUSED) {
        return Ok(false);
    }
    Ok(remove(path, id))
}

/// Removes the file at `path` if it is that socket. Its inode number must not have been given away.
fn remove(path: &Path, id: Identity) -> bool {
    identity(path) == Some(id) && Place::of(path).is_some_and(|place| place.remove(id))
}

/// A name in a folder, which stays the same folder wherever its path leads to by now.
struct Place {
    /// None, and then the names are paths, where it cannot be opened: the process may have no
    /// descriptor left, and its files are to be removed nevertheless.
    folder: Option<OwnedFd>,
    name: CString,
    /// A name that nobody else knows.
    aside: CString,
}

impl Place {
    fn of(path: &Path) -> Option<Place> {
        let (folder, name) = (path.parent()?, path.file_name()?);
        let aside = format!(".afunix-{:016x}", RandomState::new().build_hasher().finish());
        let c_folder = c_string(folder).ok()?;
        #[cfg(target_os = "linux")]
        let access = libc::O_PATH;
        #[cfg(not(target_os = "linux"))]
        let access = libc::O_RDONLY;
        let flags = access | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: a NUL-terminated path.
        let opened = unsafe { syscall!(open(c_folder.as_ptr(), flags)) };
        Some(match opened {
            Ok(raw) => Place {
                // SAFETY: a new descriptor that is ours.
                folder: Some(unsafe { OwnedFd::from_raw_fd(raw) }),
                name: c_string(Path::new(name)).ok()?,
                aside: c_string(Path::new(&aside)).ok()?,
            },
            Err(_) => Place {
                folder: None,
                name: c_string(path).ok()?,
                aside: c_string(&folder.join(aside)).ok()?,
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
        // SAFETY: as above.
        let is_removed =
            self.aside_is(id) && unsafe { syscall!(unlinkat(self.at(), aside, 0)) }.is_ok();
        if !is_removed {
            self.put_back();
        }
        is_removed
    }

    fn at(&self) -> RawFd {
        self.folder.as_ref().map_or(libc::AT_FDCWD, |folder| folder.as_raw_fd())
    }

    fn aside_is(&self, id: Identity) -> bool {
        // SAFETY: stat is plain data, which the call below fills.
        let mut found: libc::stat = unsafe { std::mem::zeroed() };
        let (at, aside) = (self.at(), self.aside.as_ptr());
        // SAFETY: a NUL-terminated name and room for the answer.
        unsafe { syscall!(fstatat(at, aside, &mut found, libc::AT_SYMLINK_NOFOLLOW)) }.is_ok()
            && found.st_mode & libc::S_IFMT == libc::S_IFSOCK
            // Casts for the systems where these are narrower.
            && (found.st_dev as u64, found.st_ino as u64) == id
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
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::net::UnixDatagram;

    /// A new folder, removed with all that is in it.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            let name = format!("afunix-{:x}", RandomState::new().build_hasher().finish());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Folder(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn inode(path: &Path) -> u64 {
        fs::symlink_metadata(path).unwrap().ino()
    }

    fn bound(path: &Path) -> (OwnedFd, Option<SocketFile>) {
        let fd = socket::create(Type::DGRAM).unwrap();
        let to = UnixAddr::new(path.as_os_str().as_bytes()).unwrap();
        let file = bind(fd.as_fd(), &to, None).unwrap();
        (fd, file)
    }

    #[test]
    fn what_was_put_in_place_of_the_file_is_put_back() {
        let folder = Folder::new();
        let (gone, path) = (folder.path("gone"), folder.path("a"));
        let _gone = UnixDatagram::bind(&gone).unwrap();
        let id = identity(&gone).unwrap();
        let others: [(&str, &dyn Fn()); 4] = [
            ("file", &|| fs::write(&path, "precious").unwrap()),
            ("link", &|| std::os::unix::fs::symlink("gone", &path).unwrap()),
            ("folder", &|| fs::create_dir(&path).unwrap()),
            ("socket", &|| drop(UnixDatagram::bind(&path).unwrap())),
        ];
        for (kind, put) in others {
            put();
            let before = inode(&path);
            assert!(!Place::of(&path).unwrap().remove(id), "{kind}");
            assert_eq!(inode(&path), before, "{kind}");
            fs::rename(&path, folder.path(kind)).unwrap();
            // The same without a descriptor of the folder.
            fs::rename(folder.path(kind), &path).unwrap();
            let aside = c_string(&folder.path(".aside")).unwrap();
            let place = Place { folder: None, name: c_string(&path).unwrap(), aside };
            assert!(!place.remove(id), "{kind}");
            assert_eq!(inode(&path), before, "{kind}");
            fs::rename(&path, folder.path(kind)).unwrap();
        }
        assert_eq!(folder.names(), ["file", "folder", "gone", "link", "socket"]);
        assert_eq!(fs::read(folder.path("file")).unwrap(), b"precious");
        assert!(Place::of(&gone).unwrap().remove(id));
        assert_eq!(folder.names(), ["file", "folder", "link", "socket"]);
    }

    #[test]
    fn what_cannot_be_put_back_overwrites_nothing() {
        let folder = Folder::new();
        let path = folder.path("a");
        let place = Place::of(&path).unwrap();
        fs::write(folder.path(place.aside.to_str().unwrap()), "first").unwrap();
        fs::write(&path, "second").unwrap();
        place.put_back();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read(folder.path(place.aside.to_str().unwrap())).unwrap(), b"first");
    }

    #[test]
    fn only_the_file_that_was_made_is_removed() {
        let folder = Folder::new();
        let path = folder.path("a");
        let (_fd, file) = bound(&path);
        assert!(file.is_some());
        drop(file);
        assert!(folder.names().is_empty());
        let (_fd, file) = bound(&path);
        fs::rename(&path, folder.path("b")).unwrap();
        let _other = UnixDatagram::bind(&path).unwrap();
        drop(file);
        assert_eq!(folder.names(), ["a", "b"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_took_the_place_of_the_file_at_once_is_not_taken_for_ours() {
        let folder = Folder::new();
        let path = folder.path("a");
        let (fd, file) = bound(&path);
        let id = file.as_ref().unwrap().id;
        let found = |name| identity_if_own(fd.as_fd(), &pin(&folder.path(name)).unwrap());
        assert_eq!(found("a"), Some(id));
        fs::rename(&path, folder.path("b")).unwrap();
        let _other = UnixDatagram::bind(&path).unwrap();
        // Where the kernel has no unix_diag there is no telling.
        let expected = socket_diag::bound_file(fd.as_fd()).map_or(identity(&path), |_| None);
        assert_eq!(found("a"), expected);
        assert_eq!(found("b"), Some(id));
        fs::write(folder.path("c"), "").unwrap();
        assert_eq!(found("c"), None);
    }

    #[test]
    fn a_turn_is_not_taken_at_what_is_no_folder() {
        let folder = Folder::new();
        let fifo = folder.path("fifo");
        let name = c_string(&fifo).unwrap();
        // SAFETY: a NUL-terminated path.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(take_turn(&fifo.join("a")).is_none());
        assert!(take_turn(&folder.path("a")).is_some());
    }
}
