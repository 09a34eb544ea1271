//! Choices that a seed repeats: for tests that vary shapes and for the torture.

use std::hash::{BuildHasher, Hasher, RandomState};

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

/// SplitMix64: small, seeded, good enough to vary shapes and to pick a fault.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A seed that nobody chose.
    pub fn seed() -> u64 {
        RandomState::new().build_hasher().finish()
    }

    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, and is no iterator's use"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn index(&mut self, length: usize) -> Option<usize> {
        (length > 0).then(|| self.below(length as u64) as usize)
    }

    /// One of `items`; `None` if there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.index(items.len())?)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn flip(&mut self) -> bool {
        self.one_in(2)
    }

    pub fn i32(&mut self) -> i32 {
        self.next() as i32
    }

    pub fn i64(&mut self) -> i64 {
        self.next() as i64
    }

    /// Up to 200 bytes, so that lengths need one or two varint bytes.
    pub fn bytes(&mut self) -> Bytes {
        let length = self.below(200);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// `length` bytes that do not compress.
    pub fn noise(&mut self, length: usize) -> Vec<u8> {
        let mut noise = Vec::with_capacity(length + 8);
        while noise.len() < length {
            noise.extend_from_slice(&self.next().to_le_bytes());
        }
        noise.truncate(length);
        noise
    }

    pub fn text(&mut self) -> StrBytes {
        let length = self.below(200);
        let letters = (0..length).map(|_| char::from(b'a' + self.below(26) as u8));
        StrBytes::from_string(letters.collect())
    }

    pub fn uuid(&mut self) -> uuid::Uuid {
        uuid::Uuid::from_u64_pair(self.next(), self.next())
    }

    pub fn maybe<T>(&mut self, value: impl FnOnce(&mut Random) -> T) -> Option<T> {
        self.flip().then(|| value(self))
    }

    /// Up to three elements.
    pub fn some<T>(&mut self, mut element: impl FnMut(&mut Random) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| element(self)).collect()
    }
}
