//! Kafka's variable-length integers: unsigned (compact lengths, tags) and zigzag (records).
//!
//! Readers are bounded: five bytes for 32 bits, ten for 64, and bits that would not fit are
//! refused, so no two readers can disagree about what a field means. A padded encoding within
//! that length is read, as Kafka reads it (ByteUtils.java).

use bytes::BufMut;

/// Reads an unsigned varint byte by byte from `next`; `None` when the input ends or when the
/// number does not fit 32 bits.
#[inline]
pub fn unsigned(mut next: impl FnMut() -> Option<u8>) -> Option<u32> {
    let first = next()?;
    if first < 0x80 {
        return Some(u32::from(first));
    }
    let mut value = u32::from(first & 0x7f);
    for shift in [7, 14, 21] {
        let byte = next()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    let last = next()?;
    (last <= 0x0f).then(|| value | (u32::from(last) << 28))
}

/// Reads a zigzag varint of 32 bits; `None` as in [`unsigned`].
#[inline]
pub fn signed(next: impl FnMut() -> Option<u8>) -> Option<i32> {
    let raw = unsigned(next)?;
    Some(((raw >> 1) as i32) ^ -((raw & 1) as i32))
}

/// Reads a zigzag varint of 64 bits; `None` when the input ends or it does not fit.
#[inline]
pub fn signed_long(mut next: impl FnMut() -> Option<u8>) -> Option<i64> {
    let mut raw = 0u64;
    for shift in (0..63).step_by(7) {
        let byte = next()?;
        raw |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(unzigzag(raw));
        }
    }
    let last = next()?;
    (last <= 1).then(|| unzigzag(raw | (u64::from(last) << 63)))
}

fn unzigzag(raw: u64) -> i64 {
    ((raw >> 1) as i64) ^ -((raw & 1) as i64)
}

/// Takes the first byte off a slice: the `next` of the readers above for input in memory.
#[inline]
pub fn pop(bytes: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(first)
}

/// Writes an unsigned varint in its shortest form.
pub fn put_unsigned(out: &mut impl BufMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Writes a zigzag varint of 32 bits.
pub fn put_signed(out: &mut impl BufMut, value: i32) {
    put_unsigned(out, ((value << 1) ^ (value >> 31)) as u32);
}

/// Writes a zigzag varint of 64 bits.
pub fn put_signed_long(out: &mut impl BufMut, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

/// How many bytes [`put_unsigned`] writes for `value`.
pub fn unsigned_len(value: u32) -> usize {
    (32 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_unsigned(mut bytes: &[u8]) -> Option<u32> {
        unsigned(|| pop(&mut bytes))
    }

    #[test]
    fn a_number_longer_than_its_type_is_refused() {
        assert_eq!(
            read_unsigned(&[0xff, 0xff, 0xff, 0xff, 0x0f]),
            Some(u32::MAX)
        );
        assert_eq!(read_unsigned(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
        assert_eq!(read_unsigned(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), None);
        let mut long: &[u8] = &[0xff; 10];
        assert_eq!(signed_long(|| pop(&mut long)), None);
    }

    #[test]
    fn a_padded_number_is_read_as_kafka_reads_it() {
        assert_eq!(read_unsigned(&[0x81, 0x80, 0x00]), Some(1));
    }

    #[test]
    fn a_number_cut_short_is_refused() {
        assert_eq!(read_unsigned(&[]), None);
        assert_eq!(read_unsigned(&[0x80]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value: u32, long: i64) {
            let mut out = Vec::new();
            put_unsigned(&mut out, value);
            prop_assert_eq!(out.len(), unsigned_len(value));
            put_signed(&mut out, value as i32);
            put_signed_long(&mut out, long);
            let mut rest = out.as_slice();
            prop_assert_eq!(unsigned(|| pop(&mut rest)), Some(value));
            prop_assert_eq!(signed(|| pop(&mut rest)), Some(value as i32));
            prop_assert_eq!(signed_long(|| pop(&mut rest)), Some(long));
            prop_assert!(rest.is_empty());
        }
    }
}
