//! Owns: which descriptor numbers of this process belong to a socket of ours, whichever thread it
//! is on.
//!
//! Descriptors are the process's, not a thread's: only a table of the process can say that a number
//! which one worker is to adopt belongs to another already. It holds no more than that.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers beyond are not noted. As many as `fs.nr_open` allows by default.
const NUMBERS: usize = 1 << 20;

/// A bit a number. Pages become memory when a number of theirs is first used.
static OWNED: [AtomicU64; NUMBERS / 64] = [const { AtomicU64::new(0) }; NUMBERS / 64];

fn place(fd: RawFd) -> Option<(&'static AtomicU64, u64)> {
    let number = usize::try_from(fd).ok()?;
    Some((OWNED.get(number / 64)?, 1 << (number % 64)))
}

/// The number is ours from here on.
pub fn claim(fd: RawFd) {
    if let Some((word, bit)) = place(fd) {
        word.fetch_or(bit, Ordering::Relaxed);
    }
}

/// It is not any more. Call before the descriptor is closed: then another thread may have the
/// number.
pub fn release(fd: RawFd) {
    if let Some((word, bit)) = place(fd) {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Whether a socket of ours has the number.
pub fn is_owned(fd: RawFd) -> bool {
    place(fd).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_owned_between_claim_and_release() {
        // Above what other tests have open.
        for fd in [900_000, 900_063, 900_064, (NUMBERS - 1) as RawFd] {
            assert!(!is_owned(fd));
            claim(fd);
            assert!(is_owned(fd) && !is_owned(fd - 1));
            release(fd);
            assert!(!is_owned(fd));
        }
    }

    #[test]
    fn what_is_no_number_is_nobodys() {
        for fd in [-1, RawFd::MIN, RawFd::MAX, NUMBERS as RawFd] {
            claim(fd);
            assert!(!is_owned(fd));
            release(fd);
        }
    }
}
