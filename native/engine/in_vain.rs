//! Owns: when a poll is believed no more: it says that a descriptor is ready, and the call that
//! follows says that it is not, again and again.
//!
//! Another process that shares the descriptor can be faster each time; a filter for system calls
//! can refuse for ever. Either way the poll, which is level-triggered, would keep the loop busy.

use std::cell::Cell;

/// From so many wake-ups in vain on, the next ones come after a pause.
const MANY: u8 = 64;
/// The longest such pause, in milliseconds.
pub const MAX_PAUSE: u64 = 32;

/// Wake-ups in a row that were in vain.
#[derive(Default)]
pub struct InVain {
    count: Cell<u8>,
}

impl InVain {
    /// Counts one. True: they are so many that the poll has to rest.
    pub fn add(&self) -> bool {
        self.count.set(self.count.get().saturating_add(1).min(MANY));
        self.is_many()
    }

    /// They are.
    pub fn is_many(&self) -> bool {
        self.count.get() == MANY
    }

    /// One was not in vain.
    pub fn forget(&self) {
        self.count.set(0);
    }
}
