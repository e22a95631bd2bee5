//! Owns: a stream's bytes that wait to be sent, and the descriptors that travel with them.
//!
//! JavaScript's Writable keeps the queue; here is the one write that the kernel has not taken all
//! of. What goes into one `sendmsg(2)`: bytes that have descriptors alone, or what there is up to the
//! next such. The receiver gets descriptors with the bytes of their call, and takes all those for
//! one message: as other implementations of D-Bus do, too.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::engine::send::payload::Payload;
use crate::node::js::{Js, Value};
use crate::node::view::Bytes;
use crate::sys::ancillary::{MAX_FDS, Rights, duplicate};
use crate::sys::errno::{Errno, Result};
use crate::sys::stream::{self, MAX_PARTS};

/// Bytes given to the kernel in one call at most, so that a fast reader on the other processor does
/// not hold up the event loop.
const MAX_BYTES: usize = 1 << 20;

/// A Buffer that JavaScript offers.
#[derive(Clone, Copy)]
pub struct Piece {
    /// The Buffer.
    pub buffer: Value,
    /// Its bytes.
    pub bytes: Bytes,
}

/// How an attempt to send what waits ended.
pub enum Flowed {
    /// All of the write went.
    Done,
    /// More waits, and may be sent at once.
    More,
    /// More waits for room.
    Blocked(Errno),
    /// It cannot be sent.
    Failed(Errno),
}

/// A piece of the write, or what is left of it.
struct Part {
    payload: Payload,
    sent: usize,
    /// Go with its next byte; more than [`MAX_FDS`] with its next bytes, one each.
    fds: VecDeque<OwnedFd>,
}

impl Part {
    /// What is left; stale as soon as JavaScript runs again.
    fn rest(&self, js: Js) -> Result<libc::iovec> {
        let (start, len) = self.payload.bytes(js)?;
        let start = start.wrapping_add(self.sent).cast_mut().cast();
        Ok(libc::iovec { iov_base: start, iov_len: len - self.sent })
    }
}

/// The write in progress, and descriptors that wait for their bytes.
#[derive(Default)]
pub struct Flow {
    parts: VecDeque<Part>,
    /// First in, first out.
    queued_fds: VecDeque<OwnedFd>,
}

impl Flow {
    /// Something waits for room.
    pub fn is_waiting(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.payload.len() - part.sent).sum()
    }

    /// Queues duplicates of descriptors whose bytes come later: the caller may close its own. EBADF,
    /// EMFILE: nothing is kept.
    pub fn queue_fds(&mut self, fds: &[RawFd]) -> Result<()> {
        self.queued_fds.extend(duplicate(fds)?);
        Ok(())
    }

    /// Closes what is queued.
    pub fn drop_queued_fds(&mut self) {
        self.queued_fds.clear();
    }

    /// Sends one piece, with up to [`MAX_FDS`] descriptors, as far as the kernel takes it. None if
    /// that is all of it; otherwise the rest waits, for the reason given. On Err nothing waits.
    pub fn send(
        &mut self,
        js: Js,
        fd: BorrowedFd<'_>,
        piece: Piece,
        fds: &[RawFd],
    ) -> Result<Option<Errno>> {
        let Piece { buffer, bytes } = piece;
        let sent = if fds.is_empty() {
            // SAFETY: Bytes are readable until JavaScript runs again, which it does not here.
            unsafe { stream::send(fd, bytes.as_ptr(), bytes.len()) }
        } else {
            let part =
                libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            // SAFETY: as above.
            Rights::new(fds)
                .and_then(|rights| unsafe { stream::send_parts(fd, &[part], Some(&rights)) })
        };
        match sent {
            Ok(sent) if sent == bytes.len() => Ok(None),
            Ok(sent) => {
                let rest = bytes.part(sent, bytes.len() - sent).ok_or(Errno::FAULT)?;
                self.wait(js, Piece { buffer, bytes: rest }, sent, VecDeque::new())?;
                Ok(Some(Errno::AGAIN))
            }
            Err(errno) if errno.means_later() => {
                self.wait(js, piece, 0, duplicate(fds)?.into())?;
                Ok(Some(errno))
            }
            Err(errno) => Err(errno),
        }
    }

    /// Sends bytes that are in no Buffer; as above.
    pub fn send_copy(&mut self, fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<Option<Errno>> {
        // SAFETY: a live slice.
        let (sent, errno) = match unsafe { stream::send(fd, bytes.as_ptr(), bytes.len()) } {
            Ok(sent) if sent == bytes.len() => return Ok(None),
            Ok(sent) => (sent, Errno::AGAIN),
            Err(errno) if errno.means_later() => (0, errno),
            Err(errno) => return Err(errno),
        };
        let payload = Payload::copy(&bytes[sent..]);
        self.parts.push_back(Part { payload, sent: 0, fds: VecDeque::new() });
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
        pieces: &[Piece],
        counts: &[usize],
    ) -> Result<Option<Errno>> {
        let (mut sent, mut blocked) = (0, None);
        if counts.iter().all(|count| *count == 0) {
            // Most often all of it goes at once, and nothing need be kept.
            let parts: Vec<_> = pieces
                .iter()
                .map(|Piece { bytes, .. }| libc::iovec {
                    iov_base: bytes.as_ptr().cast_mut().cast(),
                    iov_len: bytes.len(),
                })
                .collect();
            // SAFETY: Bytes are readable until JavaScript runs again, which it does not here.
            match unsafe { stream::send_parts(fd, &parts, None) } {
                Ok(some) => sent = some,
                Err(errno) if errno.means_later() => blocked = Some(errno),
                Err(errno) => return Err(errno),
            }
        }
        for (index, Piece { buffer, bytes }) in pieces.iter().enumerate() {
            let gone = sent.min(bytes.len());
            sent -= gone;
            let count = counts.get(index).copied().unwrap_or(0).min(self.queued_fds.len());
            let fds = self.queued_fds.drain(..count).collect();
            if gone < bytes.len() {
                let rest = bytes.part(gone, bytes.len() - gone).ok_or(Errno::FAULT)?;
                let piece = Piece { buffer: *buffer, bytes: rest };
                if let Err(errno) = self.wait(js, piece, gone, fds) {
                    self.parts.clear();
                    return Err(errno);
                }
            }
        }
        if blocked.is_some() {
            return Ok(blocked);
        }
        match self.step_on(js, fd) {
            Flowed::Done => Ok(None),
            Flowed::Failed(errno) => Err(errno),
            Flowed::Blocked(errno) => Ok(Some(errno)),
            Flowed::More => Ok(Some(Errno::AGAIN)),
        }
    }

    /// Sends what waits, as far as the kernel takes it.
    pub fn step_on(&mut self, js: Js, fd: BorrowedFd<'_>) -> Flowed {
        let mut budget = MAX_BYTES;
        while !self.parts.is_empty() {
            match self.send_front(js, fd, budget) {
                Ok(0) => return Flowed::More,
                Ok(sent) => budget -= sent,
                Err(errno) if errno.means_later() => return Flowed::Blocked(errno),
                Err(errno) => {
                    self.parts.clear();
                    return Flowed::Failed(errno);
                }
            }
        }
        Flowed::Done
    }

    fn wait(&mut self, js: Js, piece: Piece, offset: usize, fds: VecDeque<OwnedFd>) -> Result<()> {
        let payload = Payload::keep(js, piece.buffer, offset, piece.bytes)?;
        self.parts.push_back(Part { payload, sent: 0, fds });
        Ok(())
    }

    /// One call: how many bytes went. 0 only for want of budget.
    fn send_front(&mut self, js: Js, fd: BorrowedFd<'_>, budget: usize) -> Result<usize> {
        let Some(front) = self.parts.front() else { return Ok(0) };
        let (mut parts, mut total) = (Vec::with_capacity(self.parts.len().min(MAX_PARTS)), 0);
        // The next descriptors need a byte of their own.
        let budget = if front.fds.len() > MAX_FDS { budget.min(1) } else { budget };
        let raw: Vec<RawFd> = front.fds.iter().take(MAX_FDS).map(AsRawFd::as_raw_fd).collect();
        for (index, part) in self.parts.iter().enumerate() {
            let is_barrier = index > 0 && !(raw.is_empty() && part.fds.is_empty());
            if is_barrier || total == budget || parts.len() == MAX_PARTS {
                break;
            }
            let mut rest = match part.rest(js) {
                Ok(rest) => rest,
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
        let rights = if raw.is_empty() { None } else { Some(Rights::new(&raw)?) };
        // SAFETY: copies live in `self.parts`; Buffers were asked for their memory just now, and no
        // JavaScript ran since.
        let sent = unsafe { stream::send_parts(fd, &parts, rights.as_ref()) }?;
        self.parts[0].fds.drain(..raw.len());
        let mut left = sent;
        for part in parts {
            let gone = part.iov_len.min(left);
            left -= gone;
            let Some(front) = self.parts.front_mut() else { break };
            front.sent += gone;
            // All of the part, not only of what the budget allowed.
            let is_done = front.payload.len() == front.sent;
            if !is_done {
                break;
            }
            self.parts.pop_front();
        }
        Ok(sent)
    }
}
