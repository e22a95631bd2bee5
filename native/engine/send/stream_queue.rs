//! Owns: a stream's bytes that wait to be sent, and the descriptors that travel with them.
//!
//! JavaScript's Writable keeps the queue; here is the one write that the kernel has not taken all
//! of. What goes into one `sendmsg(2)`: bytes that have descriptors alone, or what there is up to
//! the next such. The receiver gets descriptors with the bytes of their call, and takes all those
//! for one message: as other implementations of D-Bus do, too.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::engine::send::payload::Payload;
use crate::node::js::{Js, Value};
use crate::node::view::JsBytes;
use crate::sys::ancillary::{MAX_FDS, Rights, duplicate};
use crate::sys::errno::{Errno, Result};
use crate::sys::stream::{self, MAX_PARTS};

/// Bytes given to the kernel in one call at most, so that a fast reader on the other processor does
/// not hold up the event loop.
const MAX_BYTES: usize = 1 << 20;

/// A Buffer that JavaScript offers.
#[derive(Clone, Copy)]
pub struct Piece<'a> {
    /// The Buffer.
    pub buffer: Value,
    /// Its bytes.
    pub bytes: JsBytes<'a>,
}

/// How an attempt to send what waits ended.
pub enum Progress {
    /// All of the write went.
    Done,
    /// More waits, and may be sent at once.
    More,
    /// More waits for room.
    Blocked {
        /// Why.
        errno: Errno,
        /// Some of it went.
        moved: bool,
    },
    /// It cannot be sent.
    Failed(Errno),
}

/// A piece of the write, or what is left of it.
struct Chunk {
    payload: Payload,
    sent: usize,
    /// So many of the queue's descriptors go with its next byte; more than [`MAX_FDS`] with its
    /// next bytes.
    fds: usize,
}

impl Chunk {
    /// What is left.
    ///
    /// # Safety
    /// As for [`Payload::bytes`].
    unsafe fn rest(&self, js: Js) -> Result<JsBytes<'_>> {
        // SAFETY: as this function demands.
        unsafe { self.payload.bytes(js) }.map(|bytes| bytes.skip(self.sent))
    }

    fn left(&self) -> usize {
        self.payload.len() - self.sent
    }
}

/// The write in progress, and the descriptors that go with it and with later ones.
#[derive(Default)]
pub struct StreamQueue {
    chunks: VecDeque<Chunk>,
    /// First in, first out. The first are those of the chunks.
    fds: VecDeque<OwnedFd>,
}

impl StreamQueue {
    /// Something waits for room.
    pub fn is_waiting(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Chunk::left).sum()
    }

    /// Queues duplicates of descriptors whose bytes come later: the caller may close its own.
    /// EBADF, EMFILE: nothing is kept.
    pub fn queue_fds(&mut self, fds: &[RawFd]) -> Result<()> {
        self.fds.extend(duplicate(fds)?);
        Ok(())
    }

    /// Closes the queued descriptors of which no bytes wait.
    pub fn drop_queued_fds(&mut self) {
        self.fds.truncate(self.fds_of_chunks());
    }

    /// Sends one piece, with up to [`MAX_FDS`] descriptors, as far as the kernel takes it. None if
    /// that is all of it; otherwise the rest waits, for the reason given. On Err nothing waits.
    pub fn send(
        &mut self,
        js: Js,
        fd: BorrowedFd<'_>,
        piece: Piece<'_>,
        fds: &[RawFd],
    ) -> Result<Option<Errno>> {
        let Piece { buffer, bytes } = piece;
        let sent = if fds.is_empty() {
            // SAFETY: as many bytes, borrowed beyond the call.
            unsafe { stream::send(fd, bytes.as_ptr(), bytes.len()) }
        } else {
            let rights = Rights::new(fds)?;
            // SAFETY: as above.
            unsafe { stream::send_parts(fd, &[bytes.vector()], Some(&rights)) }
        };
        let Some((sent, errno)) = left_of(bytes.len(), sent)? else { return Ok(None) };
        let left = if sent == 0 { duplicate(fds)? } else { Vec::new() };
        self.wait(js, buffer, bytes, sent, left.len());
        // In front of those that were queued for later bytes.
        left.into_iter().rev().for_each(|fd| self.fds.push_front(fd));
        Ok(Some(errno))
    }

    /// Sends bytes that are in no Buffer; as above.
    pub fn send_copy(&mut self, fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<Option<Errno>> {
        // SAFETY: a live slice.
        let sent = unsafe { stream::send(fd, bytes.as_ptr(), bytes.len()) };
        let Some((sent, errno)) = left_of(bytes.len(), sent)? else { return Ok(None) };
        let payload = Payload::Copied(bytes[sent..].to_vec());
        self.chunks.push_back(Chunk { payload, sent: 0, fds: 0 });
        Ok(Some(errno))
    }

    /// Sends several pieces, `counts[i]` of the queued descriptors with piece `i`. None if all of
    /// them went; otherwise the rest waits.
    ///
    /// On Err nothing waits.
    pub fn send_many(
        &mut self,
        js: Js,
        fd: BorrowedFd<'_>,
        pieces: &[Piece<'_>],
        counts: &[usize],
    ) -> Result<Option<Errno>> {
        let (mut sent, mut blocked) = (0, None);
        if counts.iter().all(|count| *count == 0) {
            // Most often all of it goes at once, and nothing need be kept.
            let parts: Vec<_> = pieces.iter().map(|piece| piece.bytes.vector()).collect();
            // SAFETY: as many bytes, borrowed beyond the call.
            match unsafe { stream::send_parts(fd, &parts, None) } {
                Ok(some) => sent = some,
                Err(errno) if errno.means_later() => blocked = Some(errno),
                Err(errno) => return Err(errno),
            }
        }
        let mut free = self.fds.len();
        for (index, Piece { buffer, bytes }) in pieces.iter().enumerate() {
            let gone = sent.min(bytes.len());
            sent -= gone;
            if gone == bytes.len() {
                continue;
            }
            let fds = counts.get(index).map_or(0, |count| free.min(*count));
            free -= fds;
            self.wait(js, *buffer, *bytes, gone, fds);
        }
        if blocked.is_some() {
            return Ok(blocked);
        }
        match self.advance(js, fd) {
            Progress::Done => Ok(None),
            Progress::Failed(errno) => Err(errno),
            Progress::Blocked { errno, .. } => Ok(Some(errno)),
            Progress::More => Ok(Some(Errno::AGAIN)),
        }
    }

    /// Sends what waits, as far as the kernel takes it.
    pub fn advance(&mut self, js: Js, fd: BorrowedFd<'_>) -> Progress {
        let mut budget = MAX_BYTES;
        while !self.chunks.is_empty() {
            match self.send_front(js, fd, budget) {
                Ok(0) => return Progress::More,
                Ok(sent) => budget -= sent,
                Err(errno) if errno.means_later() => {
                    return Progress::Blocked { errno, moved: budget < MAX_BYTES };
                }
                Err(errno) => {
                    self.abandon();
                    return Progress::Failed(errno);
                }
            }
        }
        Progress::Done
    }

    /// Drops the write, with its descriptors.
    fn abandon(&mut self) {
        self.fds.drain(..self.fds_of_chunks());
        self.chunks.clear();
    }

    fn fds_of_chunks(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.fds).sum()
    }

    /// Keeps what follows the first `sent` bytes.
    fn wait(&mut self, js: Js, buffer: Value, bytes: JsBytes<'_>, sent: usize, fds: usize) {
        let payload = Payload::keep(js, buffer, sent, bytes.skip(sent));
        self.chunks.push_back(Chunk { payload, sent: 0, fds });
    }

    /// One call: how many bytes went. 0 only for want of budget.
    fn send_front(&mut self, js: Js, fd: BorrowedFd<'_>, budget: usize) -> Result<usize> {
        let Some(front) = self.chunks.front() else { return Ok(0) };
        let (mut parts, mut total) = (Vec::with_capacity(self.chunks.len().min(MAX_PARTS)), 0);
        // The next descriptors need a byte of their own.
        let budget = if front.fds > MAX_FDS { budget.min(1) } else { budget };
        let going = front.fds.min(MAX_FDS);
        for (index, chunk) in self.chunks.iter().enumerate() {
            let is_barrier = index > 0 && (going > 0 || chunk.fds > 0);
            if is_barrier || total == budget || parts.len() == MAX_PARTS {
                break;
            }
            // SAFETY: no JavaScript runs before they are sent.
            let mut rest = match unsafe { chunk.rest(js) } {
                Ok(rest) => rest.vector(),
                Err(errno) if index == 0 => return Err(errno),
                Err(_) => break,
            };
            rest.iov_len = rest.iov_len.min(budget - total);
            total += rest.iov_len;
            parts.push(rest);
        }
        if total == 0 {
            return Ok(0);
        }
        let raw: Vec<RawFd> = self.fds.iter().take(going).map(AsRawFd::as_raw_fd).collect();
        let rights = if raw.is_empty() { None } else { Some(Rights::new(&raw)?) };
        // SAFETY: bytes of `self.chunks`, which is borrowed beyond the call.
        let sent = unsafe { stream::send_parts(fd, &parts, rights.as_ref()) }?;
        self.fds.drain(..going);
        self.chunks[0].fds -= going;
        let mut left = sent;
        while let Some(front) = self.chunks.front_mut() {
            let gone = front.left().min(left);
            left -= gone;
            front.sent += gone;
            if front.left() > 0 {
                break;
            }
            self.chunks.pop_front();
        }
        Ok(sent)
    }
}

/// How much of `len` bytes went, and why the rest has to wait; None if nothing has to.
fn left_of(len: usize, sent: Result<usize>) -> Result<Option<(usize, Errno)>> {
    match sent {
        Ok(sent) if sent == len => Ok(None),
        Ok(sent) => Ok(Some((sent, Errno::AGAIN))),
        Err(errno) if errno.means_later() => Ok(Some((0, errno))),
        Err(errno) => Err(errno),
    }
}
