//! Owns: control messages, `cmsg(3)`: descriptors (SCM_RIGHTS), credentials (SCM_CREDENTIALS), the
//! sender's pidfd (SCM_PIDFD), and what else the kernel adds unasked.
//!
//! Which messages come is not ours alone to decide: the options belong to the socket, and whoever
//! shares it can set them. So every type that carries descriptors is decoded, asked for or not.
//! Received descriptors are [`OwnedFd`]s from the first moment: whoever does not take them closes
//! them by dropping.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::size_of;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::slice;

use crate::sys::errno::{Errno, Result, syscall};

/// The kernel's SCM_MAX_FD: one message carries no more.
pub const MAX_FDS: usize = 253;

/// What control messages and their data are aligned to.
const ALIGN: usize = if cfg!(target_vendor = "apple") { 4 } else { size_of::<usize>() };
/// Bytes of a control message's header, padded to where its data starts.
const HEADER: usize = align(size_of::<libc::cmsghdr>());

const fn align(len: usize) -> usize {
    (len + ALIGN - 1) & !(ALIGN - 1)
}

/// `SCM_SECURITY` and `SCM_PIDFD`, which the libc crate lacks.
#[cfg(target_os = "linux")]
const SCM_SECURITY: libc::c_int = 3;
#[cfg(target_os = "linux")]
const SCM_PIDFD: libc::c_int = 4;

/// What the kernel says of a sender it knows nothing of, since the message was sent before
/// SO_PASSCRED was set: this user and group, and no process.
#[cfg(target_os = "linux")]
const OVERFLOW_ID: u32 = 65534;

/// The longest security label (SCM_SECURITY) for which there is room beside all the rest.
const MAX_LABEL: usize = 1024;

/// Room for whatever one message can bring: the most descriptors, credentials, a pidfd, a label and
/// the times. What does not fit is dropped by the kernel in favour of what comes first, and
/// descriptors come late.
pub const RECEIVE_CAPACITY: usize = HEADER
    + align(MAX_FDS * size_of::<RawFd>())
    + HEADER
    + align(size_of::<Credentials>())
    + HEADER
    + align(size_of::<RawFd>())
    + HEADER
    + align(MAX_LABEL)
    // SCM_TIMESTAMP or SCM_TIMESTAMPNS, and the three times of SCM_TIMESTAMPING.
    + 2 * HEADER
    + 4 * align(2 * size_of::<i64>());
/// The same in the words of a buffer that is aligned for control messages.
pub const RECEIVE_WORDS: usize = RECEIVE_CAPACITY.div_ceil(size_of::<usize>());

/// Who sent a message, as the kernel vouches for it: `struct ucred`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Process id, in our namespace.
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What came beside the bytes of one message.
#[derive(Default, Debug)]
pub struct Received {
    /// Descriptors, in the order they were sent.
    pub fds: Vec<OwnedFd>,
    /// The sender, if SO_PASSCRED is on and was so when the message was sent.
    pub credentials: Option<Credentials>,
    /// The sender's process, if SO_PASSPIDFD is on and the process had not ended yet.
    pub pidfd: Option<OwnedFd>,
    /// Something came along, of whatever kind: the end of a connection has nothing.
    pub is_marked: bool,
}

impl Received {
    /// Decodes a control buffer that `recvmsg(2)` filled, taking over every descriptor in it.
    ///
    /// A type that this crate does not know is skipped. On Linux none of them carries descriptors.
    ///
    /// # Safety
    /// `control` is what the kernel wrote for one message, with or without the padding between
    /// messages, and is decoded once: the descriptor numbers in it become owned.
    pub unsafe fn decode(control: *const [u8]) -> Received {
        let mut received = Received::default();
        // SAFETY: as this function demands.
        for (kind, data) in unsafe { Messages::new(control) } {
            received.is_marked = true;
            match kind {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    let fds = data.chunks_exact(size_of::<RawFd>());
                    // SAFETY: the kernel installed these descriptors for us; nobody owns them yet.
                    received.fds.extend(fds.filter_map(|raw| unsafe { descriptor(raw) }));
                }
                #[cfg(target_os = "linux")]
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    received.credentials = credentials(data);
                }
                #[cfg(target_os = "linux")]
                (libc::SOL_SOCKET, SCM_PIDFD) => {
                    // SAFETY: as above.
                    received.pidfd = unsafe { descriptor(data) };
                }
                #[cfg(target_os = "linux")]
                (libc::SOL_SOCKET, SCM_SECURITY) => {}
                _ => {}
            }
        }
        received
    }
}

/// The descriptor that the first bytes of `data` name. None where the kernel put an error there, as
/// it does of the pidfd of a sender that has ended.
///
/// # Safety
/// The number is of a descriptor that is ours to own, or negative.
unsafe fn descriptor(data: &[u8]) -> Option<OwnedFd> {
    let raw = RawFd::from_ne_bytes(*data.first_chunk()?);
    // SAFETY: as this function demands.
    let fd = (raw >= 0).then(|| unsafe { OwnedFd::from_raw_fd(raw) })?;
    // Elsewhere the kernel does so, MSG_CMSG_CLOEXEC. It cannot fail.
    #[cfg(not(target_os = "linux"))]
    let _ = socket2::SockRef::from(&fd).set_cloexec(true);
    Some(fd)
}

/// None where the kernel knows nothing of the sender.
#[cfg(target_os = "linux")]
fn credentials(data: &[u8]) -> Option<Credentials> {
    let word = |at: usize| Some(u32::from_ne_bytes(*data.get(at..)?.first_chunk()?));
    let found = Credentials { pid: word(0)? as i32, uid: word(4)?, gid: word(8)? };
    let unknown = Credentials { pid: 0, uid: OVERFLOW_ID, gid: OVERFLOW_ID };
    (found != unknown).then_some(found)
}

/// Walks control messages without trusting their lengths: `((level, type), data)`.
///
/// By pointers: what the kernel leaves out between messages, to align them, was perhaps never
/// written, so no slice may cover it.
struct Messages<'a> {
    at: *const u8,
    left: usize,
    control: PhantomData<&'a [u8]>,
}

impl Messages<'_> {
    /// # Safety
    /// `control` is readable while this lives, and written but for the padding after messages.
    unsafe fn new<'a>(control: *const [u8]) -> Messages<'a> {
        Messages { at: control.cast(), left: control.len(), control: PhantomData }
    }

    fn skip(&mut self, len: usize) {
        let len = len.min(self.left);
        self.at = self.at.wrapping_add(len);
        self.left -= len;
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = ((i32, i32), &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left < HEADER {
            return None;
        }
        // SAFETY: so many bytes are left, and a cmsghdr is plain integers.
        let header = unsafe { self.at.cast::<libc::cmsghdr>().read_unaligned() };
        // Not a usize on every system.
        #[allow(clippy::unnecessary_cast)]
        let len = (header.cmsg_len as usize).checked_sub(HEADER)?;
        if len > self.left - HEADER {
            return None;
        }
        // SAFETY: within the buffer, and a message's data is written.
        let data = unsafe { slice::from_raw_parts(self.at.add(HEADER), len) };
        self.skip(HEADER + align(len));
        Some(((header.cmsg_level, header.cmsg_type), data))
    }
}

/// A control buffer that carries descriptors, ready for `msg_control`. Aligned for cmsghdr.
#[derive(Default)]
pub struct Rights {
    words: Vec<usize>,
    /// Bytes of `words` in use: macOS demands that the last message end with its data.
    len: usize,
}

impl Rights {
    /// Encodes `fds`, which the message only borrows. EINVAL beyond [`MAX_FDS`].
    pub fn new(fds: &[RawFd]) -> Result<Rights> {
        if fds.len() > MAX_FDS {
            return Err(Errno::INVAL);
        }
        let mut rights = Rights::default();
        // SAFETY: plain integers, seen as the bytes they are.
        let bytes = unsafe { slice::from_raw_parts(fds.as_ptr().cast(), size_of_val(fds)) };
        rights.push(libc::SCM_RIGHTS, bytes);
        Ok(rights)
    }

    /// The same, if there are any, and what the sender claims to be: the kernel checks it. ENOSYS
    /// where credentials cannot be sent.
    pub fn with_credentials(fds: &[RawFd], claimed: Option<Credentials>) -> Result<Rights> {
        let rights = if fds.is_empty() { Rights::default() } else { Rights::new(fds)? };
        match claimed {
            None => Ok(rights),
            Some(claimed) => rights.and_credentials(claimed),
        }
    }

    #[cfg(target_os = "linux")]
    fn and_credentials(mut self, Credentials { pid, uid, gid }: Credentials) -> Result<Rights> {
        let words = [pid as u32, uid, gid];
        self.push(libc::SCM_CREDENTIALS, &words.map(u32::to_ne_bytes).concat());
        Ok(self)
    }

    #[cfg(not(target_os = "linux"))]
    fn and_credentials(self, _claimed: Credentials) -> Result<Rights> {
        Err(Errno::NOSYS)
    }

    /// Appends one control message.
    fn push(&mut self, kind: libc::c_int, data: &[u8]) {
        let at = self.len;
        self.len += HEADER + align(data.len());
        self.words.resize(self.len.div_ceil(size_of::<usize>()), 0);
        let start = self.words.as_mut_ptr().cast::<u8>();
        // SAFETY: the vector has room for the header and, behind it, the data. It is aligned for
        // usize and `at` a multiple of ALIGN: that is enough for a cmsghdr.
        unsafe {
            let start = start.add(at);
            let header = start.cast::<libc::cmsghdr>();
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = (HEADER + data.len()) as _;
            start.add(HEADER).copy_from_nonoverlapping(data.as_ptr(), data.len());
        }
    }

    /// For `msg_control`.
    pub fn as_ptr(&self) -> *const u8 {
        self.words.as_ptr().cast()
    }

    /// For `msg_controllen`.
    pub fn len(&self) -> usize {
        self.len
    }
}

/// Duplicates of descriptors that have to wait: the caller may close his own at once.
///
/// EBADF if one is not open, EMFILE where there is no room; nothing is kept then. Every number is
/// checked before the first duplicate is made, which could otherwise get the number of one that is
/// closed, and be sent in its place.
pub fn duplicate(fds: &[RawFd]) -> Result<Vec<OwnedFd>> {
    for fd in fds {
        // SAFETY: F_GETFD on any number is harmless.
        unsafe { syscall!(fcntl(*fd, libc::F_GETFD)) }?;
    }
    fds.iter()
        // SAFETY: not -1, which the check refused; the kernel checks the number once more.
        .map(|fd| Ok(unsafe { BorrowedFd::borrow_raw(*fd) }.try_clone_to_owned()?))
        .collect()
}

#[cfg(test)]
mod tests;
