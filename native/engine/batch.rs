//! Owns: how a batch crosses to JavaScript: the shared number arrays that describe it and the
//! slabs that hold its bytes.
//!
//! lib/native/sockets.js reads these layouts by the constants of [`LAYOUT`].
#![allow(unsafe_code)]

use std::ffi::CStr;

use crate::node::js::{AsyncContext, Js, Reference, Value, Words};
use crate::node::view::JsBytes;
use crate::sys::ancillary::Credentials;
use crate::sys::errno::{Errno, Result};
use crate::sys::message::{RECEIVE_BATCH, Receiver};
use crate::sys::unix_addr::{PATH_CAPACITY, UnixAddr};

/// Word 0 of every shared array: the item JavaScript has got to. It starts there.
const CURSOR: usize = 0;
/// Word 1: how many items there are.
const COUNT: usize = 1;
/// Word 2: which of the batch's buffers are new slabs, a bit each. There are no more buffers than
/// messages.
const NEW_SLABS: usize = 2;
const _: () = assert!(RECEIVE_BATCH <= u32::BITS as usize);
/// Word 3: the socket's number.
const ID: usize = 3;
/// The word at which the pairs of a [`Ledger`] start.
const PAIRS: usize = 4;
/// Words of one message's entry; the first entry's place is taken by the words above.
const ENTRY: usize = 8;
/// Words of an entry: where its bytes start in their buffer.
const OFFSET: usize = 0;
/// How many bytes there are.
const LENGTH: usize = 1;
/// See [`flag`].
const FLAGS: usize = 2;
/// Which buffer, and above 8 bits the token.
const BUFFER: usize = 3;
/// The sender's process, and its user and group in the words behind.
const PID: usize = 4;
const UID: usize = 5;
const GID: usize = 6;
/// Bytes of the sender's name.
const NAME_LENGTH: usize = 7;
/// Words in which one sender's name is passed.
const NAME: usize = PATH_CAPACITY.div_ceil(4);
/// The word at which names start.
const NAMES: usize = ENTRY * (RECEIVE_BATCH + 1);

/// The layout, by the names that lib/native/sockets.js has for it.
pub const LAYOUT: &[(&CStr, usize)] = &[
    (c"CURSOR", CURSOR),
    (c"COUNT", COUNT),
    (c"NEW_SLABS", NEW_SLABS),
    (c"ID", ID),
    (c"PAIRS", PAIRS),
    (c"ENTRY", ENTRY),
    (c"OFFSET", OFFSET),
    (c"LENGTH", LENGTH),
    (c"FLAGS", FLAGS),
    (c"BUFFER", BUFFER),
    (c"PID", PID),
    (c"UID", UID),
    (c"GID", GID),
    (c"NAME_LENGTH", NAME_LENGTH),
    (c"NAMES", NAMES),
    (c"NAME_BYTES", NAME * 4),
    (c"FLAG_NAME", flag::NAME as usize),
    (c"FLAG_FDS", flag::FDS as usize),
    (c"FLAG_CREDENTIALS", flag::CREDENTIALS as usize),
    (c"FLAG_TRUNCATED", flag::TRUNCATED as usize),
    (c"FLAG_FDS_LOST", flag::FDS_LOST as usize),
    (c"FLAG_FDS_REFUSED", flag::FDS_REFUSED as usize),
    (c"FLAG_INTO", flag::INTO as usize),
    (c"FLAG_PIDFD", flag::PIDFD as usize),
    (c"FLAG_WHOLE", flag::WHOLE as usize),
];

/// What an entry says of its message, apart from its length and place.
pub mod flag {
    /// The sender is not the one of the message before; its name is in the names area.
    pub const NAME: u32 = 1;
    /// Descriptors wait under the entry's token.
    pub const FDS: u32 = 2;
    /// The sender's pid, uid and gid are in the entry.
    pub const CREDENTIALS: u32 = 4;
    /// The message was too large and is cut.
    pub const TRUNCATED: u32 = 8;
    /// Descriptors were lost: the process had no room for them.
    pub const FDS_LOST: u32 = 16;
    /// More descriptors wait than the socket allows; this message's were closed.
    pub const FDS_REFUSED: u32 = 32;
    /// The bytes are in memory that the user gave.
    pub const INTO: u32 = 64;
    /// The sender's pidfd waits under the entry's token.
    pub const PIDFD: u32 = 128;
    /// The buffer is the message: a Buffer, and not an ArrayBuffer.
    pub const WHOLE: u32 = 256;
}

/// One received message as JavaScript will see it.
#[derive(Default)]
pub struct Entry {
    /// Which of the batch's buffers, and where in it.
    pub place: Place,
    /// Bytes.
    pub len: usize,
    /// See [`flag`].
    pub flags: u32,
    /// What to ask for the descriptors with.
    pub token: u32,
    /// The sender, where known.
    pub credentials: Option<Credentials>,
}

/// Receive memory and the description of what is in it.
pub struct Batch {
    /// Where messages arrive.
    pub receiver: Box<Receiver>,
    words: Words,
}

impl Batch {
    /// ENOMEM where memory or address space is short.
    pub fn new(js: Js) -> Result<Batch> {
        let words = Words::new(js, NAMES + NAME * RECEIVE_BATCH).ok_or(Errno::NOMEM)?;
        Ok(Batch { receiver: Receiver::new()?, words })
    }

    /// Describes the message that is `index` in the batch, with its sender's name where that
    /// crosses.
    pub fn push(&self, index: usize, entry: &Entry, name: Option<&UnixAddr>) {
        let at = ENTRY * (index + 1);
        let mut flags = entry.flags;
        self.words.set(at + OFFSET, entry.place.offset as u32);
        self.words.set(at + LENGTH, entry.len as u32);
        self.words.set(at + BUFFER, (entry.place.buffer as u32) | (entry.token << 8));
        if let Some(credentials) = entry.credentials {
            flags |= flag::CREDENTIALS;
            self.words.set(at + PID, credentials.pid as u32);
            self.words.set(at + UID, credentials.uid);
            self.words.set(at + GID, credentials.gid);
        }
        if let Some(name) = name {
            flags |= flag::NAME;
            self.words.set(at + NAME_LENGTH, name.name_len() as u32);
            self.words.set_bytes(NAMES + NAME * index, name.name());
        }
        self.words.set(at + FLAGS, flags);
    }

    /// Which of the buffers are slabs that JavaScript has not seen yet, a bit each.
    pub fn set_new_slabs(&self, slabs: u32) {
        self.words.set(NEW_SLABS, slabs);
    }

    /// The array, to be read by JavaScript from the cursor on.
    pub fn words(&self) -> &Words {
        &self.words
    }
}

/// Settled sends: pairs of ticket and status (0 or an errno, negated).
pub struct Ledger {
    words: Words,
    capacity: usize,
}

impl Ledger {
    /// Room for `capacity` pairs. None when memory is short.
    pub fn new(js: Js, capacity: usize) -> Option<Ledger> {
        Some(Ledger { words: Words::new(js, PAIRS + 2 * capacity)?, capacity })
    }

    /// How many pairs it has room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Writes pair `index`.
    pub fn set(&self, index: usize, ticket: u32, status: i32) {
        self.words.set(PAIRS + 2 * index, ticket);
        self.words.set(PAIRS + 1 + 2 * index, status as u32);
    }

    /// The array, to be read by JavaScript from the cursor on.
    pub fn words(&self) -> &Words {
        &self.words
    }
}

/// Calls a JavaScript function that handles the `count` items of `words`, whose bytes are in
/// `buffers`. It notes how far it came; after an exception (which becomes `uncaughtException`) it is
/// called again for the rest.
pub fn call_for_items(
    context: &AsyncContext,
    function: Value,
    id: i32,
    words: &Words,
    count: usize,
    buffers: &Buffers,
) {
    // Only now, with nothing borrowed: filling an array runs setters that may have been given
    // to Array.prototype.
    let buffers = buffers.to_value(context.js());
    words.set(CURSOR, 0);
    words.set(COUNT, count as u32);
    words.set(ID, id as u32);
    let mut from = 0;
    while !context.call(function, &[words.value(), buffers]) {
        let reached = words.get(CURSOR) as usize;
        // No progress: the environment is being terminated and runs no JavaScript any more.
        if reached <= from || reached >= count {
            return;
        }
        from = reached;
    }
}

/// Bytes of a slab: what one small message that is kept can hold back from the collector.
const SLAB: usize = 32 << 10;
/// A message larger than this gets a Buffer of its own.
const SLAB_MESSAGE: usize = 8 << 10;

/// Memory for small messages, used up from its beginning: several batches share one Buffer.
#[derive(Default)]
pub struct Slab {
    current: Option<Reference>,
    used: usize,
}

/// Where a message's bytes went: buffer `buffer` of the batch, from `offset`.
#[derive(Clone, Copy, Default)]
pub struct Place {
    buffer: usize,
    offset: usize,
}

/// The buffers of one batch, of which most have one.
#[derive(Default)]
pub enum Buffers {
    /// No message has bytes.
    #[default]
    None,
    /// All bytes are in one.
    One(Value),
    /// No more than messages.
    Several(Vec<Value>),
}

impl Buffers {
    /// Adds one: its number.
    fn push(&mut self, value: Value) -> usize {
        match self {
            Buffers::None => *self = Buffers::One(value),
            Buffers::One(first) => *self = Buffers::Several(vec![*first, value]),
            Buffers::Several(values) => values.push(value),
        }
        self.len() - 1
    }

    fn len(&self) -> usize {
        match self {
            Buffers::None => 0,
            Buffers::One(_) => 1,
            Buffers::Several(values) => values.len(),
        }
    }

    /// What JavaScript gets: undefined, the only one, or an array.
    fn to_value(&self, js: Js) -> Value {
        match self {
            Buffers::None => js.undefined(),
            Buffers::One(only) => *only,
            Buffers::Several(values) => js.array(values.iter().copied()),
        }
    }
}

/// The buffers of one batch, in the making. No JavaScript runs while it borrows the slab.
pub struct Placement<'a> {
    js: Js,
    slab: &'a mut Slab,
    buffers: Buffers,
    /// The slab in use: which of `buffers` it is, and its memory.
    current: Option<(usize, JsBytes<'a>)>,
    /// Which of `buffers` are new slabs, a bit each.
    fresh: u32,
}

impl<'a> Placement<'a> {
    /// Starts a batch.
    pub fn new(js: Js, slab: &'a mut Slab) -> Placement<'a> {
        Placement { js, slab, buffers: Buffers::None, current: None, fresh: 0 }
    }

    /// Copies one message out of receive memory; None when memory is short.
    pub fn place(&mut self, bytes: &[u8]) -> Option<Place> {
        if bytes.is_empty() {
            return Some(Place::default());
        }
        if bytes.len() > SLAB_MESSAGE {
            // SAFETY: filled at once.
            let (value, memory) = unsafe { self.js.uninit_array_buffer(bytes.len()) }?;
            memory.write(0, bytes);
            return Some(Place { buffer: self.buffers.push(value), offset: 0 });
        }
        let (buffer, memory) = match self.current {
            Some(current) if self.slab.used + bytes.len() <= SLAB => current,
            Some(_) => self.new_slab()?,
            None => self.resume_slab(bytes.len())?,
        };
        let offset = self.slab.used;
        memory.write(offset, bytes);
        // Views that start on a word are what V8's copies are quick with.
        self.slab.used = (offset + bytes.len() + 7) & !7;
        Some(Place { buffer, offset })
    }

    /// Hands over a Buffer, or an ArrayBuffer, that holds the bytes already.
    pub fn hand_over(&mut self, store: Value) -> Place {
        Place { buffer: self.buffers.push(store), offset: 0 }
    }

    /// The slab of the batch before, if it has room for `needed` bytes.
    fn resume_slab(&mut self, needed: usize) -> Option<(usize, JsBytes<'a>)> {
        let value = match &self.slab.current {
            Some(kept) if self.slab.used + needed <= SLAB => kept.get(),
            _ => return self.new_slab(),
        };
        // A slab whose memory was transferred away in the meantime is empty here.
        // SAFETY: no JavaScript runs while the slab is borrowed.
        match unsafe { self.js.bytes_of_store(value) }.filter(|memory| memory.len() == SLAB) {
            Some(memory) => self.enter(value, memory),
            None => self.new_slab(),
        }
    }

    fn new_slab(&mut self) -> Option<(usize, JsBytes<'a>)> {
        // SAFETY: as in `resume_slab`.
        let (value, memory) = unsafe { self.js.array_buffer(SLAB) }?;
        self.slab.current = Some(Reference::new(self.js, value)?);
        self.slab.used = 0;
        self.fresh |= 1 << self.buffers.len();
        self.enter(value, memory)
    }

    fn enter(&mut self, value: Value, memory: JsBytes<'a>) -> Option<(usize, JsBytes<'a>)> {
        self.current = Some((self.buffers.push(value), memory));
        self.current
    }

    /// The buffers, and which are new slabs, a bit each.
    pub fn finish(self) -> (Buffers, u32) {
        (self.buffers, self.fresh)
    }
}
