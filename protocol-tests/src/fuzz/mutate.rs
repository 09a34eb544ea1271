//! Damage to bytes that leaves most of them as they were.

use crate::random::Random;

/// Numbers that break arithmetic and lengths.
const INTERESTING: [i64; 14] = [
    0,
    -1,
    1,
    2,
    127,
    128,
    255,
    i16::MAX as i64,
    i16::MIN as i64,
    65_536,
    i32::MAX as i64,
    i32::MIN as i64,
    i64::MAX,
    i64::MIN,
];

/// One input in six stays whole; the others get up to four damages.
pub fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    if random.one_in(6) {
        return;
    }
    for _ in 0..1 + random.below(4) {
        damage(bytes, random);
    }
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let Some(at) = random.index(bytes.len()) else {
        *bytes = random.bytes().to_vec();
        return;
    };
    let end = at + 1 + random.below((bytes.len() - at).min(64) as u64) as usize;
    let end = end.min(bytes.len());
    match random.below(9) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => bytes.truncate(at),
        3 => bytes.extend(random.bytes()),
        4 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        5 => {
            bytes.drain(at..end);
        }
        6 => bytes[at..end].fill(0),
        7 => {
            let noise = random.noise(end - at);
            bytes[at..end].copy_from_slice(&noise);
        }
        _ => put_number(bytes, at, random),
    }
}

/// A number that is seldom right, in one of the widths of the wire.
fn put_number(bytes: &mut [u8], at: usize, random: &mut Random) {
    let number = match random.one_in(3) {
        true => random.i64() >> random.below(64),
        false => random.pick(&INTERESTING).copied().unwrap_or_default(),
    };
    let number = number.to_be_bytes();
    let width = (1usize << random.below(4)).min(bytes.len() - at);
    bytes[at..at + width].copy_from_slice(&number[8 - width..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_repeated_by_its_seed_and_leaves_some_inputs_whole() {
        let whole: Vec<u8> = (0..100).collect();
        let mutated = |seed| {
            let mut bytes = whole.clone();
            mutate(&mut bytes, &mut Random::new(seed));
            bytes
        };
        let all: Vec<Vec<u8>> = (0..200).map(mutated).collect();
        assert_eq!(all, (0..200).map(mutated).collect::<Vec<_>>());
        let untouched = all.iter().filter(|bytes| **bytes == whole).count();
        assert!((10..80).contains(&untouched), "{untouched} of 200");
    }
}
