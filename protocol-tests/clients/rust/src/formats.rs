//! Records in every shape, written with each codec and read from every other client.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;

use crate::check::equal;
use crate::client::{Client, Record};
use crate::records::{ago, consecutive, numbered, read_all, send};

/// The table of ../README.md without its bulk.
pub fn table(base: i64) -> Vec<Record> {
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    let header = |key: &str, value| (key.to_owned(), value);
    let plain = |key, value| Record {
        key,
        value,
        ..Record::default()
    };
    let mut records = vec![
        plain(bytes("key"), bytes("value")),
        plain(None, bytes("no key")),
        plain(bytes("no value"), None),
        plain(bytes(""), bytes("")),
        plain(bytes("bytes"), Some((0..=255).collect())),
        plain(None, None),
        plain(bytes("null header"), bytes("value")),
    ];
    records[0].headers = vec![
        header("twice", bytes("1")),
        header("other", bytes("x")),
        header("twice", bytes("2")),
        header("empty", bytes("")),
    ];
    records[6].headers = vec![header("null", None)];
    place(&mut records, base);
    records
}

/// Sets timestamps and offsets.
fn place(records: &mut [Record], base: i64) {
    for (offset, record) in (0..).zip(records) {
        record.offset = offset;
        record.timestamp = base + offset;
    }
}

/// Wants `records` at their offsets, field by field.
pub fn send_and_read_back(
    client: &Client,
    topic: &str,
    records: Vec<Record>,
    settings: &[(&str, &str)],
) -> Result<()> {
    client.create_topic(topic, 1)?;
    let offsets = send(client, topic, &records, settings)?;
    equal(offsets, consecutive(records.len()), "acknowledged offsets")?;
    for (got, wanted) in read_all(client, topic, records.len())?
        .into_iter()
        .zip(records)
    {
        equal(got, wanted, "record")?;
    }
    Ok(())
}

pub fn write(client: &Client, topic: &str, codec: &str) -> Result<&'static str> {
    let base = ago(Duration::from_secs(60));
    let mut records = table(base);
    for (n, mut record) in numbered(50).into_iter().enumerate() {
        record.key = Some(format!("key {n}").into_bytes());
        record.headers = vec![("bulk".to_owned(), Some(b"yes".to_vec()))];
        records.push(record);
    }
    place(&mut records, base);
    send_and_read_back(client, topic, records, &[("compression.type", codec)])?;
    Ok("")
}

/// Prints every record of a topic that another client has written.
pub fn read(client: &Client, topic: &str) -> Result<&'static str> {
    let (_, end) = client.watermarks(topic)?;
    for record in read_all(client, topic, usize::try_from(end)?)? {
        let headers: Vec<String> = record
            .headers
            .iter()
            .map(|(key, value)| format!("{}={}", hex(Some(key.as_bytes())), hex(value.as_deref())))
            .collect();
        println!(
            "record\t{topic}\t{}\t{}\t{}\t{}\t{}",
            record.offset,
            record.timestamp,
            hex(record.key.as_deref()),
            hex(record.value.as_deref()),
            headers.join(",")
        );
    }
    Ok("")
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
