//! Owns: the memory that messages are received into: address space for a batch of the largest, in
//! slots.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use crate::sys::errno::{Errno, Result};

/// The largest message a slot takes. Linux builds a message from one kmalloc'ed block of at most
/// 4 MiB and a few dozen page fragments, whatever SO_SNDBUF says; a larger one is reported.
pub const MAX_MESSAGE: usize = 8 << 20;

/// Slots start this far apart: off the power of two, or their first lines share one cache set.
const STRIDE: usize = MAX_MESSAGE + 4096 + 64;

/// Touched memory beyond this is given back after use.
pub const KEEP: usize = 256 << 10;

/// Address space for a batch of the largest messages. Pages become memory when a message first
/// reaches them, so small messages cost one page a slot, however large a message may be.
pub struct Region {
    start: NonNull<u8>,
    slots: usize,
}

impl Region {
    /// As many slots as the address space allows, up to `slots`: at least one, or ENOMEM.
    pub fn new(slots: usize) -> Result<Region> {
        most_that_fit(slots, Region::map)
    }

    fn map(slots: usize) -> Result<Region> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
        // SAFETY: a fresh anonymous mapping.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), slots * STRIDE, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        // Huge pages would make each slot 2 MiB at its first byte.
        #[cfg(target_os = "linux")]
        // SAFETY: advice on our own mapping.
        unsafe {
            libc::madvise(start, slots * STRIDE, libc::MADV_NOHUGEPAGE);
        }
        Ok(Region { start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)?, slots })
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The start of a slot, where [`MAX_MESSAGE`] bytes have room.
    pub fn slot(&self, index: usize) -> *mut u8 {
        debug_assert!(index < self.slots);
        // SAFETY: within the mapping: callers name slots that there are.
        unsafe { self.start.as_ptr().add(index * STRIDE) }
    }

    /// Gives back the pages that a large message touched.
    pub fn trim(&self, index: usize) {
        // Slots start inside of pages, which have 4, 16 or 64 KiB: no more than what is kept.
        let page = std::cmp::min(page_size(), KEEP);
        let start = (self.slot(index) as usize + KEEP) & !(page - 1);
        let end = (self.slot(index) as usize + MAX_MESSAGE) & !(page - 1);
        // SAFETY: whole pages inside this slot, whose contents nobody needs any more.
        unsafe { libc::madvise(start as *mut _, end - start, libc::MADV_DONTNEED) };
    }
}

/// Tries fewer and fewer slots, down to one.
fn most_that_fit<T>(mut slots: usize, mut map: impl FnMut(usize) -> Result<T>) -> Result<T> {
    loop {
        match map(slots) {
            Err(_) if slots > 1 => slots = (slots / 4).max(1),
            result => return result,
        }
    }
}

fn page_size() -> usize {
    // SAFETY: a plain call.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `map`, unused from here on.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.slots * STRIDE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_address_space_is_short_one_slot_is_tried_last() {
        let mut tried = Vec::new();
        let refused = most_that_fit(32, |slots| {
            tried.push(slots);
            Err::<(), _>(Errno::NOMEM)
        });
        assert_eq!((refused, tried.last()), (Err(Errno::NOMEM), Some(&1)));
        assert!(tried.is_sorted_by(|more, fewer| more > fewer));
        assert_eq!(
            most_that_fit(32, |slots| if slots > 2 { Err(Errno::NOMEM) } else { Ok(slots) }),
            Ok(2)
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn address_space_is_given_back() {
        // A terabyte each: not even 64 bits have room for all of them at once.
        for round in 0..300 {
            // Where the address space is limited there is nothing to see.
            if Region::map((1 << 40) / STRIDE).is_err() {
                assert_eq!(round, 0, "it was not given back");
                return;
            }
        }
    }

    #[test]
    fn slots_are_apart_and_start_in_cache_sets_of_their_own() {
        let region = Region::new(32).unwrap();
        let mut sets = std::collections::HashSet::new();
        for index in 1..region.slots() {
            let (before, start) = (region.slot(index - 1) as usize, region.slot(index) as usize);
            assert!((MAX_MESSAGE..2 * MAX_MESSAGE).contains(&(start - before)));
            assert!(sets.insert(start % 4096 / 64));
        }
    }

    /// The flags that the kernel has for the mapping around an address, see proc_pid_smaps(5).
    #[cfg(target_os = "linux")]
    fn flags_at(address: usize) -> Option<String> {
        let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let mut is_it = false;
        for line in maps.lines() {
            let range = line.split(' ').next()?.split_once('-');
            if let Some((start, end)) = range.and_then(|(start, end)| {
                let number = |text| usize::from_str_radix(text, 16).ok();
                Some((number(start)?, number(end)?))
            }) {
                is_it = (start..end).contains(&address);
            } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| is_it) {
                return Some(flags.to_owned());
            }
        }
        None
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_slot_has_no_huge_pages() {
        let region = Region::new(3).unwrap();
        for at in [region.slot(0), region.slot(2).wrapping_add(MAX_MESSAGE - 1)] {
            // None in containers that hide it.
            let flags = flags_at(at as usize);
            assert!(flags.is_none_or(|flags| flags.contains(" nh")));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_large_message_touched_is_given_back() {
        let region = Region::new(4).unwrap();
        let page = page_size();
        for index in 0..2 {
            let start = region.slot(index);
            let next = region.slot(index + 1);
            // SAFETY: within the next slot.
            unsafe { next.write_bytes(8, KEEP + page) };
            // SAFETY: within the slot.
            unsafe { start.write_bytes(7, MAX_MESSAGE) };
            region.trim(index);
            let last = MAX_MESSAGE - MAX_MESSAGE % page - 2 * page;
            for (at, kept) in [(0, 7), (KEEP - page - 1, 7), (KEEP, 0), (last, 0)] {
                // SAFETY: within the slot.
                assert_eq!(unsafe { start.add(at).read() }, kept, "byte {at} of slot {index}");
            }
            for at in [0, KEEP, KEEP + page - 1] {
                // SAFETY: within the next slot.
                assert_eq!(unsafe { next.add(at).read() }, 8, "byte {at} behind slot {index}");
            }
        }
    }
}
