//! Owns: names that mean what they meant when they were given, and paths longer than the kernel
//! takes.
//!
//! A name is an address only at the moment it is used: a relative one follows chdir(2), and
//! `/proc/self/fd/N/…` follows whatever is N. What waits, or is tried again, must not. So the
//! folder of such a name is held by a descriptor (O_PATH), and the address leads through that one:
//! `/proc/self/fd/M/` and the last part of the name. It also spares the 107 bytes of `sun_path` the
//! rest of a long path. Absolute paths that fit, and abstract names, cost no system call here.

use std::ffi::{CString, OsStr};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::rc::Rc;
#[cfg(target_os = "linux")]
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Weak,
};

use crate::sys::errno::{Errno, Result};
use crate::sys::unix_addr::{PATH_CAPACITY, UnixAddr};

/// An address to connect or send to, whatever becomes of the working directory. Two are equal if
/// the kernel takes them for the same name.
#[derive(Clone, Debug)]
pub struct Name {
    addr: UnixAddr,
    /// What `addr` leads through.
    _held: Option<Rc<OwnedFd>>,
}

impl Name {
    /// For the system call.
    pub fn addr(&self) -> &UnixAddr {
        &self.addr
    }
}

impl From<UnixAddr> for Name {
    /// A name that needs no folder: abstract, absolute, or none.
    fn from(addr: UnixAddr) -> Name {
        Name { addr, _held: None }
    }
}

/// As long as a held descriptor lives, its number, which is in the address, means nothing else.
impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.addr == other.addr
    }
}

impl Eq for Name {}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.addr.hash(state);
    }
}

/// Where a file is: a path, or its name in a folder that is held.
pub struct Spot {
    /// None: `name` is an absolute path.
    pub folder: Option<Rc<OwnedFd>>,
    /// For the calls that take a folder's descriptor and a name.
    pub name: CString,
}

/// The folders that names lead through, each held once however many names do. One for each
/// environment.
#[derive(Default)]
pub struct Folders {
    #[cfg(target_os = "linux")]
    held: RefCell<HashMap<Identity, Weak<OwnedFd>>>,
    #[cfg(target_os = "linux")]
    has_proc: Cell<Option<bool>>,
}

/// Device and inode.
#[cfg(target_os = "linux")]
type Identity = (u64, u64);

/// Whether the name means another thing at another time, or is too long as it is.
fn needs_a_folder(name: &[u8]) -> bool {
    name.first().is_some_and(|first| *first != 0)
        && (name.len() >= PATH_CAPACITY || is_fleeting(name))
}

/// Whether a path means another thing at another time, or to another process.
pub fn is_fleeting(path: &[u8]) -> bool {
    path.first() != Some(&b'/') || path.starts_with(b"/proc/") || path.starts_with(b"/dev/fd/")
}

/// A path's folder and the rest.
#[cfg(target_os = "linux")]
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        None => (b".", path),
        Some(0) => path.split_at(1),
        Some(at) => (&path[..at], &path[at + 1..]),
    }
}

impl Folders {
    /// What `name` means now, to connect or send to. EINVAL for a NUL inside a path; ENAMETOOLONG
    /// where not even the last part of a path fits (84 bytes do), or where it takes /proc, and
    /// there is none; and why the folder cannot be had: ENOENT, EACCES, EMFILE …
    pub fn resolve(&self, name: &[u8]) -> Result<Name> {
        if !needs_a_folder(name) {
            return UnixAddr::new(name).map(Name::from);
        }
        #[cfg(target_os = "linux")]
        if self.has_proc() {
            return self.resolve_through_proc(name);
        }
        // The next best: what the working directory is called now.
        UnixAddr::new(&absolute(name)?).map(Name::from)
    }

    /// Where the file of that path is, or will be.
    pub fn spot(&self, path: &[u8]) -> Result<Spot> {
        #[cfg(target_os = "linux")]
        if is_fleeting(path) {
            let (folder, name) = split(path);
            return Ok(Spot { folder: Some(self.hold(folder)?), name: c_string(name)? });
        }
        Ok(Spot { folder: None, name: c_string(&absolute(path)?)? })
    }
}

fn absolute(path: &[u8]) -> Result<Vec<u8>> {
    Ok(std::path::absolute(OsStr::from_bytes(path))?.into_os_string().into_vec())
}

fn c_string(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| Errno::INVAL)
}

#[cfg(target_os = "linux")]
impl Folders {
    fn resolve_through_proc(&self, name: &[u8]) -> Result<Name> {
        let (folder, rest) = split(name);
        // `/proc/self/fd/N` is no folder's file but a link that follows N.
        let is_link = is_fleeting(name) && name[0] == b'/' && folder.ends_with(b"/fd");
        let (held, rest) =
            if is_link { (self.hold(name)?, None) } else { (self.hold(folder)?, Some(rest)) };
        let mut path = format!("/proc/self/fd/{}", held.as_raw_fd()).into_bytes();
        if let Some(rest) = rest {
            path.push(b'/');
            path.extend(rest);
        }
        Ok(Name { addr: UnixAddr::new(&path)?, _held: Some(held) })
    }

    /// Holds what `path` means now; a descriptor that is there already, if one is.
    fn hold(&self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
        c_string(path)?;
        let path = OsStr::from_bytes(path);
        let found = |it: std::fs::Metadata| (it.dev(), it.ino());
        let held = self.held.borrow().get(&found(std::fs::metadata(path)?)).and_then(Weak::upgrade);
        if let Some(held) = held {
            return Ok(held);
        }
        let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
        // Of what is held: another may have taken the name meanwhile.
        let id = found(file.metadata()?);
        let mut held = self.held.borrow_mut();
        held.retain(|_, folder| folder.strong_count() > 0);
        let folder = Rc::new(file.into());
        held.insert(id, Rc::downgrade(&folder));
        Ok(folder)
    }

    fn has_proc(&self) -> bool {
        let known = self.has_proc.get();
        let has = known.unwrap_or_else(|| std::path::Path::new("/proc/self/fd").is_dir());
        self.has_proc.set(Some(has));
        has
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::sys::socket;
    use crate::testing::folder::Folder;
    use crate::testing::own_thread::with_own_directory;
    use socket2::Type;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;

    fn connects(name: &Name) -> bool {
        let socket = socket::create(Type::DGRAM).unwrap();
        socket::connect(socket.as_fd(), name.addr()).is_ok()
    }

    fn bytes(path: &Path) -> &[u8] {
        path.as_os_str().as_bytes()
    }

    #[test]
    fn usual_names_are_what_they_are() {
        let folders = Folders::default();
        for name in [&b""[..], b"/tmp/x", b"\0abstract", &[b'/'; PATH_CAPACITY - 1]] {
            let found = folders.resolve(name).unwrap();
            assert!(found._held.is_none());
            assert!(found.addr().name().eq(name.iter().copied()));
        }
        assert!(folders.held.borrow().is_empty());
        assert_eq!(folders.resolve(b"/tmp/a\0b"), Err(Errno::INVAL));
        assert_eq!(folders.resolve(&[0; PATH_CAPACITY + 1]), Err(Errno::NAMETOOLONG));
    }

    #[test]
    fn a_descriptors_folder_is_the_one_it_was() {
        let (right, wrong) = (Folder::new(), Folder::new());
        let _bound = UnixDatagram::bind(right.path("s")).unwrap();
        let folder = fs::File::open(right.root()).unwrap();
        let given = format!("/proc/self/fd/{}/s", folder.as_raw_fd());
        let folders = Folders::default();
        let name = folders.resolve(given.as_bytes()).unwrap();
        drop(folder);
        assert!(connects(&name));
        // Nor does it matter what becomes of the folder's name.
        let moved = wrong.path("moved");
        fs::rename(right.root(), &moved).unwrap();
        assert!(connects(&name));
        fs::rename(&moved, right.root()).unwrap();
    }

    #[test]
    fn a_relative_name_stays_in_the_directory_where_it_was_given() {
        let (right, wrong) = (Folder::new(), Folder::new());
        let _right = UnixDatagram::bind(right.path("s")).unwrap();
        with_own_directory(|| {
            let folders = Folders::default();
            let enter = |folder: &Folder| std::env::set_current_dir(folder.root()).unwrap();
            enter(&right);
            let names = [&b"s"[..], b"./s", b".//s"].map(|name| folders.resolve(name).unwrap());
            // The caller sees to one order for each.
            assert!(names[0] == names[1]);
            enter(&wrong);
            assert!(names.iter().all(connects));
            let other = folders.resolve(b"s").unwrap();
            assert!(other != names[0] && !connects(&other));
        });
    }

    #[test]
    fn a_folder_is_held_once_and_no_longer_than_its_names() {
        let (folder, other) = (Folder::new(), Folder::new());
        let opened = fs::File::open(folder.root()).unwrap();
        let (folders, fd) = (Folders::default(), opened.as_raw_fd());
        let resolve = |name: String| folders.resolve(name.as_bytes()).unwrap();
        let names = ["a", "b", "a"].map(|name| resolve(format!("/proc/self/fd/{fd}/{name}")));
        assert!(names[0] == names[2] && names[0] != names[1]);
        let held = names[0]._held.as_ref().unwrap();
        assert!(names.iter().all(|name| Rc::ptr_eq(name._held.as_ref().unwrap(), held)));
        let weak = Rc::downgrade(held);
        drop(names);
        assert!(weak.upgrade().is_none());
        let opened = fs::File::open(other.root()).unwrap();
        let _other = resolve(format!("/proc/self/fd/{}/a", opened.as_raw_fd()));
        assert_eq!(folders.held.borrow().len(), 1);
    }

    #[test]
    fn a_link_to_a_descriptor_is_followed_at_once() {
        use std::os::unix::fs::OpenOptionsExt;
        let folder = Folder::new();
        let _bound = UnixDatagram::bind(folder.path("s")).unwrap();
        let file =
            fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(folder.path("s"));
        let file = file.unwrap();
        let folders = Folders::default();
        let given = format!("/proc/self/fd/{}", file.as_raw_fd());
        let name = folders.resolve(given.as_bytes()).unwrap();
        assert_eq!(name, folders.resolve(given.as_bytes()).unwrap());
        drop(file);
        assert!(connects(&name));
        // A number that nothing has.
        assert_eq!(folders.resolve(b"/proc/self/fd/2147483647"), Err(Errno::NOENT));
    }

    #[test]
    fn a_long_path_is_its_last_part_in_its_folder() {
        let folder = Folder::new();
        let deep = folder.path(&"d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let short = folder.path("s");
        let _bound = UnixDatagram::bind(&short).unwrap();
        fs::rename(&short, deep.join("s")).unwrap();
        let folders = Folders::default();
        assert!(connects(&folders.resolve(bytes(&deep.join("s"))).unwrap()));
        let last = |len: usize| folders.resolve(bytes(&deep.join("s".repeat(len))));
        assert!(last(84).is_ok());
        assert_eq!(last(100), Err(Errno::NAMETOOLONG));
        assert_eq!(folders.resolve(bytes(&deep.join("no/s"))), Err(Errno::NOENT));
    }

    #[test]
    fn without_proc_a_relative_name_is_made_absolute() {
        let folders = Folders::default();
        folders.has_proc.set(Some(false));
        let expected = std::env::current_dir().unwrap().join("s");
        let name = folders.resolve(b"s").unwrap();
        assert!(name.addr().name().eq(bytes(&expected).iter().copied()));
        assert_eq!(folders.resolve(&[b'x'; 200]), Err(Errno::NAMETOOLONG));
    }

    #[test]
    fn any_bytes_are_a_name_or_refused() {
        const PARTS: [&[u8]; 9] =
            [b"/", b".", b"..", b"/proc/self/fd", b"/dev/fd/", b"\0", b"1", b"tmp", b"xxxxxxxxxxx"];
        let folders = Folders::default();
        crate::testing::random::rounds(|random| {
            let parts = (0..random.below(14)).map(|_| random.choose(&PARTS));
            let name = parts.collect::<Vec<_>>().concat();
            if let Ok(found) = folders.resolve(&name) {
                assert_eq!(found._held.is_some(), needs_a_folder(&name));
            }
            if let (false, Ok(spot)) = (name.is_empty(), folders.spot(&name)) {
                assert!(spot.folder.is_some() || spot.name.as_bytes().starts_with(b"/"));
            }
        });
    }
}
