//! Owns: how room at a datagram destination is noticed: by a socket of its own that is connected to
//! it. An unconnected socket polls as writable while its destination is full.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use socket2::Type;

use crate::engine::handle::Handle;
use crate::node::polls::Poll;
use crate::node::uv::{Token, WRITABLE};
use crate::sys::errno::Result;
use crate::sys::socket;
use crate::sys::unix_addr::UnixAddr;

/// For how long after it was right a helper is believed to be connected to the right socket.
const TRUST: Duration = Duration::from_millis(50);

/// A helper socket. Field order matters: the poll goes before the descriptor.
pub struct HelperSocket {
    poll: Poll,
    socket: OwnedFd,
    /// When it last spoke, or was connected.
    confirmed: Cell<Instant>,
}

impl HelperSocket {
    /// A helper for messages to `to`, whose events are part `part` of the socket's. EMFILE,
    /// ECONNREFUSED …
    pub fn new(handle: &Handle, part: u32, to: &UnixAddr) -> Result<HelperSocket> {
        let socket = socket::create(Type::DGRAM)?;
        socket::connect(socket.as_fd(), to)?;
        let poll = handle.env.polls.watch(socket.as_raw_fd(), Token { id: handle.id, part })?;
        poll.set_ref(handle.keeps_loop_alive());
        Ok(HelperSocket { poll, socket, confirmed: Cell::new(Instant::now()) })
    }

    /// Connects it anew if another socket may have the name by now: with a dead one it is always
    /// writable, with a living one it speaks of that one's room.
    pub fn follow(&self, to: &UnixAddr, is_wrong: bool) -> Result<()> {
        if is_wrong || self.confirmed.get().elapsed() >= TRUST {
            socket::connect(self.socket.as_fd(), to)?;
            self.confirm();
        }
        Ok(())
    }

    /// It spoke.
    pub fn confirm(&self) {
        self.confirmed.set(Instant::now());
    }

    /// Waits for room.
    pub fn arm(&self) -> Result<()> {
        self.poll.arm(WRITABLE)
    }

    /// Waits no more.
    pub fn disarm(&self) {
        // Stopping a poll cannot fail.
        let _ = self.poll.arm(0);
    }

    /// Whether it waits.
    pub fn is_armed(&self) -> bool {
        self.poll.armed() != 0
    }

    /// Whether waiting keeps the event loop alive.
    pub fn set_ref(&self, keeps_alive: bool) {
        self.poll.set_ref(keeps_alive);
    }
}
