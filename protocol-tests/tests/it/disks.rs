//! What happens to bytes over time and on bad disks: records expire and are deleted, starts
//! survive, one of several log directories fails, a disk fills up and has room again (D12).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use protocol_tests::stopwatch::Stopwatch;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use protocol_tests::client::Connection;
use protocol_tests::torture::{Site, newest_build};
use tempfile::TempDir;

use crate::wire::batch::{Batch, T0};
use crate::wire::log_dirs::{alter_log_dirs_request, describe_log_dirs_request};

const STORAGE_ERROR: ResponseError = ResponseError::KafkaStorageError;
const OUT_OF_RANGE: ResponseError = ResponseError::OffsetOutOfRange;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
const PATIENCE: Duration = Duration::from_secs(60);
/// A broker sees within this time that its disk has room again.
pub const RESUMED_WITHIN: Duration = Duration::from_secs(5);

pub fn site(directory: &Path, overrides: &[&str]) -> Site {
    let arguments: Vec<&str> = overrides
        .iter()
        .flat_map(|setting| ["--override", setting])
        .collect();
    let binary = newest_build().expect("a binary");
    let site = Site::new(&binary, directory).expect("a site");
    site.with_arguments(&arguments)
}

pub fn connect(site: &Site) -> Connection {
    Connection::open(&site.bootstrap).expect("a connection")
}

fn batch(bytes: usize) -> Bytes {
    Batch::sized(bytes).created_at(T0).bytes().into()
}

/// The base offset, or the error.
pub fn produce(
    client: &mut Connection,
    topic: &str,
    partition: i32,
    bytes: usize,
) -> Result<i64, ResponseError> {
    client
        .send_produce(topic, partition, -1, batch(bytes))
        .expect("sent");
    client.receive_produced().expect("an answer")
}

fn offset(
    client: &mut Connection,
    topic: &str,
    partition: i32,
    which: i64,
) -> Result<i64, ResponseError> {
    let found = client.list_offset(topic, partition, which);
    found.expect("an answer")
}

#[track_caller]
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let started = Stopwatch::start();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
    started.elapsed()
}

fn count(directory: &Path, suffix: &str) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(suffix)).count()
}

#[test]
fn records_beyond_retention_go_with_their_files_and_the_rest_stays() {
    let directory = TempDir::new().expect("tempdir");
    let mut site = site(
        directory.path(),
        &[
            "log.retention.check.interval.ms=50",
            "log.segment.bytes=1048576",
            "log.segment.delete.delay.ms=100",
        ],
    );
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    let create = |client: &mut Connection, name: &str, configs: &[(&str, &str)]| {
        let created = client.create_topic(name, 1, configs).expect("an answer");
        created.expect("created");
    };
    create(
        &mut client,
        "large",
        &[("retention.ms", "-1"), ("retention.bytes", "3000000")],
    );
    create(&mut client, "old", &[("retention.ms", "60000")]);
    create(&mut client, "kept", &[("retention.ms", "-1")]);
    for topic in ["large", "kept"] {
        for _ in 0..10 {
            produce(&mut client, topic, 0, 600_000).expect("produced");
        }
    }
    // Written long before the broker's time; also the active segment expires.
    produce(&mut client, "old", 0, 1_000).expect("produced");
    wait_for("everything old to go", || {
        offset(&mut client, "old", 0, EARLIEST) == Ok(1)
    });
    assert_eq!(offset(&mut client, "old", 0, LATEST), Ok(1));
    assert_eq!(produce(&mut client, "old", 0, 10), Ok(1), "the log goes on");
    wait_for("the large one to shrink", || {
        offset(&mut client, "large", 0, EARLIEST) == Ok(5)
    });
    let refused = client.fetch("large", 0, 4, 0).expect("an answer");
    assert_eq!(refused.err(), Some(OUT_OF_RANGE));
    let data = site.data();
    wait_for("the files to go", || {
        count(&data.join("large-0"), ".log") == 5 && count(&data.join("large-0"), ".deleted") == 0
    });
    assert_eq!(offset(&mut client, "kept", 0, EARLIEST), Ok(0));
    broker.kill().expect("killed");
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    assert_eq!(offset(&mut client, "large", 0, EARLIEST), Ok(5));
    assert_eq!(offset(&mut client, "large", 0, LATEST), Ok(10));
    broker.stop().expect("stopped");
}

#[test]
fn a_log_nobody_touches_after_a_clean_start_expires_all_the_same() {
    let directory = TempDir::new().expect("tempdir");
    let overrides = ["log.segment.bytes=1048576", "log.segment.delete.delay.ms=0"];
    let mut first = site(directory.path(), &overrides);
    let broker = first.start().expect("a broker");
    let mut client = connect(&first);
    let configs = [("retention.bytes", "2000000"), ("retention.ms", "-1")];
    client
        .create_topic("idle", 1, &configs)
        .expect("an answer")
        .expect("created");
    for _ in 0..5 {
        produce(&mut client, "idle", 0, 600_000).expect("produced");
    }
    broker.stop().expect("stopped");
    let mut second = site(
        directory.path(),
        &[&overrides[..], &["log.retention.check.interval.ms=50"]].concat(),
    );
    let broker = second.start().expect("a broker");
    let log = second.data().join("idle-0");
    wait_for("an untouched log to shrink", || count(&log, ".log") == 4);
    broker.stop().expect("stopped");
}

#[test]
fn r158_deleted_records_stay_deleted_over_kill_and_stop() {
    let directory = TempDir::new().expect("tempdir");
    let mut site = site(
        directory.path(),
        &["log.segment.bytes=1048576", "log.segment.delete.delay.ms=0"],
    );
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    let created = client.create_topic("t", 1, &[("retention.ms", "-1")]);
    created.expect("an answer").expect("created");
    for _ in 0..6 {
        produce(&mut client, "t", 0, 600_000).expect("produced");
    }
    assert_eq!(client.delete_records("t", 0, 3).expect("an answer"), Ok(3));
    broker.kill().expect("killed at once");
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    assert_eq!(offset(&mut client, "t", 0, EARLIEST), Ok(3));
    assert_eq!(client.delete_records("t", 0, 4).expect("an answer"), Ok(4));
    let log = site.data().join("t-0");
    wait_for("the segments below", || count(&log, ".log") == 2);
    broker.stop().expect("stopped");
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    assert_eq!(offset(&mut client, "t", 0, EARLIEST), Ok(4));
    assert_eq!(offset(&mut client, "t", 0, LATEST), Ok(6));
    broker.stop().expect("stopped");
}

/// Two partitions in each of two directories.
fn two_directories(directory: &Path) -> (Site, [PathBuf; 2]) {
    let dirs = ["a", "b"].map(|name| directory.join(name));
    let setting = format!("log.dirs={},{}", dirs[0].display(), dirs[1].display());
    (site(directory, &[&setting]), dirs)
}

/// By partition: does it take a record?
fn health(client: &mut Connection, topic: &str, partitions: i32) -> Vec<Result<(), ResponseError>> {
    let produced = |partition| produce(client, topic, partition, 100).map(|_| ());
    (0..partitions).map(produced).collect()
}

#[test]
fn r187_a_log_directory_that_cannot_be_used_at_the_start_takes_only_its_partitions_offline() {
    let directory = TempDir::new().expect("tempdir");
    let (mut site, [a, b]) = two_directories(directory.path());
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    client
        .create_topic("t", 4, &[])
        .expect("an answer")
        .expect("created");
    assert_eq!(health(&mut client, "t", 4), [Ok(()); 4]);
    assert_eq!(
        (count(&a, "-0"), count(&b, "-1")),
        (2, 1),
        "t-0 and the metadata log in a"
    );
    broker.stop().expect("stopped");

    fs::rename(&b, directory.path().join("b.away")).expect("renamed");
    fs::write(&b, "no directory").expect("written");
    let broker = site.start().expect("a broker on one directory");
    let mut client = connect(&site);
    let failed = Err(STORAGE_ERROR);
    assert_eq!(
        health(&mut client, "t", 4),
        [Ok(()), failed, Ok(()), failed]
    );
    assert_eq!(offset(&mut client, "t", 1, LATEST), Err(STORAGE_ERROR));
    let fetched = client.fetch("t", 1, 0, 0).expect("an answer");
    assert_eq!(fetched.err(), Some(STORAGE_ERROR));
    // Clients of older versions do not know that code.
    let fetched = client.fetch_at(5, "t", 1, 0, 0).expect("an answer");
    assert_eq!(fetched.err(), Some(ResponseError::NotLeaderOrFollower));
    client
        .create_topic("new", 2, &[])
        .expect("an answer")
        .expect("created");
    assert_eq!(
        health(&mut client, "new", 2),
        [Ok(()); 2],
        "where there is health"
    );
    broker.stop().expect("stopped");

    fs::remove_file(&b).expect("removed");
    fs::rename(directory.path().join("b.away"), &b).expect("renamed");
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    for partition in 0..4 {
        let expected = if partition % 2 == 0 { 2 } else { 1 };
        assert_eq!(offset(&mut client, "t", partition, LATEST), Ok(expected));
    }
    broker.stop().expect("stopped");

    fs::rename(&a, directory.path().join("a.away")).expect("renamed");
    fs::write(&a, "no directory").expect("written");
    let error = site
        .start()
        .err()
        .expect("no metadata, no broker")
        .to_string();
    assert!(error.contains("exit status: 1"), "{error}");
}

/// A file system of its own; unmounted when dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    /// `None`, with the reason printed, where this process may not mount.
    pub fn tmpfs(at: &Path, mib: u64) -> Option<Mounted> {
        fs::create_dir_all(at).expect("a directory");
        let size = format!("size={mib}m");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .output();
        match output {
            Ok(output) if output.status.success() => Some(Mounted(at.to_path_buf())),
            other => {
                eprintln!("skipped: no file system can be mounted here: {other:?}");
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn d12_a_full_disk_refuses_producers_loses_nothing_and_goes_on_when_it_has_room() {
    let directory = TempDir::new().expect("tempdir");
    let data = directory.path().join("data");
    let Some(_disk) = Mounted::tmpfs(&data, 48) else {
        return;
    };
    let overrides = [
        "log.segment.bytes=1048576",
        "message.max.bytes=1000000",
        "log.retention.check.interval.ms=100",
    ];
    let mut site = site(directory.path(), &overrides);
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    let created = client.create_topic("t", 1, &[("retention.ms", "-1")]);
    created.expect("an answer").expect("created");
    for round in 0..3 {
        let refused = loop {
            if let Err(error) = produce(&mut client, "t", 0, 500_000) {
                break error;
            }
        };
        assert_eq!(refused, STORAGE_ERROR, "retriable, in round {round}");
        let start = offset(&mut client, "t", 0, EARLIEST).expect("reads go on");
        let end = offset(&mut client, "t", 0, LATEST).expect("reads go on");
        for at in [start, end - 1] {
            let read = client.fetch("t", 0, at, 0).expect("an answer");
            assert!(!read.expect("readable").is_empty(), "offset {at}");
        }
        let deleted = client.delete_records("t", 0, end - 2).expect("an answer");
        assert_eq!(deleted, Ok(end - 2), "deletion goes on");
        let took = wait_for("writes to resume", || {
            produce(&mut client, "t", 0, 500_000) == Ok(end)
        });
        assert!(took < RESUMED_WITHIN, "resumed after {took:?}");
    }
    let (start, end) = (
        offset(&mut client, "t", 0, EARLIEST).expect("a start"),
        offset(&mut client, "t", 0, LATEST).expect("an end"),
    );
    broker.kill().expect("killed");
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    assert_eq!(offset(&mut client, "t", 0, EARLIEST), Ok(start));
    assert_eq!(offset(&mut client, "t", 0, LATEST), Ok(end));
    for at in start..end {
        let read = client.fetch("t", 0, at, 0).expect("an answer");
        assert!(!read.expect("readable").is_empty(), "offset {at}");
    }
    broker.stop().expect("stopped");
}

/// Where a partition is: log directory, size, and whether it is on its way there.
pub fn places(client: &mut Connection, topic: &str) -> Vec<(String, i64, bool)> {
    let request = describe_log_dirs_request(&[(topic, &[0])]);
    let answer = client.call(&request, 4).expect("an answer");
    let dirs = answer.results.iter();
    let places = dirs.flat_map(|dir| {
        let partitions = dir.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|p| (dir.log_dir.to_string(), p.partition_size, p.is_future_key))
    });
    places.collect()
}

pub fn move_to(client: &mut Connection, topic: &str, dir: &str) -> i16 {
    let request = alter_log_dirs_request(dir, &[(topic, &[0])]);
    let answer = client.call(&request, 2).expect("an answer");
    answer.results[0].partitions[0].error_code
}

#[test]
fn a_log_moves_between_directories_while_it_serves_and_over_kills() {
    let directory = TempDir::new().expect("tempdir");
    let dirs = ["a", "b"].map(|name| directory.path().join(name));
    let setting = format!("log.dirs={},{}", dirs[0].display(), dirs[1].display());
    let overrides = [
        &setting[..],
        "log.segment.bytes=1048576",
        "log.segment.delete.delay.ms=0",
    ];
    let mut site = site(directory.path(), &overrides);
    let mut broker = site.start().expect("a broker");
    let mut client = connect(&site);
    let created = client.create_topic("t", 1, &[("retention.ms", "-1")]);
    created.expect("an answer").expect("created");
    let mut end = 0;
    while end < 80 {
        end = produce(&mut client, "t", 0, 500_000).expect("produced") + 1;
    }
    assert_eq!(client.delete_records("t", 0, 3).expect("an answer"), Ok(3));
    for round in 0..4 {
        let before = places(&mut client, "t");
        assert_eq!(before.len(), 1, "{before:?}");
        let to = dirs.iter().map(|dir| dir.display().to_string());
        let to = to.rev().find(|dir| *dir != before[0].0);
        let to = to.expect("another");
        assert_eq!(move_to(&mut client, "t", &to), 0);
        // Appends go on all the while; in every other round the broker does not survive it.
        end = produce(&mut client, "t", 0, 100_000).expect("produced") + 1;
        if round % 2 == 1 {
            broker.kill().expect("killed");
            broker = site.start().expect("a broker");
            client = connect(&site);
        }
        wait_for("the move", || {
            end = produce(&mut client, "t", 0, 1_000).expect("produced") + 1;
            let now = places(&mut client, "t");
            // A kill may come before the copy was begun: then nothing moves.
            now.len() == 1 && (now[0].0 == to || round % 2 == 1)
        });
        assert_eq!(offset(&mut client, "t", 0, EARLIEST), Ok(3));
        assert_eq!(offset(&mut client, "t", 0, LATEST), Ok(end));
        for at in [3, 40, 79, end - 1] {
            let read = client.fetch("t", 0, at, 0).expect("an answer");
            assert!(!read.expect("readable").is_empty(), "offset {at}");
        }
        wait_for("one directory to be left", || {
            let left = dirs
                .iter()
                .flat_map(|dir| fs::read_dir(dir).expect("a directory"));
            let left = left
                .flatten()
                .map(|e| e.file_name().to_string_lossy().into_owned());
            left.filter(|name| name.starts_with("t-0")).count() == 1
        });
    }
    // Asking for where it is ends a move.
    let here = places(&mut client, "t").remove(0).0;
    let there = dirs.iter().map(|dir| dir.display().to_string());
    let there = there.rev().find(|dir| *dir != here).expect("another");
    assert_eq!(move_to(&mut client, "t", &there), 0);
    assert_eq!(move_to(&mut client, "t", &here), 0);
    wait_for("the copy to go", || places(&mut client, "t").len() == 1);
    broker.stop().expect("stopped");
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    assert_eq!(offset(&mut client, "t", 0, LATEST), Ok(end));
    broker.stop().expect("stopped");
}
