//! Owns: randomized tests of what messages and a connection's bytes carry over real sockets, with
//! names, descriptors and credentials.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;

use socket2::Type;

use crate::sys::ancillary::{Credentials, MAX_FDS, Rights};
use crate::sys::errno::Errno;
use crate::sys::mark;
use crate::sys::message::{self, Outgoing, RECEIVE_BATCH, Receiver};
use crate::sys::peer;
use crate::sys::socket;
use crate::sys::socket_file;
use crate::sys::stream;
use crate::sys::unix_addr::{PATH_CAPACITY, UnixAddr};
use crate::testing::random::{Random, rounds};

/// Bytes under way at once: what the smallest send buffer takes.
const MOST_BYTES: usize = 100_000;

/// What is sent as descriptors: write ends, whose read ends show when the last copy is closed.
struct Pipes {
    ends: Vec<(PipeReader, PipeWriter)>,
    /// How many the next message gets at most.
    most: Cell<usize>,
}

impl Pipes {
    fn any(random: &mut Random) -> Pipes {
        let ends = (0..3).map(|_| std::io::pipe().unwrap()).collect();
        // The process has no room for many messages of that kind.
        Pipes { ends, most: Cell::new(random.choose(&[3, 3, 3, MAX_FDS])) }
    }

    /// Up to three of them; for the first who asks, it may be as many as a message takes.
    fn some(&self, random: &mut Random) -> Vec<RawFd> {
        let count = random.below(self.most.replace(3) + 1);
        (0..count).map(|_| self.ends[random.below(self.ends.len())].1.as_raw_fd()).collect()
    }

    /// Every copy that was sent is closed, once ours are.
    fn assert_closed(self) {
        for (reader, writer) in self.ends {
            drop(writer);
            let mut wanted = libc::pollfd { fd: reader.as_raw_fd(), events: 0, revents: 0 };
            // SAFETY: one pollfd.
            assert_eq!(unsafe { libc::poll(&mut wanted, 1, 0) }, 1, "a descriptor was left open");
            assert_eq!(wanted.revents, libc::POLLHUP);
        }
    }
}

/// What distinguishes files.
fn identity(fd: BorrowedFd<'_>) -> u64 {
    File::from(fd.try_clone_to_owned().unwrap()).metadata().unwrap().ino()
}

fn identities(fds: &[OwnedFd]) -> Vec<u64> {
    fds.iter().map(|fd| identity(fd.as_fd())).collect()
}

fn identities_of_raw(fds: &[RawFd]) -> Vec<u64> {
    // SAFETY: ends of pipes that are open.
    fds.iter().map(|fd| identity(unsafe { BorrowedFd::borrow_raw(*fd) })).collect()
}

/// What the kernel says of this process's messages.
fn ourselves() -> Credentials {
    // SAFETY: plain calls.
    unsafe { Credentials { pid: libc::getpid(), uid: libc::getuid(), gid: libc::getgid() } }
}

/// Few bytes as a rule, now and then as many as there is room for.
fn some_bytes(random: &mut Random, room: usize) -> Vec<u8> {
    match random.below(20) {
        0 => vec![random.below(256) as u8; random.below(room + 1)],
        1 => Vec::new(),
        _ => {
            let len = random.below(room.min(300) + 1);
            random.bytes(len)
        }
    }
}

/// An abstract name of any length that nobody else has.
fn name(random: &mut Random, number: &mut u32) -> UnixAddr {
    *number += 1;
    let own = format!("\0afunix {} {number} ", std::process::id()).into_bytes();
    let len = random.below(PATH_CAPACITY - own.len() + 1);
    UnixAddr::new(&[own, random.bytes(len)].concat()).unwrap()
}

/// One message as it was sent.
struct Sent {
    bytes: Vec<u8>,
    fds: Vec<RawFd>,
    rights: Option<Rights>,
}

impl Sent {
    fn any(random: &mut Random, pipes: &Pipes, room: usize) -> Sent {
        let fds = pipes.some(random);
        let claimed = random.choose(&[None, Some(ourselves())]);
        let is_plain = fds.is_empty() && claimed.is_none();
        let rights = (!is_plain).then(|| Rights::with_credentials(&fds, claimed).unwrap());
        Sent { bytes: some_bytes(random, room), fds, rights }
    }

    fn outgoing<'a>(&'a self, to: Option<&'a UnixAddr>) -> Outgoing<'a> {
        let rights = self.rights.as_ref();
        Outgoing { bytes: self.bytes.as_ptr(), len: self.bytes.len(), to, rights }
    }
}

/// A way from one socket to another: a pair, or two with names.
struct Way {
    from: OwnedFd,
    to: OwnedFd,
    names: Option<(UnixAddr, UnixAddr)>,
}

impl Way {
    fn any(random: &mut Random, number: &mut u32) -> Way {
        if random.below(2) == 0 {
            let kind = random.choose(&[Type::DGRAM, Type::SEQPACKET]);
            let [from, to] = socket::pair(kind).unwrap();
            return Way { from, to, names: None };
        }
        let mut bound = || {
            let (socket, name) = (socket::create(Type::DGRAM).unwrap(), name(random, number));
            socket_file::bind(socket.as_fd(), &name, None).unwrap();
            assert_eq!(socket::local_address(socket.as_fd()).unwrap(), name);
            (socket, name)
        };
        let ((from, sender), (to, receiver)) = (bound(), bound());
        Way { from, to, names: Some((sender, receiver)) }
    }
}

#[test]
fn messages_arrive_whole_with_all_that_comes_with_them() {
    let mut number = 0;
    // One for all: what an earlier batch left in it must not show.
    let mut receiver = Receiver::new().unwrap();
    rounds(|random| {
        let pipes = Pipes::any(random);
        let way = Way::any(random, &mut number);
        let (is_stamped, has_credentials) = (random.below(2) == 0, random.below(2) == 0);
        if is_stamped {
            mark::mark_by_time(way.to.as_fd()).unwrap();
        }
        if has_credentials {
            socket::pass_credentials(way.to.as_fd()).unwrap();
        }
        let has_pidfd = random.below(4) == 0 && peer::pass_pidfd(way.to.as_fd(), true).unwrap();
        let (mut sent, mut room) = (VecDeque::new(), MOST_BYTES);
        for _ in 0..random.below(9) {
            let message = Sent::any(random, &pipes, room);
            room -= message.bytes.len();
            sent.push_back(message);
        }
        let to = way.names.as_ref().map(|(_, to)| to);
        let outgoing: Vec<_> = sent.iter().map(|message| message.outgoing(to)).collect();
        if random.below(2) == 0 && !outgoing.is_empty() {
            // SAFETY: the bytes are alive in `sent`.
            let count = unsafe { message::send_many(way.from.as_fd(), &outgoing) };
            assert_eq!(count, Ok(outgoing.len()));
        } else {
            for message in &outgoing {
                // SAFETY: as above.
                unsafe { message::send(way.from.as_fd(), message) }.unwrap();
            }
        }
        drop(outgoing);

        // Now and then some are left in the socket.
        let wanted = if random.below(4) == 0 { random.below(sent.len() + 1) } else { sent.len() };
        let mut taken = 0;
        while taken < wanted {
            let (is_single, asked) = (random.below(3) == 0, random.below(3) > 0);
            let named = random.below(2) == 0;
            let limit = 1 + random.below(RECEIVE_BATCH);
            let count = if is_single {
                receiver.receive_one(way.to.as_fd(), named)
            } else {
                receiver.receive(way.to.as_fd(), limit, asked, named)
            }
            .unwrap();
            let asked = asked && !is_single;
            assert!((1..=limit).contains(&count));
            for index in 0..count {
                let message = receiver.message(index);
                let Sent { bytes, fds, .. } = sent.pop_front().unwrap();
                assert!(message.bytes == bytes && !message.truncated);
                assert!(!message.control_truncated);
                assert!(!(message.is_end && (is_single || is_stamped)));
                let sender = way.names.as_ref().map(|(from, _)| from).filter(|_| named);
                assert_eq!(message.from, sender.unwrap_or(&UnixAddr::unnamed()));
                let ancillary = message.ancillary;
                let fds = if asked { identities_of_raw(&fds) } else { Vec::new() };
                assert_eq!(identities(&ancillary.fds), fds);
                let credentials = (asked && has_credentials).then(ourselves);
                assert_eq!(ancillary.credentials, credentials);
                assert!(!(asked && is_stamped) || ancillary.is_marked);
                assert_eq!(ancillary.pidfd.is_some(), asked && has_pidfd);
            }
            receiver.trim();
            taken += count;
        }
        if sent.is_empty() {
            let more = receiver.receive(way.to.as_fd(), 1, true, true);
            assert_eq!(more, Err(Errno::AGAIN));
        }
        drop(way);
        pipes.assert_closed();
    });
}

#[test]
fn descriptors_of_messages_that_nobody_looked_at_are_closed() {
    rounds(|random| {
        // Each makes address space of its own.
        if random.below(20) > 0 {
            return;
        }
        let pipes = Pipes::any(random);
        let [from, to] = socket::pair(Type::SEQPACKET).unwrap();
        let sent: Vec<_> = (0..5).map(|_| Sent::any(random, &pipes, 300)).collect();
        for message in &sent {
            // SAFETY: the bytes are alive in `sent`.
            unsafe { message::send(from.as_fd(), &message.outgoing(None)) }.unwrap();
        }
        let mut receiver = Receiver::new().unwrap();
        receiver.receive(to.as_fd(), 5, true, true).unwrap();
        for index in (0..5).filter(|_| random.below(2) == 0) {
            drop(receiver.message(index));
        }
        drop(receiver);
        pipes.assert_closed();
    });
}

#[test]
fn bytes_of_a_connection_arrive_in_order_with_their_descriptors() {
    let mut room = vec![0; MOST_BYTES];
    rounds(|random| {
        let pipes = Pipes::any(random);
        let [from, to] = socket::pair(Type::STREAM).unwrap();
        let (asked, has_credentials) = (random.below(4) > 0, random.below(2) == 0);
        if has_credentials {
            socket::pass_credentials(to.as_fd()).unwrap();
        }
        let has_pidfd = random.below(4) == 0 && peer::pass_pidfd(to.as_fd(), true).unwrap();
        let (mut bytes, mut fds) = (Vec::new(), Vec::new());
        for _ in 0..random.below(6) {
            let mut sent = Sent::any(random, &pipes, (MOST_BYTES - bytes.len()) / 2);
            // Nothing carries descriptors but bytes.
            sent.bytes.push(1);
            if sent.fds.is_empty() && random.below(2) == 0 {
                let (start, len) = (sent.bytes.as_ptr(), sent.bytes.len());
                // SAFETY: bytes that are alive.
                assert_eq!(unsafe { stream::send(from.as_fd(), start, len) }, Ok(len));
            } else {
                let size = 1 + random.below(sent.bytes.len()).max(sent.bytes.len() / 40);
                let part = |part: &[u8]| libc::iovec {
                    iov_base: part.as_ptr().cast_mut().cast(),
                    iov_len: part.len(),
                };
                let parts: Vec<_> = sent.bytes.chunks(size).map(part).collect();
                // SAFETY: as above.
                let count =
                    unsafe { stream::send_parts(from.as_fd(), &parts, sent.rights.as_ref()) };
                assert_eq!(count, Ok(sent.bytes.len()));
                fds.extend(identities_of_raw(&sent.fds));
            }
            bytes.extend(sent.bytes);
        }
        drop(from);

        let (mut got, mut received) = (Vec::new(), Vec::new());
        loop {
            let few = 1 + random.below(200);
            let len = random.choose(&[few, room.len()]);
            // SAFETY: `len` bytes at most as many as `room` has.
            let chunk =
                unsafe { stream::receive(to.as_fd(), room.as_mut_ptr(), len, asked) }.unwrap();
            assert!(chunk.len <= len && !chunk.control_truncated);
            if chunk.len == 0 {
                break;
            }
            let credentials = (asked && has_credentials).then(ourselves);
            assert_eq!(chunk.ancillary.credentials, credentials);
            assert_eq!(chunk.ancillary.pidfd.is_some(), asked && has_pidfd);
            got.extend_from_slice(&room[..chunk.len]);
            received.extend(identities(&chunk.ancillary.fds));
        }
        assert!(got == bytes, "{} bytes instead of {}", got.len(), bytes.len());
        assert_eq!(received, if asked { fds } else { Vec::new() });
        pipes.assert_closed();
    });
}
