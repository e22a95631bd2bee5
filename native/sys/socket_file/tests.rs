//! Owns: tests of socket files.
#![allow(unsafe_code)]

use super::*;
use crate::testing::folder::Folder;
#[cfg(target_os = "linux")]
use crate::testing::own_thread::{with_own_descriptors, with_own_directory, without_proc};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

fn spot(path: &Path) -> Spot {
    Folders::default().spot(path.as_os_str().as_bytes()).unwrap()
}

fn bound(path: &Path) -> (OwnedFd, Option<SocketFile>) {
    let fd = socket::create(Type::DGRAM).unwrap();
    let file = bind_as(&fd, path, Options::default()).unwrap().file;
    (fd, file)
}

fn bind_as(fd: &OwnedFd, path: &Path, options: Options) -> Result<Bound> {
    bind_at(fd.as_fd(), path.as_os_str().as_bytes(), &options, &Folders::default())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// The umask, which nothing in these tests changes.
fn umask(folder: &Folder) -> u32 {
    let path = folder.path("umask");
    fs::create_dir(&path).unwrap();
    let umask = 0o777 & !mode(&path);
    fs::remove_dir(&path).unwrap();
    umask
}

#[test]
fn what_was_put_in_place_of_the_file_is_put_back() {
    let folder = Folder::new();
    let (gone, path) = (folder.path("gone"), folder.path("a"));
    let _gone = UnixDatagram::bind(&gone).unwrap();
    let id = spot(&gone).identity().unwrap();
    let others: [(&str, &dyn Fn()); 4] = [
        ("file", &|| fs::write(&path, "precious").unwrap()),
        ("link", &|| std::os::unix::fs::symlink("gone", &path).unwrap()),
        ("folder", &|| fs::create_dir(&path).unwrap()),
        ("socket", &|| drop(UnixDatagram::bind(&path).unwrap())),
    ];
    for (kind, put) in others {
        put();
        let before = inode(&path);
        assert!(!Place::of(&spot(&path)).unwrap().remove(id), "{kind}");
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
    assert!(Place::of(&spot(&gone)).unwrap().remove(id));
    assert_eq!(folder.names(), ["file", "folder", "link", "socket"]);
}

#[test]
fn what_cannot_be_put_back_overwrites_nothing() {
    let folder = Folder::new();
    let path = folder.path("a");
    let place = Place::of(&spot(&path)).unwrap();
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
    let found = |name| identity_if_own(fd.as_fd(), &pin(&spot(&folder.path(name))).unwrap());
    assert_eq!(found("a"), Some(id));
    fs::rename(&path, folder.path("b")).unwrap();
    let _other = UnixDatagram::bind(&path).unwrap();
    // Where the kernel has no unix_diag that cannot be known.
    let expected = socket_diag::bound_file(fd.as_fd()).map_or(spot(&path).identity(), |_| None);
    assert_eq!(found("a"), expected);
    assert_eq!(found("b"), Some(id));
    fs::write(folder.path("c"), "").unwrap();
    assert_eq!(found("c"), None);
}

#[test]
#[cfg(target_os = "linux")]
fn a_pin_holds_the_file_itself_and_is_not_inherited() {
    let folder = Folder::new();
    let (path, link) = (folder.path("a"), folder.path("link"));
    let _socket = UnixDatagram::bind(&path).unwrap();
    std::os::unix::fs::symlink("a", &link).unwrap();
    let pinned = pin(&spot(&path)).unwrap();
    assert_eq!(held_identity(&pinned), spot(&path).identity());
    assert_eq!(held_identity(&pin(&spot(&link)).unwrap()), None);
    // SAFETY: F_GETFD on a live descriptor.
    assert_eq!(unsafe { libc::fcntl(pinned.as_raw_fd(), libc::F_GETFD) }, libc::FD_CLOEXEC);
    assert_eq!(fs::metadata(descriptor_path(&pinned)).unwrap().ino(), inode(&path));
}

#[test]
fn a_private_name_is_another_each_time() {
    let [one, two] = [private_name(), private_name()];
    assert!(one != two && [one, two].iter().all(|name| name.starts_with(".afunix-")));
}

#[test]
fn a_turn_is_not_taken_at_what_is_no_folder() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    let name = c_string(&fifo).unwrap();
    // SAFETY: a NUL-terminated path.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert!(take_turn(&spot(&fifo.join("a"))).is_none());
    assert!(take_turn(&spot(&folder.path("a"))).is_some());
}

fn with_mode(mode: u32) -> Options {
    let access = Access { mode: Some(mode), ..Access::default() };
    Options { access, ..Options::default() }
}

#[test]
fn a_bind_that_failed_leaves_nothing_behind() {
    let folder = Folder::new();
    let (path, other) = (folder.path("a"), folder.path("b"));
    fs::write(&path, "in the way").unwrap();
    let fd = socket::create(Type::DGRAM).unwrap();
    assert_eq!(bind_as(&fd, &path, with_mode(0o600)).err(), Some(Errno::ADDRINUSE));
    assert_eq!(bind_as(&fd, &path.join("c"), with_mode(0o600)).err(), Some(Errno::NOTDIR));
    let file = bind_as(&fd, &other, Options::default()).unwrap().file;
    assert_eq!(mode(&other), 0o777 & !umask(&folder));
    drop(file);
    assert_eq!(folder.names(), ["a"]);
}

/// As a socket has that sent with credentials: the kernel named it.
#[test]
#[cfg(target_os = "linux")]
fn a_socket_that_has_a_name_touches_no_file() {
    let folder = Folder::new();
    let (dead, free) = (folder.path("dead"), folder.path("free"));
    drop(UnixDatagram::bind(&dead).unwrap());
    let before = inode(&dead);
    let fd = socket::create(Type::DGRAM).unwrap();
    bind(fd.as_fd(), &UnixAddr::unnamed(), None).unwrap();
    for path in [&dead, &free] {
        assert_eq!(bind_as(&fd, path, with_mode(0o600)).err(), Some(Errno::INVAL));
    }
    assert_eq!((folder.names(), inode(&dead)), (vec!["dead".to_owned()], before));
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_descriptor_nothing_is_bound() {
    let folder = Folder::new();
    let path = folder.path("a");
    let tried = with_own_descriptors(|| {
        let fd = socket::create(Type::DGRAM).unwrap();
        let mut taken = Vec::new();
        // SAFETY: a plain call on a descriptor of ours.
        while let raw @ 0.. = unsafe { libc::dup(fd.as_raw_fd()) } {
            taken.push(raw);
        }
        let mut tried = Vec::new();
        while tried.last() != Some(&None) {
            let result = bind_as(&fd, &path, with_mode(0o600));
            let address = socket::local_address(fd.as_fd()).unwrap();
            assert_eq!(result.is_ok(), address.name_len() > 0);
            assert_eq!(result.is_ok(), path.exists());
            tried.push(result.err());
            // SAFETY: a descriptor of this test alone.
            taken.pop().map(|raw| unsafe { libc::close(raw) });
        }
        tried
    });
    assert_eq!(tried, [Some(Errno::MFILE), Some(Errno::MFILE), None]);
}

#[test]
fn a_mode_is_exact_whatever_the_umask() {
    let folder = Folder::new();
    for wanted in [0o600, 0o666, 0o777, 0o707] {
        let path = folder.path("a");
        let fd = socket::create(Type::DGRAM).unwrap();
        let _file = bind_as(&fd, &path, with_mode(wanted)).unwrap();
        assert_eq!(mode(&path), wanted);
    }
    assert!(folder.names().is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn an_owner_is_given_or_nothing_is_bound() {
    let folder = Folder::new();
    let path = folder.path("a");
    // SAFETY: plain calls.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let as_owner =
        |uid, gid, mode| Options { access: Access { uid, gid, mode }, ..Options::default() };
    // Our own may always be given, and another's if we are root.
    let others =
        if uid == 0 { [(Some(1234), Some(4321)), (None, Some(5))] } else { [(None, None); 2] };
    let allowed = [(Some(uid), Some(gid)), (Some(uid), None)].into_iter().chain(others);
    for (user, group) in allowed {
        for wanted in [None, Some(0o660)] {
            let fd = socket::create(Type::DGRAM).unwrap();
            let file = bind_as(&fd, &path, as_owner(user, group, wanted)).unwrap().file;
            let found = fs::symlink_metadata(&path).unwrap();
            let expected = (user.unwrap_or(uid), group.unwrap_or(gid));
            assert_eq!((found.uid(), found.gid()), expected);
            let usual = 0o777 & !umask(&folder);
            assert_eq!(found.mode() & 0o7777, wanted.unwrap_or(usual));
            drop(file);
        }
    }
    if uid != 0 {
        let fd = socket::create(Type::DGRAM).unwrap();
        let refused = bind_as(&fd, &path, as_owner(Some(0), None, None)).err();
        assert_eq!(refused, Some(Errno::PERM));
        assert!(bind_as(&fd, &path, Options::default()).is_ok());
    }
    assert!(folder.names().is_empty());
}

/// Before the owner is set nobody passes: the file has no permissions then.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_gets_an_owner_is_made_closed() {
    let folder = Folder::new();
    let path = folder.path("a");
    let fd = socket::create(Type::DGRAM).unwrap();
    // SAFETY: a plain call.
    let access = Access { uid: Some(unsafe { libc::geteuid() }), ..Access::default() };
    let narrowed = Narrowed::new(fd.as_fd(), &access, &spot(&path)).unwrap();
    assert!(folder.names().is_empty());
    bind_only(fd.as_fd(), &UnixAddr::new(path.as_os_str().as_bytes()).unwrap()).unwrap();
    assert_eq!(mode(&path), 0);
    narrowed.widen(fd.as_fd(), &pin(&spot(&path)).unwrap()).unwrap();
    assert_eq!(mode(&path), 0o777 & !umask(&folder));
}

#[test]
fn a_file_may_stay() {
    let folder = Folder::new();
    let fd = socket::create(Type::DGRAM).unwrap();
    let options = Options { stays: true, ..Options::default() };
    assert!(bind_as(&fd, &folder.path("a"), options).unwrap().file.is_none());
    let (_fd, file) = bound(&folder.path("b"));
    file.unwrap().keep();
    assert_eq!(folder.names(), ["a", "b"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_in_a_folder_that_a_descriptor_names_is_removed() {
    let (folder, other) = (Folder::new(), Folder::new());
    let opened = fs::File::open(folder.root()).unwrap();
    let given = format!("/proc/self/fd/{}/a", opened.as_raw_fd());
    // Twice: a dead file there is replaced.
    drop(UnixDatagram::bind(folder.path("a")).unwrap());
    let (_fd, file) = bound(Path::new(&given));
    assert!(file.is_some());
    // The number means another folder by now, and the folder has another name.
    drop(opened);
    let moved = other.path("moved");
    fs::rename(folder.root(), &moved).unwrap();
    drop(file);
    let is_left = moved.join("a").exists();
    fs::rename(&moved, folder.root()).unwrap();
    assert!(!is_left);
}

#[test]
#[cfg(target_os = "linux")]
fn a_listener_may_have_a_path_that_is_too_long_for_an_address() {
    let folder = Folder::new();
    let deep = folder.path(&"d".repeat(150));
    fs::create_dir(&deep).unwrap();
    let path = deep.join("s");
    let folders = Folders::default();
    let name = path.as_os_str().as_bytes();
    for _ in 0..2 {
        let listener = socket::create(Type::STREAM).unwrap();
        let options = Options { backlog: Some(1), ..with_mode(0o600) };
        let Bound { file, is_renamed } = bind_as(&listener, &path, options).unwrap();
        assert!(is_renamed && mode(&path) == 0o600);
        let client = socket::create(Type::STREAM).unwrap();
        let to = folders.resolve(name).unwrap();
        assert_eq!(socket::connect(client.as_fd(), to.addr()), Ok(()));
        assert!(socket::accept(listener.as_fd()).is_ok());
        // A dead one the next time.
        file.unwrap().keep();
    }
    let receiver = socket::create(Type::DGRAM).unwrap();
    let refused = bind_as(&receiver, &path, Options::default()).err();
    assert_eq!(refused, Some(Errno::NAMETOOLONG));
}

#[test]
fn what_cannot_listen_leaves_no_file() {
    let folder = Folder::new();
    let fd = socket::create(Type::DGRAM).unwrap();
    let options = Options { backlog: Some(1), ..Options::default() };
    assert!(bind_as(&fd, &folder.path("a"), options).is_err());
    assert!(folder.names().is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn a_relative_file_is_removed_wherever_we_are_by_then() {
    let (folder, other) = (Folder::new(), Folder::new());
    with_own_directory(|| {
        std::env::set_current_dir(folder.root()).unwrap();
        let (fd, file) = bound(Path::new("a"));
        assert!(socket::local_address(fd.as_fd()).unwrap().name().eq(*b"a"));
        std::env::set_current_dir(other.root()).unwrap();
        let _other = bound(Path::new("a"));
        assert_eq!(folder.names(), ["a"]);
        drop(file);
        assert!(folder.names().is_empty());
        assert_eq!(other.names(), ["a"]);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn without_proc_files_are_made_replaced_and_removed() {
    let folder = Folder::new();
    let (path, alive) = (folder.path("a"), folder.path("b"));
    let _alive = UnixDatagram::bind(&alive).unwrap();
    without_proc(|| {
        assert!(!Path::new("/proc/self").exists());
        for _ in 0..2 {
            let fd = socket::create(Type::STREAM).unwrap();
            let options = Options { backlog: Some(1), ..Options::default() };
            let file = bind_as(&fd, &path, options).unwrap().file.unwrap();
            // A dead one the next time.
            file.keep();
        }
        let fd = socket::create(Type::DGRAM).unwrap();
        assert_eq!(bind_as(&fd, &alive, Options::default()).err(), Some(Errno::ADDRINUSE));
        // Permissions take a newer kernel then.
        match bind_as(&fd, &path, with_mode(0o666)) {
            Ok(Bound { file, .. }) => {
                assert_eq!(mode(&path), 0o666);
                drop(file);
            }
            Err(errno) => assert_eq!(errno, Errno::NOSYS),
        }
        assert_eq!(folder.names(), ["b"]);
    });
}
