//! Owns: sockets that send and receive: a handle, a receiver and a sender, and what joins them:
//! life, end, and what is waited for.
//!
//! A socket kind is a [`Kind`] here and nothing more. The rule of the engine: no `RefCell` borrow
//! is alive while JavaScript runs, and whatever was read before is read again afterwards.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use socket2::SockRef;

use crate::engine::env::Environment;
use crate::engine::handle::{Event, Handle, Kind, MAX_SEND_PAUSE, Source};
use crate::engine::receive::receiver::{Look, Receiver};
use crate::engine::send::message_queue::Offer;
use crate::engine::send::sender::Sender;
use crate::engine::send::stream_queue::StreamQueue;
use crate::engine::sockets::Socket;
use crate::node::uv::{DISCONNECT, READABLE, WRITABLE};
use crate::sys::errno::{Errno, Result};
use crate::sys::name::Name;
use crate::sys::owned;
use crate::sys::{mark, peer, socket};

/// What a socket is configured with.
#[derive(Clone, Copy)]
pub struct Options {
    /// Descriptors are received.
    pub fds: bool,
    /// The sender's credentials are received.
    pub credentials: bool,
    /// The sender's pidfd is received. Not of streams.
    pub pidfd: bool,
    /// So many descriptors may wait to be taken.
    pub max_pending: usize,
    /// SO_RCVBUF in bytes; None leaves it.
    pub receive_buffer: Option<usize>,
    /// SO_SNDBUF in bytes; None leaves it.
    pub send_buffer: Option<usize>,
}

impl Options {
    /// Control data is received.
    pub fn has_control(&self) -> bool {
        self.fds || self.credentials || self.pidfd
    }
}

/// One socket.
pub struct Endpoint {
    handle: Handle,
    /// What kind of socket it is.
    pub kind: Kind,
    /// What it receives, and how.
    pub receiver: Receiver,
    /// What it sends, and how.
    pub sender: Sender,
    /// Where connect() goes again: while the server's backlog is full, or to a peer's successor.
    peer_name: RefCell<Option<Rc<Name>>>,
}

impl Endpoint {
    /// A socket of a new descriptor: its number.
    fn open(env: &Rc<Environment>, loading: usize, kind: Kind, fd: OwnedFd) -> Result<i32> {
        prepare(fd.as_fd(), kind)?;
        Endpoint::enter_prepared(env, loading, kind, fd, None)
    }

    /// A socket of a connection whose messages are marked already, see [`prepare`]: its number.
    pub fn enter_prepared(
        env: &Rc<Environment>,
        loading: usize,
        kind: Kind,
        fd: OwnedFd,
        options: Option<Options>,
    ) -> Result<i32> {
        env.enter(
            loading,
            Socket::Endpoint,
            |handle| Endpoint::new(handle, kind),
            |endpoint| {
                endpoint.handle.install(fd);
                options.map_or(Ok(()), |options| endpoint.configure(options))
            },
        )
    }

    /// A new socket: its number.
    pub fn create(env: &Rc<Environment>, loading: usize, kind: Kind) -> Result<i32> {
        Endpoint::open(env, loading, kind, socket::create(kind.socket_type())?)
    }

    /// Two connected sockets.
    pub fn create_pair(env: &Rc<Environment>, loading: usize, kind: Kind) -> Result<[i32; 2]> {
        let [left, right] = socket::pair(kind.socket_type())?;
        let left = Endpoint::open(env, loading, kind, left)?;
        match Endpoint::open(env, loading, kind, right) {
            Ok(right) => Ok([left, right]),
            Err(errno) => env.close(left).and(Err(errno)),
        }
    }

    /// Takes over a descriptor that was opened elsewhere; EINVAL if it listens. On Err it is still
    /// the caller's.
    pub fn adopt(env: &Rc<Environment>, loading: usize, kind: Kind, fd: RawFd) -> Result<i32> {
        env.enter(
            loading,
            Socket::Endpoint,
            |handle| Endpoint::new(handle, kind),
            |endpoint| {
                endpoint.handle.adopt(fd, kind.socket_type(), |fd| {
                    // Elsewhere than on Linux nothing says it of one that has no peer.
                    let may_listen = kind.has_end() && cfg!(target_os = "linux");
                    if may_listen && socket::is_listening(fd) {
                        return Err(Errno::INVAL);
                    }
                    prepare(fd, kind)
                })
            },
        )
    }

    fn new(handle: Handle, kind: Kind) -> Endpoint {
        Endpoint {
            handle,
            kind,
            receiver: Receiver::new(kind),
            sender: Sender::new(kind),
            peer_name: RefCell::new(None),
        }
    }

    /// Applies options.
    pub fn configure(&self, options: Options) -> Result<()> {
        if self.kind == Kind::Seqpacket && options.has_control() {
            self.handle.with_fd(mark::mark_by_time)?;
            self.handle.with_fd(mark::stop_labels)?;
        }
        if options.credentials {
            self.handle.with_fd(socket::pass_credentials)?;
        }
        if options.pidfd {
            // Where the kernel is older, messages have none.
            self.handle.with_fd(|fd| peer::pass_pidfd(fd, true))?;
        }
        if options.receive_buffer.is_some() {
            self.buffer_size(true, options.receive_buffer)?;
        }
        if options.send_buffer.is_some() {
            self.buffer_size(false, options.send_buffer)?;
        }
        let Options { fds, credentials, pidfd, max_pending, .. } = options;
        self.receiver.configure(fds, credentials, pidfd, max_pending);
        Ok(())
    }

    /// Connects. What waits for the peer before still goes there. `None`: to the name of the last
    /// time, which still means what it meant then.
    pub fn connect(&self, name: Option<&[u8]>) -> Result<Vec<u32>> {
        let to = match name {
            Some(name) => Rc::new(self.handle.env.folders.resolve(name)?),
            None => self.peer_name.borrow().clone().ok_or(Errno::NOTCONN)?,
        };
        let connected = self.change_peer(|fd| socket::connect(fd, to.addr()));
        // What is connected for good needs no name; a datagram socket finds its peer's successor by
        // it.
        let is_kept = match connected {
            Ok(_) => self.kind == Kind::Datagram,
            Err(errno) => name.is_none() || errno == Errno::AGAIN,
        };
        *self.peer_name.borrow_mut() = is_kept.then_some(to);
        connected
    }

    /// Reports when libuv would what connect() has returned: that it failed in the loop's next
    /// phase, and a connection once the loop has polled. EINVAL of datagram sockets, which know
    /// at once.
    pub fn report_connect(&self, has_failed: bool) -> Result<()> {
        if !self.kind.has_end() {
            return Err(Errno::INVAL);
        }
        let Handle { env, id, .. } = &self.handle;
        if has_failed {
            env.report_soon(*id, Event::Connected)
        } else {
            env.report_polled(*id, Event::Connected)
        }
    }

    /// Dissolves a datagram connection. What waits for the peer still goes there.
    pub fn disconnect(&self) -> Result<Vec<u32>> {
        self.change_peer(socket::disconnect)
    }

    /// Returns the tickets of messages that have lost their way, because the old peer has no name.
    fn change_peer(&self, change: impl FnOnce(BorrowedFd<'_>) -> Result<()>) -> Result<Vec<u32>> {
        if !self.sender.is_waiting() {
            return self.handle.with_fd(change).map(|()| Vec::new());
        }
        let peer = || self.handle.with_fd(socket::peer_address).ok();
        let old = peer();
        self.handle.with_fd(change)?;
        let lost = self.sender.change_peer(&self.handle, old.as_ref(), peer().as_ref());
        // The peer has changed: an error here would lose the tickets.
        self.rearm_or_retry();
        Ok(lost)
    }

    /// Gives the descriptor up: it, and those that were received and not taken. EBUSY while
    /// something waits to be sent.
    pub fn detach(&self) -> Result<Vec<OwnedFd>> {
        if self.sender.is_waiting() {
            return Err(Errno::BUSY);
        }
        let mut fds = vec![self.handle.release()?];
        fds.extend(self.receiver.inbox().take_all());
        Ok(fds)
    }

    /// SO_RCVBUF or SO_SNDBUF; sets it first where `size` is given.
    pub fn buffer_size(&self, receive: bool, size: Option<usize>) -> Result<usize> {
        self.handle.with_fd(|fd| {
            let socket = SockRef::from(&fd);
            match (receive, size) {
                (true, Some(size)) => socket.set_recv_buffer_size(size)?,
                (false, Some(size)) => socket.set_send_buffer_size(size)?,
                _ => {}
            }
            let size = if receive { socket.recv_buffer_size() } else { socket.send_buffer_size() };
            Ok(size?)
        })
    }
}

/// What a descriptor needs before it is used: what says whether nothing is an empty message or the
/// end, see [`mark`].
pub fn prepare(fd: BorrowedFd<'_>, kind: Kind) -> Result<()> {
    if kind != Kind::Seqpacket || mark::mark_by_label(fd)? {
        Ok(())
    } else {
        mark::mark_by_time(fd)
    }
}

/// Receiving; see [`Receiver`].
impl Endpoint {
    /// Starts or stops taking messages.
    pub fn set_reading(&self, is_reading: bool) -> Result<()> {
        self.handle.with_fd(|_| Ok(()))?;
        self.receiver.set_reading(is_reading);
        self.rearm()
    }

    /// Of a new connection: takes what there is, before anything is armed.
    pub fn read_first(&self) {
        if self.receiver.is_reading() {
            self.receiver.pump(&self.handle, Look::First);
            self.defer();
        }
    }

    /// Takes what the kernel has now; see [`Receiver::receive_now`].
    pub fn receive_now(&self) -> bool {
        let done = self.receiver.receive_now(&self.handle);
        self.rearm_or_retry();
        done
    }

    /// Takes a stream's descriptors back. On Err they are the caller's.
    pub fn put_back_fds(&self, fds: &[RawFd]) -> Result<()> {
        if fds.iter().any(|fd| owned::is_owned(*fd)) {
            return Err(Errno::EXIST);
        }
        self.receiver.put_back_fds(socket::claim(fds)?).map_err(|(errno, owned)| {
            for fd in owned {
                let _ = fd.into_raw_fd();
            }
            errno
        })
    }
}

/// Sending; see [`Sender`].
impl Endpoint {
    /// The number of a destination.
    pub fn destination(&self, name: &[u8]) -> Result<usize> {
        self.sender.destination(self.handle.env.folders.resolve(name)?)
    }

    /// While corked, whatever is sent waits. Afterwards it goes, in order.
    pub fn set_corked(&self, is_corked: bool) -> Result<()> {
        self.handle.with_fd(|_| Ok(()))?;
        self.sender.set_corked(&self.handle, is_corked);
        self.rearm()
    }

    /// Sends a message now or later.
    pub fn send(&self, to: usize, offer: &Offer<'_>) -> Result<u32> {
        let ticket = self.sender.send(&self.handle, to, offer)?;
        if ticket != 0 {
            self.rearm_or_retry();
        }
        Ok(ticket)
    }

    /// Sends a stream's bytes, as `attempt` does.
    pub fn write(
        &self,
        attempt: impl FnOnce(&mut StreamQueue, BorrowedFd<'_>) -> Result<Option<Errno>>,
    ) -> Result<bool> {
        let waits = self.sender.write(&self.handle, attempt)?;
        if waits {
            self.rearm_or_retry();
        }
        Ok(waits)
    }

    /// Reports, once, when there is room to send to the peer, or the peer is gone.
    pub fn notify_writable(&self) -> Result<()> {
        self.handle.with_fd(|_| Ok(()))?;
        self.sender.notify_writable();
        self.rearm()
    }

    /// Sends no more, and says so in a later phase of the loop. With `shut_down` the peer sees the
    /// end once it has read what was sent; where it is gone that fails, and nobody waits for it.
    /// EINVAL of datagram sockets, which have no end.
    pub fn finish(&self, shut_down: bool) -> Result<()> {
        if !self.kind.has_end() {
            return Err(Errno::INVAL);
        }
        self.handle.env.report_soon(self.handle.id, Event::Finished)?;
        match shut_down.then(|| self.handle.with_fd(socket::shut_down_sending)) {
            None | Some(Err(Errno::NOTCONN)) => Ok(()),
            Some(done) => done,
        }
    }
}

/// What is waited for.
impl Endpoint {
    /// Leaves it to the end of the turn, if there is one.
    fn defer(&self) -> bool {
        self.handle.env.defer(&self.handle)
    }

    /// Arms what is waited for and disarms the rest, now or at the end of the turn.
    fn rearm(&self) -> Result<()> {
        if self.defer() { Ok(()) } else { self.arm() }
    }

    /// For what was accepted to be sent later: where it cannot be watched for room, time has to do.
    fn rearm_or_retry(&self) {
        if self.rearm().is_err() {
            self.handle.retry_later(MAX_SEND_PAUSE);
        }
    }

    fn arm(&self) -> Result<()> {
        let is_waiting = self.sender.is_waiting();
        if !is_waiting && !self.receiver.is_resting() {
            self.handle.stop_retrying();
        }
        let mask = self.receiver.wants() | self.sender.wants();
        self.handle.arm(mask, is_waiting && self.kind.has_end())
    }
}

impl Source for Endpoint {
    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn on_poll(&self, part: u32, event: Result<i32>) {
        if part != 0 {
            self.sender.on_helper(&self.handle, part as usize);
            self.defer();
            return;
        }
        let events = event.unwrap_or(READABLE | WRITABLE);
        if event.is_err()
            && let Ok(Some(errno)) = self.handle.with_fd(|fd| Ok(socket::take_error(fd)))
        {
            self.receiver.fail(errno);
        }
        if events & READABLE != 0 {
            let is_message = events & DISCONNECT == 0 && event.is_ok();
            self.receiver.pump(&self.handle, Look::Woken { is_message });
        }
        if events & WRITABLE != 0 {
            self.sender.on_writable(&self.handle);
        }
        self.defer();
    }

    fn on_retry(&self) {
        self.receiver.look_again(&self.handle);
        self.sender.advance(&self.handle);
        self.defer();
    }

    fn settle(&self) {
        let Err(errno) = self.arm() else { return };
        if self.sender.is_waiting() {
            self.handle.retry_later(MAX_SEND_PAUSE);
        }
        if self.receiver.is_reading() {
            self.handle.report(Event::Error, errno.to_js());
        }
    }

    fn close(&self) {
        self.receiver.close();
        // Helper sockets go before the descriptor they serve.
        self.sender.close();
        self.handle.close();
    }
}
