//! Kafka's own DumpLogSegments reads what Ottla has written: logs, indexes, snapshots, metadata.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use protocol_tests::client::Connection;
use protocol_tests::random::Random;
use protocol_tests::torture::{Site, newest_build};

use crate::wire::batch::{Batch, GZIP, LZ4, Record, SNAPPY, T0, ZSTD};

const TOOL_DEADLINE_S: &str = "60";
const TOPICS: [&str; 2] = ["first", "second"];
const METADATA_LOG: &str = "__cluster_metadata-0";
const DERIVED: [&str; 3] = ["index", "timeindex", "snapshot"];
const RECORDS_PER_BATCH: usize = 12;
/// A snapshot is due after 20 MiB of metadata; each partition takes at least 100 bytes.
const SNAPSHOT_ROUNDS: usize = 24;
const MANY_PARTITIONS: i32 = 9_000;
/// In lower case; no line of the tool may contain one.
const COMPLAINTS: [&str; 10] = [
    "mismatch",
    "indexed offset",
    "isvalid: false",
    "not found",
    "exception",
    "error",
    "out of order",
    "non-consecutive",
    "invalid",
    "could not",
];

#[test]
fn kafkas_own_tool_finds_no_fault_in_our_files() {
    let Some(kafka) = kafka() else {
        eprintln!("skipped: Kafka's jars are not installed, scripts/setup does it");
        return;
    };
    judge(&kafka).expect("files that Kafka reads");
}

#[test]
fn kafkas_own_tool_reads_our_metadata_snapshots() -> Result<()> {
    let Some(kafka) = kafka() else {
        eprintln!("skipped: Kafka's jars are not installed, scripts/setup does it");
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let mut site = Site::new(&newest_build()?, directory.path())?;
    let broker = site.start()?;
    let mut connection = Connection::open(&site.bootstrap)?;
    let kept = [("retention.ms", "-1")];
    connection.create_topic("kept", 3, &kept)?.expect("created");
    let log = site.data().join(METADATA_LOG);
    let mut snapshot = None;
    for round in 0..SNAPSHOT_ROUNDS {
        let name = format!("large-{round}");
        connection
            .create_topic(&name, MANY_PARTITIONS, &[])?
            .expect("created");
        connection.delete_topic(&name)?.expect("deleted");
        let files = log.read_dir()?.flatten().map(|entry| entry.path());
        let mut snapshots =
            files.filter(|path| path.extension().is_some_and(|e| e == "checkpoint"));
        snapshot = snapshots.next();
        if snapshot.is_some() {
            break;
        }
    }
    broker.stop()?;
    let snapshot = snapshot.context("no snapshot")?;
    let said = dump(&kafka, &[snapshot], &["--cluster-metadata-decoder"])?;
    for record in [
        "SnapshotHeader",
        "FEATURE_LEVEL_RECORD",
        "REGISTER_BROKER_RECORD",
        "\"name\":\"kept\"",
        "\"name\":\"retention.ms\",\"value\":\"-1\"",
        "SnapshotFooter",
    ] {
        ensure!(said.contains(record), "no {record} in:\n{said}");
    }
    Ok(())
}

fn judge(kafka: &Path) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut site = Site::new(&newest_build()?, directory.path())?
        .with_arguments(&["--override", "log.segment.bytes=1048576"]);
    let mut random = Random::new(1);

    let broker = site.start()?;
    let mut connection = Connection::open(&site.bootstrap)?;
    for topic in TOPICS {
        connection
            .create_topic(topic, 1, &[("retention.ms", "-1")])?
            .expect("created");
    }
    let mut records = produce(&mut connection, 300, &mut random)?;
    broker.stop().context("the first stop")?;
    let segments = check(kafka, &site.data(), records)?;
    assert!(segments >= 6, "{segments} segments");

    let broker = site.start()?;
    records += produce(&mut Connection::open(&site.bootstrap)?, 60, &mut random)?;
    broker.kill()?;
    let broker = site.start()?;
    records += produce(&mut Connection::open(&site.bootstrap)?, 60, &mut random)?;
    broker.stop().context("the stop after a kill")?;
    check(kafka, &site.data(), records).context("after a kill")?;

    // Killed, and without anything that can be derived.
    site.start()?.kill()?;
    for file in files(&site.data(), &DERIVED)? {
        fs::remove_file(file)?;
    }
    let broker = site.start()?;
    use_every_segment(&site)?;
    // Producers are looked up when one of them is heard of.
    records += produce(&mut Connection::open(&site.bootstrap)?, 14, &mut random)?;
    broker.stop().context("the stop after everything derived")?;
    check(kafka, &site.data(), records).context("derived anew")?;
    the_tool_complains(kafka, &site.data())
}

/// The control: a wrong offset, a wrong time and a wrong record do not pass.
fn the_tool_complains(kafka: &Path, data: &Path) -> Result<()> {
    for (extension, at) in [("index", 3), ("timeindex", 7), ("log", 200)] {
        let files = files(data, &[extension])?;
        let file = files.first().context("no file")?;
        let mut bytes = fs::read(file)?;
        bytes[at] ^= 1;
        fs::write(file, bytes)?;
        let options = ["--deep-iteration", "--print-data-log"];
        let judgement = dump(kafka, std::slice::from_ref(file), &options);
        ensure!(judgement.is_err(), "a damaged .{extension} passes");
    }
    Ok(())
}

/// To each topic `batches` batches of every kind, with times that mostly grow; how many records
/// that makes.
fn produce(connection: &mut Connection, batches: i64, random: &mut Random) -> Result<usize> {
    let mut produced = 0;
    for topic in TOPICS {
        let id = connection.init_producer_id()?.expect("an id");
        let mut sequence = 0;
        for number in 0..batches {
            let records: Vec<Record> = (0..RECORDS_PER_BATCH).map(|n| record(n, random)).collect();
            let earlier = if number % 5 == 4 { 1000 } else { 0 };
            let plain = Batch::of(&records).created_at(T0 + 40 * number - earlier);
            let batch = match number % 7 {
                1 => plain.compressed(GZIP),
                2 => plain.compressed(SNAPPY),
                3 => plain.compressed(LZ4),
                4 => plain.compressed(ZSTD),
                5 | 6 => {
                    let batch = plain.by_producer(id, 0, sequence);
                    sequence += RECORDS_PER_BATCH as i32;
                    batch
                }
                _ => plain,
            };
            connection.send_produce(topic, 0, -1, batch.bytes().into())?;
            connection.receive_produced()?.expect("acknowledged");
            produced += RECORDS_PER_BATCH;
        }
    }
    Ok(produced)
}

/// An index of a segment that is not written any more is made when somebody looks for an offset.
fn use_every_segment(site: &Site) -> Result<()> {
    let mut connection = Connection::open(&site.bootstrap)?;
    for log in files(&site.data(), &["log"])? {
        let base = log.file_stem().and_then(|name| name.to_str());
        let base: i64 = base.context("a name")?.parse()?;
        let directory = log.parent().and_then(Path::file_name);
        let directory = directory.and_then(|name| name.to_str()).context("a name")?;
        let topic = directory.trim_end_matches("-0");
        let offset = base + RECORDS_PER_BATCH as i64 * 3;
        let found = connection.fetch(topic, 0, offset, 0)?.expect("fetched");
        assert!(!found.is_empty(), "nothing at {offset} of {topic}");
    }
    Ok(())
}

/// With a key or without one, and text that does not compress to nothing.
fn record(number: usize, random: &mut Random) -> Record {
    let value = random.noise(700).into_iter();
    let value: String = value.map(|byte| format!("{byte:02x}")).collect();
    Record {
        timestamp_delta: [3, 0, 7][number % 3],
        key: (!number.is_multiple_of(4)).then(|| format!("key-{number}").into_bytes()),
        value: Some(value.into_bytes()),
        ..Record::default()
    }
}

/// Dumps everything; how many segments there are.
fn check(kafka: &Path, data: &Path, records: usize) -> Result<usize> {
    let logs = files(data, &["log"])?;
    let indexes = files(data, &["index", "timeindex"])?;
    let snapshots = files(data, &["snapshot"])?;
    ensure!(
        indexes.len() == 2 * logs.len(),
        "{} indexes of {} segments",
        indexes.len(),
        logs.len()
    );
    ensure!(!snapshots.is_empty(), "no producer snapshot");

    let dumped = dump(kafka, &logs, &["--deep-iteration", "--print-data-log"])?;
    let count = dumped.lines().filter(|line| line.starts_with("| offset:"));
    let count = count.count();
    ensure!(count == records, "{count} records of {records}");

    let derived = dump(kafka, &[indexes.clone(), snapshots].concat(), &[])?;
    let entries = |what: &str| derived.lines().filter(|l| l.starts_with(what)).count();
    ensure!(entries("offset: ") > 100, "hardly any offset index entries");
    ensure!(
        entries("timestamp: ") > 100,
        "hardly any time index entries"
    );
    ensure!(entries("producerId: ") > 0, "no producers");
    dump(kafka, &indexes, &["--verify-index-only"])?;

    let metadata = vec![data.join(METADATA_LOG).join("00000000000000000000.log")];
    let metadata = dump(kafka, &metadata, &["--cluster-metadata-decoder"])?;
    for topic in TOPICS {
        let named = |line: &&str| line.contains("TOPIC_RECORD") && line.contains(topic);
        ensure!(
            metadata.lines().any(|line| named(&line)),
            "no record of {topic}:\n{metadata}"
        );
    }
    Ok(logs.len())
}

/// What the tool says of the files; an error if that is not all well.
pub fn dump(kafka: &Path, files: &[PathBuf], options: &[&str]) -> Result<String> {
    dump_but_for("", kafka, files, options)
}

/// The same where one complaint is due.
pub fn dump_but_for(
    due: &str,
    kafka: &Path,
    files: &[PathBuf],
    options: &[&str],
) -> Result<String> {
    let names: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
    let output = Command::new("timeout")
        .args(["--signal=KILL", TOOL_DEADLINE_S, "java"])
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-cp")
        .arg(kafka.join("*"))
        .arg("kafka.tools.DumpLogSegments")
        .args(options)
        .args(["--files", &names.join(",")])
        .output()
        .context("running `timeout`")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {complained}", output.status);
    let complaint = said.lines().chain(complained.lines()).find(|line| {
        let line = line.to_lowercase();
        let mut complaints = COMPLAINTS.iter().filter(|complaint| **complaint != due);
        complaints.any(|complaint| line.contains(complaint))
    });
    ensure!(
        complaint.is_none(),
        "{options:?}: {}\n{complained}",
        complaint.unwrap_or_default()
    );
    Ok(said)
}

/// Those of our topics, in order.
fn files(data: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for topic in TOPICS {
        for entry in data.join(format!("{topic}-0")).read_dir()? {
            let path = entry?.path();
            let extension = path.extension().and_then(|e| e.to_str());
            if extension.is_some_and(|e| extensions.contains(&e)) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The directory of Kafka's jars.
pub fn kafka() -> Option<PathBuf> {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools/kafka/lib");
    lib.is_dir().then_some(lib)
}
