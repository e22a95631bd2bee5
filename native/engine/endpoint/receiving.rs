//! Owns: how an endpoint receives: the pump, and what one call to the kernel becomes for
//! JavaScript.
#![allow(unsafe_code)]

use super::Endpoint;
use crate::engine::batch::{Batch, Placement, call_for_items, flag};
use crate::engine::handle::{Callee, Event, Kind};
use crate::node::js::{Reference, Value};
use crate::node::view::Room;
use crate::sys::errno::{Errno, Result};
use crate::sys::message::RECEIVE_BATCH;
use crate::sys::stream;

/// Messages read in one wake-up at most, so that a flooding peer starves nobody.
const MESSAGE_BUDGET: usize = 128;
/// So many bytes count as one message more: a wake-up takes 2 MiB at most, as of a stream.
const BYTES_A_MESSAGE: usize = 16 << 10;
/// The same for chunks of a stream.
const CHUNK_BUDGET: usize = 32;
/// What is taken at once on demand: 4 MiB.
const RECEIVE_NOW: usize = 2 * MESSAGE_BUDGET;
/// Bytes of a stream asked for at once, as libuv does. Larger chunks (128, 256 KiB) are now much
/// faster and now much slower: sender and receiver then tend to wait for each other.
const CHUNK: usize = 64 << 10;
/// From so many bytes on, a stream's next bytes are expected to fill a chunk, and are received into
/// memory that JavaScript gets; fewer are copied out of memory that sockets share.
const BULK: usize = 16 << 10;

/// How one call to the kernel ended.
struct Taken {
    count: usize,
    /// What it takes of the wake-up's budget.
    cost: usize,
    /// The peer's end followed.
    ended: bool,
    /// The kernel may well have more.
    more: bool,
}

/// Where a stream's bytes are received.
enum Target {
    /// Memory that all sockets share.
    Shared,
    /// An ArrayBuffer, perhaps the spare one.
    Store { store: Value, spare: Option<Reference> },
    /// Memory of the user's.
    User,
}

impl Endpoint {
    /// Takes waiting messages, a batch at a time, and hands each batch to JavaScript.
    ///
    /// Two guesses save system calls where traffic is regular: whether to ask for more than one
    /// message, and whether to look again before going back to the event loop, because the answer
    /// to what JavaScript sends is often there when it returns. Both are tested now and then.
    pub(super) fn pump(&self) {
        self.pumping.set(true);
        self.take_what_waits();
        self.pumping.set(false);
    }

    fn take_what_waits(&self) {
        let mut guess = self.guess.get();
        let probing = guess.wakes_up();
        let limit = if guess.bursts || probing { RECEIVE_BATCH } else { 1 };
        let budget = if self.kind == Kind::Stream { CHUNK_BUDGET } else { MESSAGE_BUDGET };
        let (mut taken, mut largest, mut ended, mut missed) = (0, 0, false, false);
        while taken < budget && self.reading.get() && !ended {
            let received = match self.kind {
                Kind::Stream => self.receive_chunk(),
                Kind::Datagram | Kind::Seqpacket => self.receive_messages(limit),
            };
            if taken > 0 {
                guess.learn(received.is_ok());
            }
            let (count, cost, more) = match received {
                Ok(received) => {
                    ended = received.ended;
                    (received.count, received.cost, received.more)
                }
                Err(Errno::AGAIN | Errno::BADF) => {
                    missed = true;
                    break;
                }
                // The peer's last messages and its end are still to come.
                Err(errno) if self.kind.has_end() && self.failure.get().is_none() => {
                    self.failure.set(Some(errno));
                    continue;
                }
                Err(errno) => return self.core.tell(Event::Error, errno.to_js()),
            };
            taken += cost;
            largest = count.max(largest);
            // Nothing more waits, or hardly: the poll is level-triggered.
            let is_last = !more && !guess.looks_again() && !probing;
            if is_last && self.failure.get().is_none() {
                break;
            }
        }
        if limit > 1 {
            guess.bursts = largest > 1;
        }
        self.guess.set(guess);
        if ended || missed {
            self.tell_end(ended);
        }
    }

    /// The kernel has no more messages: what follows the last one is told.
    fn tell_end(&self, ended: bool) {
        if ended {
            self.reading.set(false);
        }
        if let Some(errno) = self.failure.take() {
            self.core.tell(Event::Error, errno.to_js());
        } else if ended {
            self.core.tell(Event::End, 0);
        }
    }

    /// A send showed that the connection is over. Told once what came before has been read.
    pub fn fail(&self, errno: Errno) -> Result<()> {
        if self.failure.get().is_none() {
            self.failure.set(Some(errno));
        }
        self.pump();
        self.rearm()
    }

    /// Takes what the kernel has now, as far as JavaScript reads, without a word about the end or
    /// an error. False inside of the pump.
    pub fn receive_now(&self) -> bool {
        if self.pumping.replace(true) {
            return false;
        }
        let mut left = RECEIVE_NOW;
        while left > 0 && self.reading.get() {
            let received = match self.kind {
                Kind::Stream => self.receive_chunk(),
                Kind::Datagram | Kind::Seqpacket => self.receive_messages(RECEIVE_BATCH),
            };
            match received {
                Ok(taken) if !taken.ended => left = left.saturating_sub(taken.cost),
                _ => break,
            }
        }
        self.pumping.set(false);
        true
    }

    /// One batch of messages.
    fn receive_messages(&self, limit: usize) -> Result<Taken> {
        let mut batch = self.core.env.take_batch()?;
        let (control, fds) = {
            let inbox = self.inbox.borrow();
            (inbox.wants_control(), inbox.fds)
        };
        // One message can bring 253 descriptors: let each be taken before the next comes.
        let limit = if fds { 1 } else { limit };
        // Only a batch says whether nothing is an empty message or the end.
        let is_single = limit == 1 && !control && !self.kind.has_end();
        let received = self.with_fd(|fd| match is_single {
            true => batch.receiver.receive_one(fd),
            false => batch.receiver.receive(fd, limit, control, !self.kind.has_end()),
        });
        match received {
            Ok(count) => Ok(self.deliver_messages(batch, count)),
            Err(errno) => {
                self.core.env.return_batch(batch);
                Err(errno)
            }
        }
    }

    fn deliver_messages(&self, mut batch: Batch, received: usize) -> Taken {
        let env = &self.core.env;
        let (mut count, mut bytes) = (received, 0);
        let (buffers, new_slabs) = {
            let mut slab = env.slab.borrow_mut();
            let mut placement = Placement::new(env.js, &mut slab);
            let mut inbox = self.inbox.borrow_mut();
            for index in 0..received {
                let message = batch.receiver.message(index);
                if self.kind.has_end() && message.is_end {
                    // The kernel repeats the end for as long as it is asked.
                    count = index;
                    break;
                }
                bytes += message.bytes.len();
                let place = placement.place(message.bytes);
                let (entry, name) = inbox.describe(message, place);
                batch.describe(index, &entry);
                if let Some(name) = name {
                    batch.set_name(index, &name);
                }
            }
            placement.finish()
        };
        batch.set_new_slabs(new_slabs);
        batch.receiver.trim();
        self.call_for(&batch, count, buffers);
        env.return_batch(batch);
        let cost = count + bytes / BYTES_A_MESSAGE;
        Taken { count, cost, ended: count < received, more: count == RECEIVE_BATCH }
    }

    /// Hands `count` items of a batch to JavaScript.
    fn call_for(&self, batch: &Batch, count: usize, buffers: Value) {
        if count > 0
            && let Some(Callee { context, hooks }) = self.core.callee()
        {
            let messages = hooks.messages.get();
            call_for_items(&context, messages, self.core.id, batch.words(), count, buffers);
        }
    }

    /// Some bytes of a stream.
    fn receive_chunk(&self) -> Result<Taken> {
        let env = &self.core.env;
        let mut batch = env.take_batch()?;
        let (target, start, len) = self.target(&mut batch)?;
        let control = self.inbox.borrow().wants_control();
        // SAFETY: memory chosen just now; no JavaScript runs before the call returns.
        let received = self.with_fd(|fd| unsafe { stream::receive(fd, start, len, control) });
        let chunk = match received {
            Ok(chunk) if chunk.len > 0 => chunk,
            nothing => {
                self.keep_spare(target);
                env.return_batch(batch);
                return nothing.map(|_| Taken { count: 0, cost: 0, ended: true, more: false });
            }
        };
        self.chunk.set(if chunk.len < BULK { 0 } else { CHUNK });
        let more = chunk.len == len || !chunk.beside.fds.is_empty();
        // SAFETY: the kernel wrote so many bytes there.
        let bytes = unsafe { std::slice::from_raw_parts(start, chunk.len) };
        let (buffers, new_slabs) = {
            let mut slab = env.slab.borrow_mut();
            let mut placement = Placement::new(env.js, &mut slab);
            let (place, flags) = match target {
                Target::User => (Some(Default::default()), flag::INTO),
                Target::Store { store, .. } if chunk.len >= len / 2 => {
                    (Some(placement.hand_over(store)), 0)
                }
                target => {
                    let place = placement.place(bytes);
                    self.keep_spare(target);
                    (place, 0)
                }
            };
            batch.describe(0, &self.inbox.borrow_mut().describe_chunk(chunk, place, flags));
            placement.finish()
        };
        batch.set_new_slabs(new_slabs);
        self.call_for(&batch, 1, buffers);
        env.return_batch(batch);
        Ok(Taken { count: 1, cost: 1, ended: false, more })
    }

    /// Where to receive a stream's next bytes: the place, its start and length.
    fn target(&self, batch: &mut Batch) -> Result<(Target, *mut u8, usize)> {
        let env = &self.core.env;
        if let Some(buffer) = &self.inbox.borrow().target {
            let room = env.js.as_memory(buffer.get()).filter(|room| room.len() > 0);
            let room = room.ok_or(Errno::FAULT)?;
            return Ok((Target::User, room.as_mut_ptr(), room.len()));
        }
        let len = self.chunk.get();
        if len > 0
            && let Some((store, room, spare)) = self.take_store(len)
        {
            return Ok((Target::Store { store, spare }, room.as_mut_ptr(), len));
        }
        let (start, len) = batch.receiver.room();
        Ok((Target::Shared, start, len.min(CHUNK)))
    }

    fn take_store(&self, len: usize) -> Option<(Value, Room, Option<Reference>)> {
        let env = &self.core.env;
        if let Some(spare) = env.spare.borrow_mut().take() {
            let store = spare.get();
            if let Some(room) = env.js.as_room(store).filter(|room| room.len() == len) {
                return Some((store, room, Some(spare)));
            }
        }
        env.js.uninit_array_buffer(len).map(|(store, room)| (store, room, None))
    }

    /// Keeps an ArrayBuffer that JavaScript has not seen for the next bytes.
    fn keep_spare(&self, target: Target) {
        if let Target::Store { store, spare } = target {
            let env = &self.core.env;
            *env.spare.borrow_mut() = spare.or_else(|| Reference::new(env.js, store));
        }
    }
}
