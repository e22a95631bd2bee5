//! Owns: what the traffic of a socket is expected to be like, from what it was like.
//!
//! Two guesses save system calls where traffic is regular: whether to ask for more than one
//! message, and whether to look again before going back to the event loop, because the answer to
//! what JavaScript sends is often there when it returns. Both are tested now and then.

/// Guesses that were wrong last time are tested again at every wake-up whose number is a multiple.
/// A prime: regular bursts must not always have ended just then.
const PROBE_EVERY: u32 = 17;

/// The guesses of one socket.
#[derive(Clone, Copy, Default)]
pub struct ReadAhead {
    wake_ups: u32,
    /// A look finds more than one message.
    pub bursts: bool,
    /// How often a second look found something of late, in 256ths.
    hit_rate: u32,
}

impl ReadAhead {
    /// A second look is worth it from one hit in four on: a vain one costs a quarter of a turn of
    /// the event loop, which a hit saves (measured).
    pub fn looks_again(self) -> bool {
        self.hit_rate > 64
    }

    /// Another wake-up. True: test the guesses.
    pub fn begin_wakeup(&mut self) -> bool {
        self.wake_ups = self.wake_ups.wrapping_add(1);
        self.wake_ups.is_multiple_of(PROBE_EVERY)
    }

    /// A second look found something, or not.
    pub fn learn(&mut self, hit: bool) {
        self.hit_rate = self.hit_rate - self.hit_rate / 8 + if hit { 32 } else { 0 };
    }
}
