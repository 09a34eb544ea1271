//! Where each key was written last, in bounded memory: 24 bytes for a key, however long it is.
//!
//! A key is known by 128 bits of hash, made with random keys per round so that nobody can choose
//! two keys that are taken for one (Kafka: SkimpyOffsetMap, with MD5). The table is made of many
//! small ones that grow on their own, so that growing never needs twice the memory.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::types::Offset;

const TABLES: usize = 256;
/// Slots of a table that has just got its first key.
const FIRST_SLOTS: usize = 16;
/// A table that may still grow does so when this part of it is used: beyond, a key that is not
/// there is looked for in dozens of slots.
const GROW_AT: f64 = 0.75;
/// Bytes of a slot.
const SLOT: usize = size_of::<Slot>();

/// Of a key.
pub type Hash = [u64; 2];

/// See the module.
pub struct LastOffsets {
    hashers: [RandomState; 2],
    tables: Vec<Table>,
    /// Slots that a table may have at most.
    max_slots: usize,
    /// Which part of its slots a table fills before it grows, or is full.
    load_factor: f64,
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    used: usize,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: Hash,
    /// The offset behind the record's: 0 is a free slot.
    behind: u64,
}

impl LastOffsets {
    /// At most `max_bytes`, of which `load_factor` (0 to 1) is filled.
    pub fn new(max_bytes: usize, load_factor: f64) -> LastOffsets {
        LastOffsets {
            hashers: [RandomState::new(), RandomState::new()],
            tables: (0..TABLES).map(|_| Table::default()).collect(),
            max_slots: (max_bytes / SLOT / TABLES).max(2),
            load_factor: load_factor.clamp(0.01, 0.95),
        }
    }

    /// A key as the map knows it.
    pub fn hash(&self, key: &[u8]) -> Hash {
        self.hashers.each_ref().map(|state| {
            let mut hasher = state.build_hasher();
            hasher.write(key);
            hasher.finish()
        })
    }

    /// Looks at the slots of many keys at once: memory answers all of them in little more than the
    /// time it takes for one, and what follows finds them in the cache.
    pub fn fetch(&self, keys: &[Hash]) {
        let slots = keys.iter().map(|&hash| {
            let table = &self.tables[hash[0] as usize % TABLES];
            table.slots.get(table.home(hash)).map_or(0, |s| s.behind)
        });
        std::hint::black_box(slots.fold(0, u64::wrapping_add));
    }

    /// The key was written at `offset`, above every offset it was written at before. False if there
    /// is no room for another key.
    pub fn put(&mut self, hash: Hash, offset: Offset) -> bool {
        let (max_slots, load_factor) = (self.max_slots, self.load_factor);
        let table = &mut self.tables[hash[0] as usize % TABLES];
        let behind = offset as u64 + 1;
        if let Some(slot) = table.find(hash) {
            slot.behind = behind;
            return true;
        }
        if !table.make_room(max_slots, load_factor) {
            return false;
        }
        table.insert(Slot { hash, behind });
        true
    }

    /// Where the key was written last; `None` if it is not among those put.
    pub fn get(&self, hash: Hash) -> Option<Offset> {
        let table = &self.tables[hash[0] as usize % TABLES];
        let at = table.place(hash)?;
        match table.slots[at].behind {
            0 => None,
            behind => Some(behind as Offset - 1),
        }
    }

    /// Keys.
    pub fn len(&self) -> usize {
        self.tables.iter().map(|table| table.used).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Table {
    /// Where the slot of `hash` is looked for first; 0 without slots.
    fn home(&self, hash: Hash) -> usize {
        // The table was chosen by the low bits of the first half.
        ((u128::from(hash[1]) * self.slots.len() as u128) >> 64) as usize
    }

    /// The slot that holds `hash`, or the free one where it would go; `None` without slots.
    fn place(&self, hash: Hash) -> Option<usize> {
        let count = self.slots.len();
        let mut at = self.home(hash);
        for _ in 0..count {
            let slot = &self.slots[at];
            if slot.behind == 0 || slot.hash == hash {
                return Some(at);
            }
            at = if at + 1 == count { 0 } else { at + 1 };
        }
        None
    }

    fn find(&mut self, hash: Hash) -> Option<&mut Slot> {
        let at = self.place(hash)?;
        Some(&mut self.slots[at]).filter(|slot| slot.behind != 0)
    }

    fn insert(&mut self, slot: Slot) {
        let Some(at) = self.place(slot.hash) else {
            unreachable!("room was made for a key");
        };
        self.slots[at] = slot;
        self.used += 1;
    }

    /// Whether there is a slot for one more key, after growing if need be.
    fn make_room(&mut self, max_slots: usize, load_factor: f64) -> bool {
        let fits = |slots: usize, part: f64| self.used < (slots as f64 * part) as usize;
        let part = match self.slots.len() < max_slots {
            true => load_factor.min(GROW_AT),
            false => load_factor,
        };
        if fits(self.slots.len(), part) {
            return true;
        }
        let more = self.slots.len() + self.slots.len() / 2;
        let needed = ((self.used + 1) as f64 / load_factor).ceil() as usize;
        let wanted = more.max(needed).max(FIRST_SLOTS).min(max_slots);
        // The smallest tables hold one key at least, or no round would ever end.
        let is_first = self.used == 0 && self.slots.is_empty();
        if wanted <= self.slots.len() || !(fits(wanted, load_factor) || is_first) {
            return false;
        }
        let slots = std::mem::replace(&mut self.slots, vec![Slot::default(); wanted]);
        self.used = 0;
        let held = slots.into_iter().filter(|slot| slot.behind != 0);
        held.for_each(|slot| self.insert(slot));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_every_key_is_found_whatever_its_length() {
        let mut map = LastOffsets::new(8 << 20, 0.9);
        let key = |i: i64| format!("{i}").repeat(1 + i as usize % 7).into_bytes();
        for round in 0..3 {
            for i in 0..20_000 {
                assert!(map.put(map.hash(&key(i)), round * 20_000 + i));
            }
        }
        assert_eq!(map.len(), 20_000);
        for i in 0..20_000 {
            assert_eq!(map.get(map.hash(&key(i))), Some(40_000 + i));
        }
        assert_eq!(map.get(map.hash(b"never")), None);
    }

    #[test]
    fn it_is_full_before_it_takes_more_than_its_memory() {
        let max_bytes = 1 << 20;
        let mut map = LastOffsets::new(max_bytes, 0.9);
        let mut keys = 0_i64;
        while map.put(map.hash(&keys.to_be_bytes()), keys) {
            keys += 1;
        }
        let slots: usize = map.tables.iter().map(|table| table.slots.len()).sum();
        assert!(slots * SLOT <= max_bytes, "{slots} slots");
        // The first of many tables is full a little before the others.
        let ideal = (max_bytes / SLOT) as f64 * 0.9;
        assert!(keys as f64 > 0.7 * ideal, "{keys} of {ideal}");
        assert!(
            map.put(map.hash(&0_i64.to_be_bytes()), keys),
            "a key that is known needs no room"
        );
        assert_eq!(map.get(map.hash(&0_i64.to_be_bytes())), Some(keys));
    }

    #[test]
    fn a_small_load_factor_fills_its_part_of_the_memory() {
        for load_factor in [0.01, 0.05, 0.1] {
            let max_bytes = 56 << 20;
            let mut map = LastOffsets::new(max_bytes, load_factor);
            let mut keys = 0_i64;
            while map.put(map.hash(&keys.to_be_bytes()), keys) {
                keys += 1;
            }
            let ideal = (max_bytes / SLOT) as f64 * load_factor;
            assert!(keys as f64 > 0.6 * ideal, "{keys} of {ideal}");
        }
    }

    #[test]
    fn the_smallest_one_still_takes_a_key() {
        let mut map = LastOffsets::new(0, 0.0);
        assert!(map.put(map.hash(b"k"), 7));
        assert_eq!(map.get(map.hash(b"k")), Some(7));
    }
}
