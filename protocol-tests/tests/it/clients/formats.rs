//! What every program reads of what every program wrote: the records of `clients/README.md`, and
//! the same ones whoever reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::Cell;
use super::programs;

/// Of the table, what a client may be unable to send.
const OPTIONAL: [usize; 3] = [1, 5, 6];
/// A reader that cannot tell a field prints this.
const UNKNOWN: &str = "?";
const FAILURES_SHOWN: usize = 3;

/// What one program printed with `--read-topics`.
#[derive(Default)]
pub struct Reading {
    records: BTreeMap<String, Vec<Record>>,
    results: BTreeMap<String, Cell>,
}

/// As printed; bytes are hexadecimal, `-` is null.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    offset: String,
    timestamp: String,
    key: String,
    value: String,
    headers: String,
}

impl Record {
    fn fields(&self) -> [&str; 5] {
        [
            &self.offset,
            &self.timestamp,
            &self.key,
            &self.value,
            &self.headers,
        ]
    }

    /// Equal but for what one of the two could not tell.
    fn agrees(&self, other: &Record) -> bool {
        self.fields()
            .iter()
            .zip(other.fields())
            .all(|(a, b)| *a == b || *a == UNKNOWN || b == UNKNOWN)
    }
}

impl Reading {
    pub fn parse(lines: &[String]) -> Reading {
        let mut reading = Reading::default();
        for line in lines {
            if let Some(fields) = line.strip_prefix("record\t") {
                let mut fields = fields.split('\t').map(str::to_owned);
                let mut next = || fields.next().unwrap_or_default();
                let topic = next();
                reading.records.entry(topic).or_default().push(Record {
                    offset: next(),
                    timestamp: next(),
                    key: next(),
                    value: next(),
                    headers: next(),
                });
            } else {
                reading.results.extend(programs::parse(line, false));
            }
        }
        reading
    }
}

/// The cell of each reader. Whoever reads a topic first as it must be is what the others are
/// compared with.
pub fn judge<'a>(
    topics: &[String],
    readings: &BTreeMap<&'a str, Reading>,
) -> BTreeMap<&'a str, Cell> {
    let table = table();
    let mut failures: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut unread: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for topic in topics {
        let mut reference: Option<(&str, &[Record])> = None;
        for (reader, reading) in readings {
            let verdict = match reading.results.get(topic) {
                Some(Cell::NotApplicable { reason }) => {
                    unread.entry(reader).or_default().insert(reason);
                    continue;
                }
                Some(Cell::Fail { reason }) => Err(reason.clone()),
                None => Err("no result".to_owned()),
                Some(Cell::Ok { .. }) => {
                    let read = reading.records.get(topic).map_or(&[][..], Vec::as_slice);
                    let verdict = check(&table, read).and_then(|()| agree(read, reference));
                    if verdict.is_ok() {
                        reference.get_or_insert((reader, read));
                    }
                    verdict
                }
            };
            if let Err(reason) = verdict {
                let reason = format!("{topic}: {reason}");
                failures.entry(reader).or_default().push(reason);
            }
        }
    }
    let cell = |reader: &&'a str| match (failures.get(reader), unread.get(reader)) {
        (Some(failures), _) => {
            let shown = &failures[..failures.len().min(FAILURES_SHOWN)];
            let count = failures.len();
            Cell::fail(format!("{count} topics: {}", shown.join("; ")))
        }
        (None, unread) => Cell::Ok {
            restriction: unread.map_or_else(String::new, |reasons| {
                reasons.iter().copied().collect::<Vec<_>>().join("; ")
            }),
        },
    };
    readings
        .keys()
        .map(|reader| (*reader, cell(reader)))
        .collect()
}

fn agree(read: &[Record], reference: Option<(&str, &[Record])>) -> Result<(), String> {
    let Some((other, wanted)) = reference else {
        return Ok(());
    };
    if read.len() != wanted.len() {
        return Err(format!(
            "{} records, {other} read {}",
            read.len(),
            wanted.len()
        ));
    }
    match read.iter().zip(wanted).find(|(a, b)| !a.agrees(b)) {
        None => Ok(()),
        Some((a, b)) => Err(format!("read {a:?}, {other} read {b:?}")),
    }
}

/// The records of the table in their order, at offsets from 0, but for what may be left out.
fn check(table: &[Record], read: &[Record]) -> Result<(), String> {
    let no_headers = read.iter().all(|r| r.headers.is_empty());
    let mut wanted = (0..).zip(table);
    for (offset, record) in read.iter().enumerate() {
        let got = Record {
            offset: UNKNOWN.to_owned(),
            timestamp: UNKNOWN.to_owned(),
            headers: if no_headers { UNKNOWN } else { &record.headers }.to_owned(),
            ..record.clone()
        };
        if record.offset != offset.to_string() {
            return Err(format!("offset {} at {offset}", record.offset));
        }
        loop {
            let Some((index, next)) = wanted.next() else {
                return Err(format!("more than the table, or out of order: {record:?}"));
            };
            if next.agrees(&got) {
                break;
            }
            if !OPTIONAL.contains(&index) {
                return Err(format!("read {record:?}, wanted {next:?}"));
            }
        }
    }
    match wanted.next() {
        None => Ok(()),
        Some((index, _)) => Err(format!("record {index} and those behind it are missing")),
    }
}

fn table() -> Vec<Record> {
    let every_byte: Vec<u8> = (0..=255).collect();
    let record =
        |key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, Option<&str>)]| Record {
            offset: UNKNOWN.to_owned(),
            timestamp: UNKNOWN.to_owned(),
            key: hex(key),
            value: hex(value),
            headers: headers
                .iter()
                .map(|(k, v)| format!("{}={}", hex(Some(k.as_bytes())), hex(v.map(str::as_bytes))))
                .collect::<Vec<_>>()
                .join(","),
        };
    let twice = [
        ("twice", Some("1")),
        ("other", Some("x")),
        ("twice", Some("2")),
        ("empty", Some("")),
    ];
    let mut table = vec![
        record(Some(b"key"), Some(b"value"), &twice),
        record(None, Some(b"no key"), &[]),
        record(Some(b"no value"), None, &[]),
        record(Some(b""), Some(b""), &[]),
        record(Some(b"bytes"), Some(&every_byte), &[]),
        record(None, None, &[]),
        record(Some(b"null header"), Some(b"value"), &[("null", None)]),
    ];
    for n in 0..50 {
        let (key, value) = (
            format!("key {n}"),
            format!("record {n} {}", "abcdefgh".repeat(20)),
        );
        let bulk = [("bulk", Some("yes"))];
        table.push(record(Some(key.as_bytes()), Some(value.as_bytes()), &bulk));
    }
    table
}

fn hex(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return "-".to_owned();
    };
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}
