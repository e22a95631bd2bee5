//! Owns: random numbers and bytes for tests that try many inputs, the same for the same seed.
//!
//! AFUNIX_FUZZ_SEED and AFUNIX_FUZZ_ROUNDS choose others: in front of `npm run cargo -- test
//! --release`.

use std::env;

/// xorshift64*.
pub struct Random(u64);

impl Random {
    /// Any number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// One of them.
    pub fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// `len` bytes. Every second time only few different ones, zeros among them.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let is_narrow = self.next() & 1 == 0;
        (0..len)
            .map(|_| {
                let byte = (self.next() >> 32) as u8;
                if is_narrow { byte & 1 } else { byte }
            })
            .collect()
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Reports the seed and the round if the test panics.
struct ReportOnPanic(u64, u64);

impl Drop for ReportOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("AFUNIX_FUZZ_SEED={} failed in round {}", self.0, self.1);
        }
    }
}

/// Runs `body` many times, each with random numbers of its own.
pub fn rounds(mut body: impl FnMut(&mut Random)) {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("AFUNIX_FUZZ_SEED").unwrap_or(1);
    let count = number("AFUNIX_FUZZ_ROUNDS").unwrap_or(2000);
    for round in 0..count {
        let report = ReportOnPanic(seed, round);
        body(&mut Random((seed ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1));
        drop(report);
    }
    // Shown by `--show-output`; counted by test/torture/cases/native.js.
    println!("{count} rounds with seed {seed}");
}
