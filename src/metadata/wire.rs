//! The primitive types of Kafka's flexible encoding that metadata records need: big-endian
//! numbers, compact strings and arrays, UUIDs, tagged fields. Knows no record.
//!
//! Reading is bounded: a length or count is checked against the bytes that remain before
//! anything is reserved for it, so damage costs an error and never memory.

use uuid::Uuid;

/// Why bytes are not the value they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("ends in the middle of a field")]
    Truncated,
    #[error("has a number that does not fit its type")]
    Overflow,
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
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array_of()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                return Err(WireError::Overflow);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(value)
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

    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
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
