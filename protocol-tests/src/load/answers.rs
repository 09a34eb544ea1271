//! The few fields of an answer that the load looks at: error, and how many bytes of records.

use anyhow::{Context, Result, bail, ensure};

/// As many bytes of an answer as are ever looked at: all fields before the records of one
/// partition, with a topic name of up to 100 bytes.
pub const PREFIX: usize = 192;

/// Checks a Produce v12 answer of one partition.
///
/// # Errors
/// The broker refused.
pub fn produced(answer: &[u8]) -> Result<()> {
    let mut fields = Fields(answer);
    fields.skip(4 + 4 + 1)?;
    ensure!(fields.uvarint()? == 2, "not one topic in the answer");
    fields.compact_string()?;
    ensure!(fields.uvarint()? == 2, "not one partition in the answer");
    fields.skip(4)?;
    match fields.i16()? {
        0 => Ok(()),
        error => bail!("a produce was refused with error {error}"),
    }
}

/// Checks a Heartbeat v4 answer.
///
/// # Errors
/// The broker refused.
pub fn beaten(answer: &[u8]) -> Result<()> {
    let mut fields = Fields(answer);
    fields.skip(4 + 4 + 1 + 4)?;
    match fields.i16()? {
        0 => Ok(()),
        error => bail!("a heartbeat was refused with error {error}"),
    }
}

/// Checks an OffsetCommit v8 answer of one partition.
///
/// # Errors
/// The broker refused.
pub fn committed(answer: &[u8]) -> Result<()> {
    let mut fields = Fields(answer);
    fields.skip(4 + 4 + 1 + 4)?;
    ensure!(fields.uvarint()? == 2, "not one topic in the answer");
    fields.compact_string()?;
    ensure!(fields.uvarint()? == 2, "not one partition in the answer");
    fields.skip(4)?;
    match fields.i16()? {
        0 => Ok(()),
        error => bail!("a commit was refused with error {error}"),
    }
}

/// What a Fetch v12 answer says of its one partition.
pub struct Fetched {
    pub high_watermark: i64,
    pub record_bytes: usize,
}

/// # Errors
/// The broker refused.
pub fn fetched(answer: &[u8]) -> Result<Fetched> {
    let mut fields = Fields(answer);
    fields.skip(4 + 4 + 1 + 4)?;
    let error = fields.i16()?;
    ensure!(error == 0, "a fetch was refused with error {error}");
    fields.skip(4)?;
    ensure!(fields.uvarint()? == 2, "not one topic in the answer");
    fields.compact_string()?;
    ensure!(fields.uvarint()? == 2, "not one partition in the answer");
    fields.skip(4)?;
    let error = fields.i16()?;
    ensure!(error == 0, "a partition was refused with error {error}");
    let high_watermark = fields.i64()?;
    fields.skip(8 + 8)?;
    let aborted = fields.uvarint()?;
    ensure!(aborted <= 1, "aborted transactions in the answer");
    fields.skip(4)?;
    let record_bytes = fields.uvarint()?.saturating_sub(1) as usize;
    Ok(Fetched {
        high_watermark,
        record_bytes,
    })
}

/// A cursor over the first bytes of an answer.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn skip(&mut self, bytes: usize) -> Result<()> {
        self.0 = self.0.get(bytes..).context("a short answer")?;
        Ok(())
    }

    fn i16(&mut self) -> Result<i16> {
        let bytes = *self.0.first_chunk::<2>().context("a short answer")?;
        self.skip(2)?;
        Ok(i16::from_be_bytes(bytes))
    }

    fn i64(&mut self) -> Result<i64> {
        let bytes = *self.0.first_chunk::<8>().context("a short answer")?;
        self.skip(8)?;
        Ok(i64::from_be_bytes(bytes))
    }

    fn uvarint(&mut self) -> Result<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = *self.0.first().context("a short answer")?;
            self.skip(1)?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        bail!("an endless varint in the answer")
    }

    fn compact_string(&mut self) -> Result<()> {
        let length = self.uvarint()?.saturating_sub(1);
        self.skip(length as usize)
    }
}
