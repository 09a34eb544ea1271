//! The alphabet of Kafka's message encoding, for the two messages read and written by hand.
//!
//! The reader hands out slices of the frame, never reserves memory for a declared count, and
//! charges what it builds against a budget (Kafka: protocol guide, KIP-482). It knows nothing
//! of any message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use super::varint;
use crate::types::TopicId;

/// Why a request body cannot be read. The connection ends without an answer (R38).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("version {0} has no codec")]
    Version(i16),
    #[error("the body ends inside a field")]
    Short,
    #[error("a length or count of {0} is impossible")]
    Length(i64),
    #[error("a variable-length integer is too long")]
    Varint,
    #[error("a string is not UTF-8")]
    Utf8,
    #[error("more than {MAX_TAGGED_FIELDS} tagged fields in one structure")]
    TaggedFields,
    #[error("the decoded request would exceed its memory limit")]
    TooLarge,
}

/// Nobody sends more; each unknown one is skipped.
const MAX_TAGGED_FIELDS: u32 = 64;
/// Decoded structures per frame byte, and in all: a tiny frame may still hold one partition.
const DECODED_PER_BYTE: usize = 32;
const DECODED_FREE: usize = 64 << 10;
const DECODED_MAX: usize = 64 << 20;

/// Reads a request body front to back.
pub(super) struct Reader {
    rest: Bytes,
    flexible: bool,
    /// Bytes of decoded structures that may still be built.
    budget: usize,
}

pub(super) type Decoded<T> = Result<T, DecodeError>;

impl Reader {
    /// `flexible` selects compact lengths and tagged fields (KIP-482).
    pub(super) fn new(body: Bytes, flexible: bool) -> Reader {
        let budget = (body.len().saturating_mul(DECODED_PER_BYTE) + DECODED_FREE).min(DECODED_MAX);
        Reader {
            rest: body,
            flexible,
            budget,
        }
    }

    pub(super) fn i8(&mut self) -> Decoded<i8> {
        self.rest.try_get_i8().map_err(|_| DecodeError::Short)
    }

    pub(super) fn i16(&mut self) -> Decoded<i16> {
        self.rest.try_get_i16().map_err(|_| DecodeError::Short)
    }

    pub(super) fn i32(&mut self) -> Decoded<i32> {
        self.rest.try_get_i32().map_err(|_| DecodeError::Short)
    }

    pub(super) fn i64(&mut self) -> Decoded<i64> {
        self.rest.try_get_i64().map_err(|_| DecodeError::Short)
    }

    pub(super) fn uuid(&mut self) -> Decoded<uuid::Uuid> {
        let bits = self.rest.try_get_u128().map_err(|_| DecodeError::Short)?;
        Ok(uuid::Uuid::from_u128(bits))
    }

    pub(super) fn topic_id(&mut self) -> Decoded<TopicId> {
        self.uuid().map(TopicId)
    }

    pub(super) fn string(&mut self) -> Decoded<StrBytes> {
        self.nullable_string()?.ok_or(DecodeError::Length(-1))
    }

    pub(super) fn nullable_string(&mut self) -> Decoded<Option<StrBytes>> {
        let length = match self.flexible {
            true => self.compact_length()?,
            false => i64::from(self.i16()?),
        };
        match self.slice(length)? {
            None => Ok(None),
            Some(bytes) => match StrBytes::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(DecodeError::Utf8),
            },
        }
    }

    /// A slice of the frame.
    pub(super) fn nullable_bytes(&mut self) -> Decoded<Option<Bytes>> {
        let length = match self.flexible {
            true => self.compact_length()?,
            false => i64::from(self.i32()?),
        };
        self.slice(length)
    }

    /// An array whose elements take at least `min_size` bytes each in the frame.
    pub(super) fn array<T>(
        &mut self,
        min_size: usize,
        mut element: impl FnMut(&mut Reader) -> Decoded<T>,
    ) -> Decoded<Vec<T>> {
        let count = match self.flexible {
            true => self.compact_length()?,
            false => i64::from(self.i32()?),
        };
        let fits = usize::try_from(count).is_ok_and(|count| count <= self.rest.len() / min_size);
        if !fits {
            return Err(DecodeError::Length(count));
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            self.budget = self
                .budget
                .checked_sub(size_of::<T>())
                .ok_or(DecodeError::TooLarge)?;
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// The tagged fields behind a structure, nothing in versions without them. `known` reads
    /// the tags it knows from exactly their bytes and leaves the others.
    pub(super) fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader) -> Decoded<()>,
    ) -> Decoded<()> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.varint()?;
        if count > MAX_TAGGED_FIELDS {
            return Err(DecodeError::TaggedFields);
        }
        for _ in 0..count {
            let tag = self.varint()?;
            let size = self.varint()?;
            let field = self.slice(i64::from(size))?.unwrap_or_default();
            known(
                tag,
                &mut Reader {
                    rest: field,
                    flexible: true,
                    budget: 0,
                },
            )?;
        }
        Ok(())
    }

    pub(super) fn no_tags(&mut self) -> Decoded<()> {
        self.tags(|_, _| Ok(()))
    }

    fn varint(&mut self) -> Decoded<u32> {
        let mut bytes = &self.rest[..];
        let value = varint::unsigned(|| varint::pop(&mut bytes));
        let consumed = self.rest.len() - bytes.len();
        self.rest.advance(consumed);
        value.ok_or(match consumed {
            0..5 => DecodeError::Short,
            _ => DecodeError::Varint,
        })
    }

    /// −1 is null.
    fn compact_length(&mut self) -> Decoded<i64> {
        Ok(i64::from(self.varint()?) - 1)
    }

    fn slice(&mut self, length: i64) -> Decoded<Option<Bytes>> {
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => Ok(Some(self.rest.split_to(length))),
            Ok(_) => Err(DecodeError::Short),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(DecodeError::Length(length)),
        }
    }
}

/// Writes a response body front to back.
pub(super) struct Writer<'a> {
    pub(super) out: &'a mut BytesMut,
    flexible: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut BytesMut, flexible: bool) -> Writer<'a> {
        Writer { out, flexible }
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    pub(super) fn uuid(&mut self, value: uuid::Uuid) {
        self.out.put_u128(value.as_u128());
    }

    /// A string of ours, cut to what the field can hold: 32,767 bytes in old versions.
    pub(super) fn string(&mut self, value: &str) {
        if self.flexible {
            varint::put_unsigned(self.out, value.len() as u32 + 1);
            self.out.put_slice(value.as_bytes());
            return;
        }
        let mut length = value.len().min(i16::MAX as usize);
        while !value.is_char_boundary(length) {
            length -= 1;
        }
        self.out.put_i16(length as i16);
        self.out.put_slice(&value.as_bytes()[..length]);
    }

    pub(super) fn nullable_string(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.string(value),
            None if self.flexible => self.out.put_u8(0),
            None => self.out.put_i16(-1),
        }
    }

    /// The count in front of an array's elements.
    pub(super) fn array_len(&mut self, count: usize) {
        match self.flexible {
            true => varint::put_unsigned(self.out, count as u32 + 1),
            false => self.out.put_i32(count as i32),
        }
    }

    pub(super) fn null_array(&mut self) {
        match self.flexible {
            true => self.out.put_u8(0),
            false => self.out.put_i32(-1),
        }
    }

    /// The length in front of a records field.
    pub(super) fn bytes_len(&mut self, length: usize) {
        self.array_len(length);
    }

    /// The number of tagged fields that follow; nothing in versions without them.
    pub(super) fn tag_count(&mut self, count: usize) {
        if self.flexible {
            varint::put_unsigned(self.out, count as u32);
        }
    }

    /// Tag and size of a tagged field whose content follows.
    pub(super) fn tag(&mut self, tag: u32, size: usize) {
        varint::put_unsigned(self.out, tag);
        varint::put_unsigned(self.out, size as u32);
    }

    /// A structure that ends without tagged fields.
    pub(super) fn no_tags(&mut self) {
        self.tag_count(0);
    }
}
