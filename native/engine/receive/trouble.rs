//! Owns: when a socket looks again where receiving fails or finds nothing, again and again.

use std::cell::Cell;

use crate::engine::handle::{Event, Handle, MAX_ERROR_PAUSE};
use crate::engine::in_vain::{self, InVain};
use crate::sys::errno::Errno;

/// Why a socket that reads does not look just now.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    None,
    /// Receiving failed, and JavaScript knows.
    Reported,
    /// It failed again, or found nothing again: the next look is after a pause.
    Resting {
        /// JavaScript knows of an error.
        reported: bool,
    },
}

/// What is wrong with receiving.
#[derive(Default)]
pub struct Trouble {
    state: Cell<State>,
    in_vain: InVain,
}

impl Trouble {
    /// The poll would fire for ever: the retry timer says when to look.
    pub fn is_resting(&self) -> bool {
        matches!(self.state.get(), State::Resting { .. })
    }

    /// The pause has passed: true if there was one.
    pub fn wake(&self) -> bool {
        let State::Resting { reported } = self.state.get() else { return false };
        self.state.set(if reported { State::Reported } else { State::None });
        true
    }

    /// Something was received.
    pub fn recover(&self, handle: &Handle) {
        if self.state.replace(State::None) != State::None || self.in_vain.is_many() {
            handle.forget_retries();
        }
        self.in_vain.forget();
    }

    /// Nothing was there to receive, although, if `was_woken`, the poll had said so.
    pub fn find_nothing(&self, handle: &Handle, was_woken: bool) {
        // It works, whatever failed before.
        self.state.set(State::None);
        if was_woken && self.in_vain.add() {
            self.rest(handle, false, in_vain::MAX_PAUSE);
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
            self.rest(handle, true, MAX_ERROR_PAUSE);
        }
        is_new
    }

    fn rest(&self, handle: &Handle, reported: bool, max: u64) {
        self.state.set(State::Resting { reported });
        handle.retry_later(max);
    }
}
