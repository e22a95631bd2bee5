//! Owns: the table of an environment's sockets: which number means which of them.
//!
//! A number is an index in its low bits and, above, how often that index has been given out. It
//! fits the small integers of V8, and stays invalid once its socket is closed.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::engine::endpoint::Endpoint;
use crate::engine::handle::Source;
use crate::engine::listener::Listener;
use crate::engine::watch::Watch;
use crate::sys::errno::{Errno, Result};

/// Bits of a number that are the index.
const INDEX_BITS: u32 = 20;
/// What of a number is the index.
pub const INDEX_MASK: i32 = (1 << INDEX_BITS) - 1;
/// Generations of an index: 1 to this, so that no number is 0.
const GENERATIONS: i32 = (1 << 11) - 1;
/// An index is given out again only while so many are free, and then the one that has been free for
/// longest: a number that is kept by mistake is not another socket's soon.
const MIN_FREE: usize = 64;

/// What a number stands for.
#[derive(Clone)]
pub enum Socket {
    /// A socket that sends and receives.
    Endpoint(Rc<Endpoint>),
    /// A socket that listens.
    Listener(Rc<Listener>),
    /// A process whose end is waited for.
    Watch(Rc<Watch>),
}

impl Socket {
    /// What the loop's events go to.
    pub fn source(&self) -> &dyn Source {
        match self {
            Socket::Endpoint(endpoint) => &**endpoint,
            Socket::Listener(listener) => &**listener,
            Socket::Watch(watch) => &**watch,
        }
    }
}

struct Slot<T> {
    generation: i32,
    /// None while the index is free.
    value: Option<T>,
}

/// Values by number.
pub struct Table<T> {
    slots: Vec<Slot<T>>,
    free: VecDeque<usize>,
}

impl<T> Table<T> {
    /// Without memory of its own yet.
    pub fn new() -> Table<T> {
        Table { slots: Vec::new(), free: VecDeque::new() }
    }

    /// Enters what `make` makes of its number; returns the number. ENFILE where there are a
    /// million.
    pub fn insert(&mut self, make: impl FnOnce(i32) -> T) -> Result<i32> {
        let is_full = self.slots.len() > INDEX_MASK as usize;
        let index = if self.free.len() >= MIN_FREE || is_full {
            self.free.pop_front().ok_or(Errno::NFILE)?
        } else {
            self.slots.push(Slot { generation: 0, value: None });
            self.slots.len() - 1
        };
        let slot = &mut self.slots[index];
        slot.generation = slot.generation % GENERATIONS + 1;
        let id = slot.generation << INDEX_BITS | index as i32;
        slot.value = Some(make(id));
        Ok(id)
    }

    /// What a number stands for; None once it is closed, and for numbers that never were.
    pub fn get(&self, id: i32) -> Option<&T> {
        let slot = self.slots.get((id & INDEX_MASK) as usize)?;
        slot.value.as_ref().filter(|_| slot.generation == id >> INDEX_BITS)
    }

    /// Takes a number out of use. What is returned is to be dropped once nothing is borrowed.
    pub fn remove(&mut self, id: i32) -> Option<T> {
        let index = (id & INDEX_MASK) as usize;
        let slot = self.slots.get_mut(index)?;
        let value = slot.value.take_if(|_| slot.generation == id >> INDEX_BITS)?;
        self.free.push_back(index);
        Some(value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_number_means_nothing() {
        let mut table = Table::new();
        let first = table.insert(|id| id).unwrap();
        assert_eq!(table.get(first), Some(&first));
        assert_eq!(table.remove(first), Some(first));
        for id in [first, first + 1, 0, -1, i32::MIN, i32::MAX, INDEX_MASK] {
            assert_eq!(table.get(id), None);
            assert_eq!(table.remove(id), None);
        }
    }

    #[test]
    fn an_index_rests_before_it_is_given_out_again() {
        let mut table = Table::new();
        let ids: Vec<i32> = (0..100).map(|_| table.insert(|_| ()).unwrap()).collect();
        for id in &ids[..MIN_FREE] {
            table.remove(*id);
        }
        // The one that was freed first, in its second generation.
        assert_eq!(table.insert(|_| ()).unwrap(), ids[0] + INDEX_MASK + 1);
        // Too few are free now.
        assert_eq!(table.insert(|_| ()).unwrap() & INDEX_MASK, 100);
        assert_eq!(table.iter().count(), 38);
    }

    #[test]
    #[cfg_attr(miri, ignore = "a million entries take it hours")]
    fn a_full_table_says_so_and_gives_out_what_is_free() {
        let mut table = Table::new();
        for index in 0..=INDEX_MASK {
            assert_eq!(table.insert(|_| ()).map(|id| id & INDEX_MASK), Ok(index));
        }
        assert_eq!(table.insert(|_| ()), Err(Errno::NFILE));
        let last = INDEX_MASK + 1 + INDEX_MASK;
        assert!(table.remove(last).is_some());
        assert_eq!(table.insert(|_| ()), Ok(last + INDEX_MASK + 1));
        assert_eq!(table.insert(|_| ()), Err(Errno::NFILE));
    }

    #[test]
    #[cfg_attr(miri, ignore = "a hundred thousand entries take it long")]
    fn generations_start_again_after_the_last() {
        let mut table = Table::new();
        let mut seen = std::collections::HashSet::new();
        let mut last = 0;
        for _ in 0..GENERATIONS as usize * MIN_FREE {
            last = table.insert(|_| ()).unwrap();
            assert!(last > 0 && seen.insert(last));
            table.remove(last);
        }
        let again = table.insert(|_| ()).unwrap();
        assert!(table.get(again).is_some() && table.get(last).is_none());
    }
}
