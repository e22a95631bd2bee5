//! Owns: when a socket looks again where receiving fails or finds nothing, again and again.

use std::cell::Cell;

use crate::engine::handle::{Event, Handle, MAX_ERROR_PAUSE};
use crate::sys::errno::Errno;

/// From so many wake-ups in vain on, the next ones come after a pause.
const MANY_IN_VAIN: u8 = 64;

/// Why a socket that reads does not look just now.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    None,
    /// Receiving failed, and JavaScript knows.
    Reported,
    /// It failed again: the next look is after a pause.
    Resting,
}

/// What is wrong with receiving.
#[derive(Default)]
pub struct Trouble {
    state: Cell<State>,
    /// Wake-ups in a row that found nothing.
    in_vain: Cell<u8>,
}

impl Trouble {
    /// The poll would fire for ever: the retry timer says when to look.
    pub fn is_resting(&self) -> bool {
        self.state.get() == State::Resting
    }

    /// The pause has passed: true if there was one.
    pub fn wake(&self) -> bool {
        let is_due = self.is_resting();
        if is_due {
            self.state.set(State::Reported);
        }
        is_due
    }

    /// Receiving works.
    pub fn recover(&self, handle: &Handle) {
        if self.state.replace(State::None) == State::Resting {
            handle.forget_retries();
        }
    }

    /// Reports an error of the socket, once for as long as it repeats. False: it did, and the next
    /// look is after a pause.
    pub fn complain(&self, handle: &Handle, errno: Errno) -> bool {
        let is_new = self.state.get() == State::None;
        if is_new {
            self.state.set(State::Reported);
            handle.report(Event::Error, errno.to_js());
        } else {
            self.rest(handle);
        }
        is_new
    }

    /// A wake-up found something, or nothing although the descriptor is readable.
    pub fn note(&self, handle: &Handle, in_vain: bool) {
        self.in_vain.set(if in_vain { self.in_vain.get().saturating_add(1) } else { 0 });
        if self.in_vain.get() >= MANY_IN_VAIN {
            self.rest(handle);
        }
    }

    fn rest(&self, handle: &Handle) {
        self.state.set(State::Resting);
        handle.retry_later(MAX_ERROR_PAUSE);
    }
}
