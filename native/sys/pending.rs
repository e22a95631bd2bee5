//! Owns: how many received descriptors wait to be taken in this process, whichever thread they are
//! on, and how many may: strangers who send some must not take the process's last ones.
#![allow(unsafe_code)]

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sys::errno::syscall;

/// So few are always fine, whatever the process may open: nothing is asked of the kernel.
const FEW: usize = 128;

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// A received descriptor that waits to be taken. Dropping closes it.
pub struct Pending {
    fd: OwnedFd,
    _counted: Counted,
}

impl Pending {
    /// Counts it.
    pub fn new(fd: OwnedFd) -> Pending {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Pending { fd, _counted: Counted }
    }

    /// It waits no more.
    pub fn take(self) -> OwnedFd {
        self.fd
    }
}

/// One in [`WAITING`].
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether `count` more may wait: no more than half of what the process may open, see
/// `RLIMIT_NOFILE` in getrlimit(2).
pub fn has_room(count: usize) -> bool {
    is_fine(WAITING.load(Ordering::Relaxed) + count, most)
}

/// Whether so many may wait where the process may open what `most` says.
fn is_fine(total: usize, most: impl FnOnce() -> usize) -> bool {
    total <= FEW || total <= most() / 2
}

#[cold]
fn most() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a live structure for the answer.
    match unsafe { syscall!(getrlimit(libc::RLIMIT_NOFILE, &mut limit)) } {
        Ok(_) => usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX),
        Err(_) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW, Pending, WAITING, has_room, is_fine, most};
    use std::fs::File;
    use std::sync::atomic::Ordering;

    #[test]
    fn those_that_wait_are_counted_until_they_are_taken_or_dropped() {
        let file = || File::open("/dev/null").unwrap().into();
        // Other tests count theirs: what is added here is all that can be known.
        let many: Vec<Pending> = (0..FEW).map(|_| Pending::new(file())).collect();
        assert!(WAITING.load(Ordering::Relaxed) >= FEW);
        assert!(most() > 0);
        assert!(!has_room(most() / 2), "half of what may be opened waits already");
        assert!(has_room(0));
        // A quarter, and those of this test, leaves the other tests a quarter.
        assert!(has_room((most() / 4).saturating_sub(FEW)));
        let taken: Vec<_> = many.into_iter().map(Pending::take).collect();
        assert_eq!(taken.len(), FEW);
        assert!(has_room(1));
    }

    #[test]
    fn those_that_wait_no_more_are_not_counted() {
        let rounds = 64;
        for _ in 0..rounds {
            let many: Vec<Pending> =
                (0..FEW).map(|_| Pending::new(File::open("/dev/null").unwrap().into())).collect();
            let half = many.into_iter().enumerate();
            half.for_each(|(index, each)| match index % 2 {
                0 => drop(each.take()),
                _ => drop(each),
            });
        }
        assert!(WAITING.load(Ordering::Relaxed) < rounds * FEW / 2);
    }

    #[test]
    fn few_are_fine_and_half_of_what_may_be_opened() {
        assert!(is_fine(FEW, || 0));
        assert!(!is_fine(FEW + 1, || 2 * FEW));
        assert!(!is_fine(FEW + 1, || 2 * FEW + 1));
        assert!(is_fine(FEW + 1, || 2 * (FEW + 1)));
    }
}
