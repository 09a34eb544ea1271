//! Records that say who they are: every value is unique, and anybody can tell from the bytes
//! alone whether they are what was sent.

use crate::random::Random;

/// Which record of which producer. Ordinals count from 0 in the order of sending; for an
/// idempotent producer they are the sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordId {
    pub producer: u16,
    pub ordinal: u32,
}

/// What a consumer did not get to see, because it was deleted before it came there. No producer is
/// called so.
pub const SKIPPED: Option<RecordId> = Some(RecordId {
    producer: u16::MAX,
    ordinal: u32::MAX,
});

/// Run, producer, ordinal.
const ID_BYTES: usize = 14;

/// The value of a record in one run: its identity, then noise that the identity determines. Most
/// are small; one in 200 is so large that a few of them fill a segment of 1 MiB.
pub fn value(run: u64, id: RecordId) -> Vec<u8> {
    let mut value = Vec::new();
    value.extend_from_slice(&run.to_be_bytes());
    value.extend_from_slice(&id.producer.to_be_bytes());
    value.extend_from_slice(&id.ordinal.to_be_bytes());
    let identity = u64::from(id.producer) << 32 | u64::from(id.ordinal);
    let mut random = Random::new(run ^ identity.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let noise = match random.one_in(200) {
        true => random.below(60_000),
        false => random.below(300),
    };
    value.extend_from_slice(&random.noise(noise as usize));
    value
}

/// Whose value this is; `None` if not one bit-for-bit of this run.
pub fn identify(run: u64, bytes: &[u8]) -> Option<RecordId> {
    let (id, _) = bytes.split_at_checked(ID_BYTES)?;
    let id = RecordId {
        producer: u16::from_be_bytes(id[8..10].try_into().ok()?),
        ordinal: u32::from_be_bytes(id[10..14].try_into().ok()?),
    };
    (value(run, id) == bytes).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_again_and_a_changed_one_is_not() {
        for ordinal in 0..1000 {
            let id = RecordId {
                producer: 3,
                ordinal,
            };
            let good = value(7, id);
            assert_eq!(identify(7, &good), Some(id));
            assert_eq!(identify(8, &good), None, "of another run");
            let mut bad = good.clone();
            let last = bad.len() - 1;
            bad[last] ^= 1;
            assert_eq!(identify(7, &bad), None);
            assert_eq!(identify(7, &good[..last]), None);
        }
        assert_eq!(identify(7, b""), None);
    }
}
