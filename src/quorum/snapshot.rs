//! Snapshots of the metadata: `<end offset>-<epoch>.checkpoint`, Kafka's file format. A header
//! control record, the records of an image, a footer control record, in batches like a log's
//! (kafka:RecordsSnapshotWriter.java, SnapshotHeaderRecord.json). A file without its footer or
//! with a bad checksum is not there. Decides nothing about when, or what may then be deleted.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::log::small_files::{private_write_options, sync_directory};
use crate::metadata::image::{Image, MetadataOffset};
use crate::metadata::image_writer;
use crate::metadata::records::MetadataRecord;
use crate::protocol::batch::{
    BatchHeader, BatchOptions, Record, ValidBatch, crc_matches, for_each_record,
};
use crate::quorum::entry::MAX_BATCH_BYTES;
use crate::types::{LeaderEpoch, Millis, Offset};

/// Records that share a batch.
const RECORDS_PER_BATCH: usize = 500;
/// Version 0, record types 3 and 4 (kafka:ControlRecordType.java).
const HEADER_KEY: [u8; 4] = [0, 0, 0, 3];
const FOOTER_KEY: [u8; 4] = [0, 0, 0, 4];
/// SnapshotFooterRecord version 0: the version, no tagged fields.
const FOOTER: [u8; 3] = [0, 0, 0];

/// Names a snapshot: it holds every record below `end_offset`, the last one of `epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    pub end_offset: Offset,
    pub epoch: LeaderEpoch,
}

impl SnapshotId {
    fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!(
            "{:020}-{:010}.checkpoint",
            self.end_offset, self.epoch
        ))
    }

    fn parse(name: &str) -> Option<SnapshotId> {
        let (end_offset, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
        let id = SnapshotId {
            end_offset: end_offset.parse().ok()?,
            epoch: epoch.parse().ok()?,
        };
        (end_offset.len() == 20 && epoch.len() == 10).then_some(id)
    }
}

/// The snapshots in `dir` by name, oldest first; what they hold is for [`read`] to see. Removes
/// the remains of unfinished ones.
pub fn list(dir: &Path) -> io::Result<Vec<SnapshotId>> {
    let mut ids = Vec::new();
    for file in fs::read_dir(dir)? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".checkpoint.part") {
            fs::remove_file(file.path())?;
        }
        ids.extend(SnapshotId::parse(&name));
    }
    ids.sort();
    Ok(ids)
}

/// Writes `image` so that it is on the device under its name when this returns.
pub fn write(dir: &Path, id: SnapshotId, image: &Image, now: Millis) -> io::Result<()> {
    assert_eq!(
        image.applied.0 + 1,
        id.end_offset,
        "a snapshot of another image"
    );
    let path = id.path(dir);
    let part = path.with_extension("checkpoint.part");
    let file = private_write_options()
        .create(true)
        .truncate(true)
        .open(&part)?;
    let mut writer = Writer {
        out: BufWriter::with_capacity(64 << 10, file),
        epoch: id.epoch,
        next_offset: 0,
        now,
    };
    // Version, timestamp of the last record contained, no tagged fields.
    let header = [&[0, 0], &now.to_be_bytes()[..], &[0]].concat();
    writer.control(&HEADER_KEY, &header)?;
    let mut values = Vec::with_capacity(RECORDS_PER_BATCH);
    for record in image_writer::records(image) {
        values.push(record.encode());
        if values.len() == RECORDS_PER_BATCH {
            writer.data(&values)?;
            values.clear();
        }
    }
    writer.data(&values)?;
    writer.control(&FOOTER_KEY, &FOOTER)?;
    let file = writer.out.into_inner()?;
    file.sync_data()?;
    fs::rename(&part, &path)?;
    sync_directory(dir)
}

/// The image of a snapshot; `None`, with a warning, if the file is not whole.
pub fn read(dir: &Path, id: SnapshotId, cluster_id: &str) -> io::Result<Option<Image>> {
    let path = id.path(dir);
    let bytes = fs::read(&path)?;
    match parse(&bytes, id, cluster_id) {
        Ok(image) => Ok(Some(image)),
        Err(problem) => {
            warn!(path = %path.display(), problem, "passing over a snapshot that is not whole");
            Ok(None)
        }
    }
}

pub fn remove(dir: &Path, id: SnapshotId) -> io::Result<()> {
    fs::remove_file(id.path(dir))
}

struct Writer {
    out: BufWriter<File>,
    epoch: LeaderEpoch,
    next_offset: Offset,
    now: Millis,
}

impl Writer {
    fn control(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let record = Record {
            timestamp: self.now,
            key: Some(key),
            value: Some(value),
            ..Record::default()
        };
        let options = BatchOptions {
            control: true,
            ..BatchOptions::default()
        };
        self.batch(&[record], &options)
    }

    fn data(&mut self, values: &[Vec<u8>]) -> io::Result<()> {
        let records = values.iter().map(|value| Record {
            timestamp: self.now,
            value: Some(value),
            ..Record::default()
        });
        let records: Vec<Record<'_>> = records.collect();
        match records.is_empty() {
            true => Ok(()),
            false => self.batch(&records, &BatchOptions::default()),
        }
    }

    fn batch(&mut self, records: &[Record<'_>], options: &BatchOptions) -> io::Result<()> {
        let mut batch = ValidBatch::build(records, options);
        batch.assign(self.next_offset, self.epoch);
        self.next_offset = batch.header().next_offset();
        self.out.write_all(batch.head())?;
        self.out.write_all(batch.body())
    }
}

fn parse(bytes: &[u8], id: SnapshotId, cluster_id: &str) -> Result<Image, String> {
    let mut image = Image::empty(cluster_id);
    let mut rest = bytes;
    let mut last_key = None;
    while !rest.is_empty() {
        let header = BatchHeader::read(rest).filter(BatchHeader::is_plausible);
        let header = header.ok_or("it has no batch where one should begin")?;
        let size = header.total_size();
        let (batch, behind) = rest
            .split_at_checked(size)
            .ok_or("its last batch is cut off")?;
        if size > MAX_BATCH_BYTES || !crc_matches(batch) {
            return Err("a checksum does not match".to_owned());
        }
        let first = last_key.is_none();
        let mut records = Vec::new();
        let walked = for_each_record(batch, |record| {
            match header.is_control() {
                true => last_key = record.key.map(<[u8]>::to_vec),
                false => records.push(record.value.map(MetadataRecord::decode)),
            }
            ControlFlow::Continue(())
        });
        walked.map_err(|_| "a batch cannot be read")?;
        if first && last_key.as_deref() != Some(&HEADER_KEY[..]) {
            return Err("it does not begin with its header".to_owned());
        }
        image = apply(&image, records)?;
        rest = behind;
    }
    if last_key.as_deref() != Some(&FOOTER_KEY[..]) {
        return Err("it does not end with its footer".to_owned());
    }
    image.applied = MetadataOffset(id.end_offset - 1);
    Ok(image)
}

type Decoded = Option<Result<MetadataRecord, crate::metadata::records::RecordError>>;

fn apply(image: &Image, records: Vec<Decoded>) -> Result<Image, String> {
    let mut decoded = Vec::with_capacity(records.len());
    for record in records {
        let record = record.ok_or("a record has no value")?;
        decoded.push(record.map_err(|error| error.to_string())?);
    }
    let numbered = decoded.iter().map(|record| (image.applied, record));
    image.apply(numbered).map_err(|error| error.to_string())
}
