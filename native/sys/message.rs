//! Owns: whole messages to and from the kernel, many in one call: `recvmmsg(2)` into memory that
//! an environment's sockets share, `sendmsg(2)` and `sendmmsg(2)` out of borrowed bytes.
#![allow(unsafe_code)]

use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use crate::sys::ancillary::{RECEIVE_CAPACITY, RECEIVE_WORDS, Received, Rights};
use crate::sys::descriptor::close_passed;
use crate::sys::errno::{Result, syscall};
use crate::sys::receive_memory::{KEEP, MAX_MESSAGE, Region};
use crate::sys::unix_addr::UnixAddr;

/// Messages received by one call at most.
pub const RECEIVE_BATCH: usize = 32;
/// Messages sent by one call at most.
pub const SEND_BATCH: usize = 32;

const FLAGS: libc::c_int = libc::MSG_DONTWAIT;
/// Never wait, never raise SIGPIPE.
#[cfg(target_os = "linux")]
pub const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
/// Never wait; there is SO_NOSIGPIPE against the signal.
#[cfg(not(target_os = "linux"))]
pub const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT;
/// Never wait; descriptors are not inherited.
#[cfg(target_os = "linux")]
pub const RECEIVE_FLAGS: libc::c_int = FLAGS | libc::MSG_CMSG_CLOEXEC;
/// Never wait; [`Received::decode`] sees to the descriptors.
#[cfg(not(target_os = "linux"))]
pub const RECEIVE_FLAGS: libc::c_int = FLAGS;

#[cfg(target_os = "linux")]
type Header = libc::mmsghdr;
#[cfg(not(target_os = "linux"))]
#[repr(C)]
struct Header {
    msg_hdr: libc::msghdr,
    msg_len: libc::c_uint,
}

/// Where messages arrive: shared by all sockets of an environment, lent to one batch at a time.
pub struct Receiver {
    region: Region,
    /// What they point at is set for each call: a pointer into a Box ends when the Box is moved.
    headers: Box<[Header]>,
    vectors: Box<[libc::iovec]>,
    names: Box<[UnixAddr]>,
    /// `RECEIVE_CAPACITY` bytes a slot, made when the first socket asks for control messages.
    control: Vec<usize>,
    received: usize,
}

/// One received message; its parts live until the next batch.
pub struct Message<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// The sender.
    pub from: &'a UnixAddr,
    /// What came with the bytes; empty unless control messages were asked for.
    pub ancillary: Received,
    /// The message was larger than [`MAX_MESSAGE`]: `bytes` is its beginning.
    pub truncated: bool,
    /// Descriptors or other control data were dropped by the kernel (only where asked for).
    pub control_truncated: bool,
    /// Not a message: the end of a connection. Says so only of sockets whose messages are marked,
    /// see [`crate::sys::mark`]: the kernel either delivers the mark or notes that there was no
    /// room for it.
    pub is_end: bool,
}

impl Receiver {
    /// Maps the region. ENOMEM where not even one slot fits in the address space.
    pub fn new() -> Result<Box<Receiver>> {
        let region = Region::new(RECEIVE_BATCH)?;
        let vectors = (0..region.slots())
            .map(|slot| libc::iovec { iov_base: region.slot(slot).cast(), iov_len: MAX_MESSAGE })
            .collect();
        let names = vec![UnixAddr::unnamed(); region.slots()].into_boxed_slice();
        // SAFETY: plain integers and pointers, for which zero is valid.
        let headers = (0..region.slots()).map(|_| unsafe { zeroed() }).collect();
        let control = Vec::new();
        Ok(Box::new(Receiver { region, headers, vectors, names, control, received: 0 }))
    }

    /// Receives up to `limit` messages, at least one: `recvmmsg(2)`.
    ///
    /// With `control`, descriptors and credentials are received too; without it the kernel
    /// discards them. Without `names` the senders' names are not asked for: [`Message::from`] is
    /// unnamed. Err only if nothing was received: EAGAIN when nothing waits.
    pub fn receive(
        &mut self,
        fd: BorrowedFd<'_>,
        limit: usize,
        control: bool,
        names: bool,
    ) -> Result<usize> {
        let limit = limit.clamp(1, self.headers.len());
        if control && self.control.is_empty() {
            self.control = vec![0; RECEIVE_WORDS * self.headers.len()];
        }
        // One pointer for all: borrowing the memory for each would end those before.
        let control_memory = self.control.as_mut_ptr();
        for (slot, header) in self.headers[..limit].iter_mut().enumerate() {
            header.msg_hdr.msg_iov = &raw mut self.vectors[slot];
            header.msg_hdr.msg_iovlen = 1;
            let name = self.names[slot].as_mut_ptr().cast();
            header.msg_hdr.msg_name = if names { name } else { ptr::null_mut() };
            header.msg_hdr.msg_namelen = if names { UnixAddr::capacity() } else { 0 };
            header.msg_hdr.msg_flags = 0;
            let room = control_memory.wrapping_add(slot * RECEIVE_WORDS).cast();
            header.msg_hdr.msg_control = if control { room } else { ptr::null_mut() };
            header.msg_hdr.msg_controllen = if control { RECEIVE_CAPACITY as _ } else { 0 };
        }
        // What an earlier batch left in the control buffers must not be taken for this one's.
        self.received = 0;
        self.received = receive_many(fd.as_raw_fd(), &mut self.headers[..limit])?;
        for (header, name) in self.headers[..self.received].iter().zip(self.names.iter_mut()) {
            name.set_len(header.msg_hdr.msg_namelen);
        }
        Ok(self.received)
    }

    /// Receives one message without control data, `recvfrom(2)`: cheaper than a batch of one. Takes
    /// an end for an empty message. `names` as for `receive`.
    pub fn receive_one(&mut self, fd: BorrowedFd<'_>, names: bool) -> Result<usize> {
        let (header, slot) = (&mut self.headers[0], self.region.slot(0).cast());
        let name = if names { self.names[0].as_mut_ptr() } else { ptr::null_mut() };
        let mut len = if names { UnixAddr::capacity() } else { 0 };
        // MSG_TRUNC: the message's own length, whatever fits into the slot.
        let (raw, flags) = (fd.as_raw_fd(), RECEIVE_FLAGS | libc::MSG_TRUNC);
        self.received = 0;
        // SAFETY: the slot has room for MAX_MESSAGE bytes, and the name, if any, for `len`.
        let size = unsafe { syscall!(recvfrom(raw, slot, MAX_MESSAGE, flags, name, &mut len)) }?;
        let size = size as usize;
        header.msg_len = size.min(MAX_MESSAGE) as libc::c_uint;
        header.msg_hdr.msg_flags = if size > MAX_MESSAGE { libc::MSG_TRUNC } else { 0 };
        // As the kernel notes it of what is marked: no end.
        header.msg_hdr.msg_flags |= libc::MSG_CTRUNC;
        header.msg_hdr.msg_control = ptr::null_mut();
        self.names[0].set_len(len);
        self.received = 1;
        Ok(1)
    }

    /// Message `index` of the batch. Call once a message: its descriptors move to the caller.
    pub fn message(&mut self, index: usize) -> Message<'_> {
        assert!(index < self.received, "the batch has fewer messages");
        let header = &mut self.headers[index];
        let asked = !header.msg_hdr.msg_control.is_null();
        let ancillary = if asked {
            // Not a usize on every system.
            #[allow(clippy::unnecessary_cast)]
            let len = (header.msg_hdr.msg_controllen as usize).min(RECEIVE_CAPACITY);
            // Not a second time.
            header.msg_hdr.msg_control = ptr::null_mut();
            let start = self.control[index * RECEIVE_WORDS..].as_ptr().cast();
            // SAFETY: the kernel wrote `len` bytes of control messages there.
            unsafe { Received::decode(ptr::slice_from_raw_parts(start, len)) }
        } else {
            Received::default()
        };
        let len = (header.msg_len as usize).min(MAX_MESSAGE);
        let flags = header.msg_hdr.msg_flags;
        let is_marked = ancillary.is_marked || flags & libc::MSG_CTRUNC != 0;
        Message {
            // SAFETY: the kernel wrote `len` bytes into this slot.
            bytes: unsafe { std::slice::from_raw_parts(self.region.slot(index), len) },
            from: &self.names[index],
            ancillary,
            truncated: flags & libc::MSG_TRUNC != 0,
            control_truncated: asked && flags & libc::MSG_CTRUNC != 0,
            is_end: len == 0 && !is_marked,
        }
    }

    /// Memory for a stream's bytes, to be used before the next batch: where, and how much.
    pub fn memory(&self) -> (*mut u8, usize) {
        (self.region.slot(0), KEEP)
    }

    /// Returns memory that large messages used. Call when the batch has been copied out.
    pub fn trim(&mut self) {
        for index in 0..self.received {
            if self.headers[index].msg_len as usize > KEEP {
                self.region.trim(index);
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Descriptors of messages that nobody looked at.
        for index in 0..self.received {
            close_passed(self.message(index).ancillary.fds);
        }
    }
}

#[cfg(target_os = "linux")]
fn receive_many(fd: RawFd, headers: &mut [Header]) -> Result<usize> {
    if let [header] = headers {
        // The kernel does less for it than for a batch of one.
        // SAFETY: the header points at live memory of the lengths it states.
        let len = unsafe { syscall!(recvmsg(fd, &mut header.msg_hdr, RECEIVE_FLAGS)) }?;
        header.msg_len = len as libc::c_uint;
        return Ok(1);
    }
    let (start, len) = (headers.as_mut_ptr(), headers.len() as libc::c_uint);
    // SAFETY: `len` headers, each pointing at live memory of the lengths it states.
    let received =
        unsafe { syscall!(recvmmsg(fd, start, len, RECEIVE_FLAGS as _, ptr::null_mut())) }?;
    Ok(received as usize)
}

#[cfg(not(target_os = "linux"))]
fn receive_many(fd: RawFd, headers: &mut [Header]) -> Result<usize> {
    for (index, header) in headers.iter_mut().enumerate() {
        // SAFETY: the header points at live memory of the lengths it states.
        match unsafe { syscall!(recvmsg(fd, &mut header.msg_hdr, RECEIVE_FLAGS)) } {
            Ok(len) => header.msg_len = len as libc::c_uint,
            Err(errno) if index == 0 => return Err(errno),
            Err(_) => return Ok(index),
        }
    }
    Ok(headers.len())
}

/// One message to send: bytes, and perhaps an address and descriptors, all borrowed.
pub struct Outgoing<'a> {
    /// The bytes; readable for the length of the call that sends them.
    pub bytes: *const u8,
    /// How many.
    pub len: usize,
    /// The receiver; None on a connected socket.
    pub to: Option<&'a UnixAddr>,
    /// Encoded descriptors.
    pub rights: Option<&'a Rights>,
}

/// Sends one message now, `sendto(2)`: EAGAIN rather than wait.
///
/// # Safety
/// `message.bytes` is readable for `message.len` bytes.
pub unsafe fn send(fd: BorrowedFd<'_>, message: &Outgoing<'_>) -> Result<()> {
    let raw = fd.as_raw_fd();
    if message.rights.is_none() {
        let (to, to_len) = message.to.map_or((ptr::null(), 0), |to| (to.as_ptr(), to.len()));
        let (bytes, len) = (message.bytes.cast(), message.len);
        // SAFETY: bytes as promised by the caller, the address whole.
        return unsafe { syscall!(sendto(raw, bytes, len, SEND_FLAGS, to, to_len)) }.map(drop);
    }
    let mut vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
    // SAFETY: `vector` outlives the header's use.
    unsafe {
        let header = header_for(message, &mut vector);
        syscall!(sendmsg(raw, &header, SEND_FLAGS))
    }
    .map(drop)
}

/// Sends the first of `messages` and as many more as the kernel takes, `sendmmsg(2)`.
///
/// Returns how many went, at least one; Err speaks of the first.
///
/// # Safety
/// Every message's bytes are readable for its length.
pub unsafe fn send_many(fd: BorrowedFd<'_>, messages: &[Outgoing<'_>]) -> Result<usize> {
    let count = messages.len().min(SEND_BATCH);
    #[cfg(target_os = "linux")]
    {
        // SAFETY: plain integers and pointers, for which zero is valid.
        let mut vectors: [libc::iovec; SEND_BATCH] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut headers: [Header; SEND_BATCH] = unsafe { zeroed() };
        for (index, message) in messages[..count].iter().enumerate() {
            // SAFETY: the vector outlives the header's use.
            headers[index].msg_hdr = unsafe { header_for(message, &mut vectors[index]) };
        }
        let start = headers.as_mut_ptr();
        let raw = fd.as_raw_fd();
        // SAFETY: `count` headers over live vectors, addresses and control buffers.
        let sent = unsafe { syscall!(sendmmsg(raw, start, count as _, SEND_FLAGS as _)) }?;
        Ok(sent as usize)
    }
    #[cfg(not(target_os = "linux"))]
    {
        for (index, message) in messages[..count].iter().enumerate() {
            // SAFETY: as this function demands.
            match unsafe { send(fd, message) } {
                Ok(()) => {}
                Err(errno) if index == 0 => return Err(errno),
                Err(_) => return Ok(index),
            }
        }
        Ok(count)
    }
}

/// # Safety
/// The header points at `vector` and at what `message` borrows: use it while both are alive.
unsafe fn header_for(message: &Outgoing<'_>, vector: &mut libc::iovec) -> libc::msghdr {
    vector.iov_base = message.bytes.cast_mut().cast();
    vector.iov_len = message.len;
    // SAFETY: plain integers and pointers, for which zero is valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = vector;
    header.msg_iovlen = 1;
    if let Some(to) = message.to {
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len();
    }
    if let Some(rights) = message.rights {
        header.msg_control = rights.as_ptr().cast_mut().cast();
        header.msg_controllen = rights.len() as _;
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::errno::Errno;
    use crate::sys::{socket, stream};
    use socket2::Type;
    use std::os::fd::AsFd;

    fn outgoing(bytes: &[u8]) -> Outgoing<'_> {
        Outgoing { bytes: bytes.as_ptr(), len: bytes.len(), to: None, rights: None }
    }

    fn send_now(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<()> {
        // SAFETY: a live slice.
        unsafe { send(fd, &outgoing(bytes)) }
    }

    #[test]
    fn batches_keep_boundaries_and_order() {
        let [left, right] = socket::pair(Type::SEQPACKET).unwrap();
        let parts: [&[u8]; 4] = [b"one", b"", b"three", &[7; 100_000]];
        let batch: Vec<_> = parts.iter().map(|part| outgoing(part)).collect();
        // SAFETY: live slices.
        assert_eq!(unsafe { send_many(left.as_fd(), &batch) }, Ok(4));
        let mut receiver = Receiver::new().unwrap();
        assert_eq!(receiver.receive(right.as_fd(), RECEIVE_BATCH, false, true), Ok(4));
        for (index, part) in parts.iter().enumerate() {
            let message = receiver.message(index);
            assert!(message.bytes == *part && !message.truncated);
        }
        receiver.trim();
        assert_eq!(receiver.receive(right.as_fd(), RECEIVE_BATCH, false, true), Err(Errno::AGAIN));
    }

    #[test]
    fn one_message_is_received_alone_and_not_waited_for() {
        let [left, right] = socket::pair(Type::DGRAM).unwrap();
        // Whoever shares a socket can make it wait.
        socket2::SockRef::from(&right).set_nonblocking(false).unwrap();
        let mut receiver = Receiver::new().unwrap();
        assert_eq!(receiver.receive_one(right.as_fd(), true), Err(Errno::AGAIN));
        for part in [&[7; 1000][..], b""] {
            send_now(left.as_fd(), part).unwrap();
            assert_eq!(receiver.receive_one(right.as_fd(), true), Ok(1));
            let message = receiver.message(0);
            assert!(message.bytes == part && !message.truncated && !message.control_truncated);
            assert!(!message.is_end);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_of_a_large_message_is_given_back() {
        let [left, right] = socket::pair(Type::DGRAM).unwrap();
        // The kernel doubles it.
        socket2::SockRef::from(&left).set_send_buffer_size(200_000).unwrap();
        let mut receiver = Receiver::new().unwrap();
        let (start, len) = receiver.memory();
        assert_eq!((start, len), (receiver.region.slot(0), KEEP));
        send_now(left.as_fd(), &[7; KEEP + 40_000]).unwrap();
        receiver.receive_one(right.as_fd(), true).unwrap();
        let last = || {
            // SAFETY: within the slot.
            unsafe { start.add(KEEP + 30_000).read() }
        };
        assert_eq!(last(), 7);
        receiver.trim();
        assert_eq!(last(), 0);
    }

    #[test]
    fn descriptors_arrive_cloexec_and_are_dropped_unasked() {
        let [left, right] = socket::pair(Type::DGRAM).unwrap();
        let rights = Rights::new(&[left.as_raw_fd(), right.as_raw_fd()]).unwrap();
        let message = Outgoing { rights: Some(&rights), ..outgoing(b"") };
        let mut receiver = Receiver::new().unwrap();
        for asked in [true, false] {
            // SAFETY: live slices.
            unsafe { send(left.as_fd(), &message) }.unwrap();
            receiver.receive(right.as_fd(), 8, asked, true).unwrap();
            let got = receiver.message(0);
            assert_eq!(got.ancillary.fds.len(), if asked { 2 } else { 0 });
            assert!(!got.control_truncated);
            for fd in &got.ancillary.fds {
                // SAFETY: F_GETFD on a live descriptor.
                let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
                assert_eq!(flags, libc::FD_CLOEXEC);
            }
        }
    }

    #[test]
    fn descriptors_are_owned_once_whatever_comes_after() {
        let [left, right] = socket::pair(Type::DGRAM).unwrap();
        let rights = Rights::new(&[left.as_raw_fd()]).unwrap();
        // SAFETY: live slices.
        unsafe { send(left.as_fd(), &Outgoing { rights: Some(&rights), ..outgoing(b"x") }) }
            .unwrap();
        let mut receiver = Receiver::new().unwrap();
        receiver.receive(right.as_fd(), 8, true, true).unwrap();
        let taken = receiver.message(0).ancillary.fds;
        assert_eq!(receiver.receive(right.as_fd(), 8, true, true), Err(Errno::AGAIN));
        drop(receiver);
        // SAFETY: F_GETFD on any number is harmless.
        assert_ne!(unsafe { libc::fcntl(taken[0].as_raw_fd(), libc::F_GETFD) }, -1);
    }

    #[test]
    fn a_full_receiver_is_eagain_and_partial_batches_are_counted() {
        let [left, _right] = socket::pair(Type::DGRAM).unwrap();
        let bytes = [0; 8];
        let batch: Vec<_> = (0..SEND_BATCH).map(|_| outgoing(&bytes)).collect();
        let mut sent = 0;
        let end = loop {
            // SAFETY: live slices.
            match unsafe { send_many(left.as_fd(), &batch) } {
                Ok(count) => sent += count,
                Err(errno) => break errno,
            }
        };
        assert!(sent > 0 && end == Errno::AGAIN);
        assert_eq!(send_now(left.as_fd(), b"x"), Err(Errno::AGAIN));
    }

    /// Whether SIGPIPE waits for this thread, which has blocked it.
    fn is_signalled() -> bool {
        // SAFETY: a set of signals is plain data, which the calls fill.
        unsafe {
            let mut waiting = zeroed();
            assert_eq!(libc::sigpending(&mut waiting), 0);
            libc::sigismember(&waiting, libc::SIGPIPE) == 1
        }
    }

    #[test]
    fn sending_to_who_has_gone_raises_no_signal() {
        // SAFETY: as above; the mask is this thread's.
        unsafe {
            let mut pipe = zeroed();
            libc::sigemptyset(&mut pipe);
            libc::sigaddset(&mut pipe, libc::SIGPIPE);
            assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, ptr::null_mut()), 0);
        }
        let bytes = [7; 8];
        let rights = Rights::new(&[1]).unwrap();
        let with_rights = Outgoing { rights: Some(&rights), ..outgoing(&bytes) };
        let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: 8 };
        for kind in [Type::STREAM, Type::SEQPACKET] {
            let [left, _] = socket::pair(kind).unwrap();
            let fd = left.as_fd();
            // SAFETY: live slices.
            let sent = unsafe {
                [
                    send(fd, &outgoing(&bytes)).err(),
                    send(fd, &with_rights).err(),
                    send_many(fd, &[outgoing(&bytes)]).err(),
                    stream::send(fd, bytes.as_ptr(), 8).err(),
                    stream::send_parts(fd, &[part], Some(&rights)).err(),
                ]
            };
            assert!(sent.iter().all(Option::is_some), "{sent:?}");
            assert!(!is_signalled());
        }
    }
}
