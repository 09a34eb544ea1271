//! The primitive types of Kafka's encoding that stored records need: big-endian numbers, compact
//! strings and arrays, UUIDs, tagged fields, and the lengths of the encoding before KIP-482 ("short"
//! strings, "long" bytes and arrays) that coordinator records keep. Knows no record.
//!
//! Reading is bounded: a length or count is checked against the bytes that remain before
//! anything is reserved for it, so damage costs an error and never memory.

use uuid::Uuid;

use crate::protocol::varint;

/// Why bytes are not the value they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("ends in the middle of a field")]
    Truncated,
    #[error("has a number that is cut off or does not fit its type")]
    Varint,
    #[error("has a length that its field does not allow")]
    Length,
    #[error("has text that is not UTF-8")]
    Utf8,
    #[error("has {0} byte(s) after its end")]
    Garbage(usize),
}

type Result<T> = std::result::Result<T, WireError>;

/// Consumes a slice from the front.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// Succeeds if everything was consumed.
    pub fn finish(self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(WireError::Garbage(left)),
        }
    }

    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk().ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    pub fn i8(&mut self) -> Result<i8> {
        self.array_of().map(i8::from_be_bytes)
    }

    pub fn bool(&mut self) -> Result<bool> {
        self.i8().map(|byte| byte != 0)
    }

    pub fn i16(&mut self) -> Result<i16> {
        self.array_of().map(i16::from_be_bytes)
    }

    pub fn u16(&mut self) -> Result<u16> {
        self.array_of().map(u16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32> {
        self.array_of().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64> {
        self.array_of().map(i64::from_be_bytes)
    }

    pub fn uuid(&mut self) -> Result<Uuid> {
        self.array_of().map(Uuid::from_bytes)
    }

    pub fn unsigned_varint(&mut self) -> Result<u32> {
        varint::unsigned(|| varint::pop(&mut self.0)).ok_or(WireError::Varint)
    }

    /// `None` is Kafka's null (a compact length of 0).
    pub fn nullable_string(&mut self) -> Result<Option<String>> {
        let len = self.unsigned_varint()? as usize;
        if len == 0 {
            return Ok(None);
        }
        let text = std::str::from_utf8(self.bytes(len - 1)?).map_err(|_| WireError::Utf8)?;
        Ok(Some(text.to_owned()))
    }

    pub fn string(&mut self) -> Result<String> {
        self.nullable_string()?.ok_or(WireError::Length)
    }

    /// A compact array; null is refused. Every element takes at least one byte, which bounds
    /// the count.
    pub fn array<T>(&mut self, element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.nullable_array(element)?.ok_or(WireError::Length)
    }

    /// A compact array or null.
    pub fn nullable_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let len = self.unsigned_varint()? as usize;
        if len == 0 {
            return Ok(None);
        }
        if len - 1 > self.0.len() {
            return Err(WireError::Truncated);
        }
        let mut elements = Vec::new();
        for _ in 1..len {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// Bytes behind a compact length; null is refused.
    pub fn compact_bytes(&mut self) -> Result<&'a [u8]> {
        match self.unsigned_varint()? as usize {
            0 => Err(WireError::Length),
            len => self.bytes(len - 1),
        }
    }

    /// Text behind a length of two bytes; any negative one is null.
    pub fn nullable_short_string(&mut self) -> Result<Option<String>> {
        let Ok(len) = usize::try_from(self.i16()?) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(self.bytes(len)?).map_err(|_| WireError::Utf8)?;
        Ok(Some(text.to_owned()))
    }

    pub fn short_string(&mut self) -> Result<String> {
        self.nullable_short_string()?.ok_or(WireError::Length)
    }

    /// Bytes behind a length of four bytes; null is refused.
    pub fn long_bytes(&mut self) -> Result<&'a [u8]> {
        let len = usize::try_from(self.i32()?).map_err(|_| WireError::Length)?;
        self.bytes(len)
    }

    /// An array behind a count of four bytes; null is refused. Every element takes at least one
    /// byte, which bounds the count.
    pub fn long_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = usize::try_from(self.i32()?).map_err(|_| WireError::Length)?;
        if count > self.0.len() {
            return Err(WireError::Truncated);
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Hands each tagged field to `field(tag, reader over its bytes)`, which returns whether it
    /// knows the tag. Unknown tags are skipped, as KIP-482 asks.
    pub fn tagged(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader<'a>) -> Result<bool>,
    ) -> Result<()> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            let mut value = Reader(self.bytes(size)?);
            if field(tag, &mut value)? {
                value.finish()?;
            }
        }
        Ok(())
    }

    /// Tagged fields of a structure that defines none.
    pub fn no_tagged(&mut self) -> Result<()> {
        self.tagged(|_, _| Ok(false))
    }
}

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    pub fn bool(&mut self, value: bool) {
        self.i8(value.into());
    }

    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.raw(value.as_bytes());
    }

    pub fn unsigned_varint(&mut self, value: u32) {
        varint::put_unsigned(&mut self.0, value);
    }

    pub fn string(&mut self, text: &str) {
        self.length(text.len());
        self.raw(text.as_bytes());
    }

    pub fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.unsigned_varint(0),
        }
    }

    /// At most 32,767 bytes, which every string that came in a request has.
    pub fn short_string(&mut self, text: &str) {
        let len = i16::try_from(text.len());
        assert!(len.is_ok(), "a string of {} bytes", text.len());
        self.i16(len.unwrap_or(i16::MAX));
        self.raw(text.as_bytes());
    }

    pub fn nullable_short_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.short_string(text),
            None => self.i16(-1),
        }
    }

    pub fn long_bytes(&mut self, bytes: &[u8]) {
        let len = i32::try_from(bytes.len());
        assert!(len.is_ok(), "{} bytes in one field", bytes.len());
        self.i32(len.unwrap_or(i32::MAX));
        self.raw(bytes);
    }

    pub fn array<T>(&mut self, elements: &[T], mut element: impl FnMut(&mut Self, &T)) {
        self.length(elements.len());
        for each in elements {
            element(self, each);
        }
    }

    /// Writes the tagged fields that `field` leaves in the given list; tags ascend.
    pub fn tagged(&mut self, fields: Vec<(u32, Writer)>) {
        self.unsigned_varint(fields.len() as u32);
        for (tag, value) in fields {
            self.unsigned_varint(tag);
            self.unsigned_varint(value.0.len() as u32);
            self.raw(&value.0);
        }
    }

    pub fn no_tagged(&mut self) {
        self.unsigned_varint(0);
    }

    /// Compact lengths are one more than the length, so that 0 can mean null.
    fn length(&mut self, len: usize) {
        let len = u32::try_from(len + 1);
        assert!(len.is_ok(), "a metadata field of 4 GiB cannot be ours");
        self.unsigned_varint(len.unwrap_or(u32::MAX));
    }
}
