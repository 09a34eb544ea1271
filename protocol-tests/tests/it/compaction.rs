//! Compacted logs and what else happens to them: readers that replay while the cleaner works, ends
//! of the broker, damage, moves, deletion, settings that change; and Kafka's tool on the files.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Buf;
use ottla::protocol::batch::{BatchHeader, crc_matches, for_each_record};
use protocol_tests::client::Connection;
use protocol_tests::random::Random;
use protocol_tests::torture::Site;
use tempfile::TempDir;

use crate::disks::{connect, move_to, places, site, wait_for};
use crate::dump_log;
use crate::wire::batch::{Batch, GZIP, LZ4, Record, SNAPPY, T0, ZSTD};

/// Small segments, and a cleaner that never rests.
const RESTLESS: [&str; 3] = [
    "log.cleaner.backoff.ms=1",
    "log.flush.offset.checkpoint.interval.ms=50",
    "log.retention.check.interval.ms=50",
];
const COMPACTED: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("min.cleanable.dirty.ratio", "0.0"),
    ("segment.ms", "5000"),
    ("file.delete.delay.ms", "10"),
];
const KEYS: u64 = 50;

/// A topic whose last value of every key is known.
struct Model {
    topic: &'static str,
    random: Random,
    written: i64,
    last: BTreeMap<String, Option<String>>,
}

impl Model {
    fn new(client: &mut Connection, topic: &'static str) -> Model {
        let created = client.create_topic(topic, 1, &COMPACTED);
        created.expect("an answer").expect("created");
        Model {
            topic,
            random: Random::new(3),
            written: 0,
            last: BTreeMap::new(),
        }
    }

    /// So many batches of up to 20 records, a second apart, in every codec.
    fn write(&mut self, client: &mut Connection, batches: usize) {
        for _ in 0..batches {
            let count = 1 + self.random.below(20);
            let records: Vec<Record> = (0..count).map(|i| self.record(i)).collect();
            let plain = Batch::of(&records).created_at(T0 + 1_000 * self.written);
            let batch = match self.written % 5 {
                1 => plain.compressed(GZIP),
                2 => plain.compressed(SNAPPY),
                3 => plain.compressed(LZ4),
                4 => plain.compressed(ZSTD),
                _ => plain,
            };
            let sent = client.send_produce(self.topic, 0, -1, batch.bytes().into());
            sent.expect("sent");
            client
                .receive_produced()
                .expect("an answer")
                .expect("acknowledged");
            self.written += 1;
        }
    }

    fn record(&mut self, index: u64) -> Record {
        let key = format!("k{}", self.random.below(KEYS));
        let is_tombstone = self.random.one_in(8);
        let value = (!is_tombstone).then(|| format!("{}.{index}", self.written));
        self.last.insert(key.clone(), value.clone());
        Record {
            key: Some(key.into_bytes()),
            value: value.map(String::into_bytes),
            ..Record::default()
        }
    }

    /// Replays the topic: the last value of every key is right. How many records that took.
    #[track_caller]
    fn check(&self, client: &mut Connection) -> usize {
        let (last, records) = replay(client, self.topic);
        assert_eq!(last, self.last, "{}", self.topic);
        records
    }

    /// Until not much more is left than a record for each key.
    #[track_caller]
    fn await_compaction(&self, client: &mut Connection) {
        wait_for("compaction", || self.check(client) < 3 * KEYS as usize);
    }
}

/// The last value of every key, and the number of records.
fn replay(client: &mut Connection, topic: &str) -> (BTreeMap<String, Option<String>>, usize) {
    let mut offset = |which| {
        client
            .list_offset(topic, 0, which)
            .expect("an answer")
            .expect("led")
    };
    let (mut at, end) = (offset(-2), offset(-1));
    let (mut last, mut records) = (BTreeMap::new(), 0);
    while at < end {
        let fetched = client.fetch(topic, 0, at, 0).expect("an answer");
        let mut rest = fetched.expect("fetched");
        assert!(!rest.is_empty(), "{topic}: nothing at {at} of {end}");
        while let Some(header) = BatchHeader::read(&rest) {
            let batch = &rest[..header.total_size()];
            assert!(
                crc_matches(batch) && header.next_offset() > at,
                "{header:?}"
            );
            at = header.next_offset();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let walked = for_each_record(batch, |record| {
                records += 1;
                last.insert(record.key.map(text).expect("a key"), record.value.map(text));
                ControlFlow::Continue(())
            });
            walked.expect("records");
            rest.advance(header.total_size());
        }
    }
    (last, records)
}

fn logs(data: &Path, topic: &str) -> Vec<PathBuf> {
    files(data, topic, "log")
}

fn files(data: &Path, topic: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join(format!("{topic}-0"))).expect("a partition");
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    paths.sort();
    paths
}

/// The offset of a topic in the cleaner's checkpoint.
fn cleaned_to(data: &Path, topic: &str) -> Option<i64> {
    let text = fs::read_to_string(data.join("cleaner-offset-checkpoint")).ok()?;
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("0"));
    let count: usize = lines.next()?.parse().ok()?;
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), count);
    let line = lines
        .iter()
        .find_map(|line| line.strip_prefix(&format!("{topic} 0 ")));
    line?.parse().ok()
}

#[test]
fn a_reader_that_replays_while_the_cleaner_works_is_never_told_an_old_value() {
    let directory = TempDir::new().expect("tempdir");
    let mut site = site(directory.path(), &RESTLESS);
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    let mut model = Model::new(&mut client, "replayed");
    for _ in 0..100 {
        model.write(&mut client, 4);
        model.check(&mut client);
    }
    model.await_compaction(&mut client);
    broker.stop().expect("stopped");
}

#[test]
fn a_compacted_log_goes_on_after_every_end_and_kafkas_tool_finds_no_fault_in_it() {
    let directory = TempDir::new().expect("tempdir");
    let mut site = site(directory.path(), &RESTLESS);
    let mut broker = site.start().expect("a broker");
    let mut client = connect(&site);
    let mut model = Model::new(&mut client, "kept");
    for cycle in 0..4 {
        model.write(&mut client, 60);
        model.await_compaction(&mut client);
        match cycle % 2 {
            0 => broker.kill().expect("killed"),
            _ => broker.stop().expect("stopped"),
        }
        broker = site.start().expect("a broker");
        client = connect(&site);
        model.check(&mut client);
    }
    let end = client
        .list_offset("kept", 0, -1)
        .expect("an answer")
        .expect("led");
    model.await_compaction(&mut client);
    broker.stop().expect("stopped");
    let to = cleaned_to(&site.data(), "kept").expect("a checkpoint");
    assert!(to > 0 && to <= end, "{to} of {end}");
    check_files(&site, "kept");
}

#[track_caller]
fn check_files(site: &Site, topic: &str) {
    let Some(kafka) = dump_log::kafka() else {
        eprintln!("skipped: Kafka's jars are not installed, scripts/setup does it");
        return;
    };
    let data = site.data();
    let logs = logs(&data, topic);
    let deep = ["--deep-iteration", "--print-data-log"];
    // That there are gaps between offsets is what compaction is for.
    let dumped = dump_log::dump_but_for("non-consecutive", &kafka, &logs, &deep);
    let dumped = dumped.expect("logs that Kafka reads");
    assert!(dumped.contains("| offset:"), "{dumped}");
    let indexes = ["index", "timeindex"]
        .map(|extension| files(&data, topic, extension))
        .concat();
    assert_eq!(indexes.len(), 2 * logs.len());
    dump_log::dump(&kafka, &indexes, &[]).expect("indexes that Kafka reads");
    dump_log::dump(&kafka, &indexes, &["--verify-index-only"]).expect("indexes");
}

#[test]
fn a_damaged_segment_is_told_once_and_the_other_logs_are_compacted() {
    let directory = TempDir::new().expect("tempdir");
    let resting = ["log.cleaner.enable=false"];
    let mut site = site(directory.path(), &resting);
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    let mut damaged = Model::new(&mut client, "damaged");
    let mut sound = Model::new(&mut client, "sound");
    damaged.write(&mut client, 40);
    sound.write(&mut client, 40);
    broker.stop().expect("stopped");
    assert_eq!(
        cleaned_to(&site.data(), "sound"),
        None,
        "log.cleaner.enable"
    );
    let segment = &logs(&site.data(), "damaged")[1];
    let mut bytes = fs::read(segment).expect("a segment");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(segment, bytes).expect("written");

    let overrides = RESTLESS.iter().flat_map(|setting| ["--override", setting]);
    let overrides: Vec<&str> = overrides
        .chain(["--override", "log.cleaner.enable=true"])
        .collect();
    let mut site = site.with_arguments(&overrides);
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    sound.await_compaction(&mut client);
    // Both were looked at, since the damaged one is as dirty; it serves on as it is.
    sound.write(&mut client, 40);
    sound.await_compaction(&mut client);
    let end = client.list_offset("damaged", 0, -1).expect("an answer");
    assert_eq!(end, Ok(damaged_end(&mut client)));
    broker.stop().expect("stopped");
    let told = outputs(directory.path());
    let told: Vec<_> = told
        .lines()
        .filter(|line| line.contains("is not compacted"))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("damaged-0") && told[0].contains("checksum"),
        "{told:?}"
    );
}

fn damaged_end(client: &mut Connection) -> i64 {
    let appended = Batch::of(&[Record::new("k", "v")]).created_at(T0 + 100_000);
    let sent = client.send_produce("damaged", 0, -1, appended.bytes().into());
    sent.expect("sent");
    client
        .receive_produced()
        .expect("an answer")
        .expect("acknowledged")
}

/// Everything that brokers of a site have printed.
fn outputs(directory: &Path) -> String {
    let entries = fs::read_dir(directory).expect("the site").flatten();
    let outputs = entries.filter(|e| e.file_name().to_string_lossy().starts_with("output-"));
    let texts = outputs.map(|output| fs::read_to_string(output.path()).expect("readable"));
    texts.collect()
}

#[test]
fn a_log_is_compacted_while_it_moves_between_directories_and_topics_come_and_go() {
    let directory = TempDir::new().expect("tempdir");
    let dirs = ["a", "b"].map(|name| directory.path().join(name));
    let setting = format!("log.dirs={},{}", dirs[0].display(), dirs[1].display());
    let overrides: Vec<&str> = RESTLESS.into_iter().chain([setting.as_str()]).collect();
    let mut site = site(directory.path(), &overrides);
    let mut broker = site.start().expect("a broker");
    let mut client = connect(&site);
    let mut model = Model::new(&mut client, "moved");
    for round in 0..6 {
        model.write(&mut client, 40);
        let to = dirs[round % 2].display().to_string();
        assert_eq!(move_to(&mut client, "moved", &to), 0);
        Model::new(&mut client, "short-lived").write(&mut client, 40);
        client
            .delete_topic("short-lived")
            .expect("an answer")
            .expect("deleted");
        model.check(&mut client);
        if round == 3 {
            broker.kill().expect("killed");
            broker = site.start().expect("a broker");
            client = connect(&site);
        }
        wait_for("the log to arrive", || {
            let places = places(&mut client, "moved");
            matches!(&places[..], [(dir, _, false)] if *dir == to)
        });
        model.check(&mut client);
    }
    model.await_compaction(&mut client);
    broker.stop().expect("stopped");
    let dir = &dirs[1];
    assert!(cleaned_to(dir, "moved").is_some_and(|to| to > 0));
    assert_eq!(cleaned_to(&dirs[0], "moved"), None);
    for dir in &dirs {
        assert_eq!(cleaned_to(dir, "short-lived"), None);
    }
}

#[test]
fn the_cleaners_settings_hold_at_once() {
    let directory = TempDir::new().expect("tempdir");
    let mut site = site(directory.path(), &["log.cleaner.backoff.ms=3600000"]);
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    let mut model = Model::new(&mut client, "settings");
    model.write(&mut client, 60);
    let mut set = |key: &str, value: &str| {
        let set = client.set_broker_config(key, value);
        set.expect("an answer").expect("set");
    };
    // It has been asleep since before there was anything to do, for an hour.
    set("log.cleaner.threads", "2");
    set("log.cleaner.backoff.ms", "1");
    model.await_compaction(&mut client);
    // A thread takes its name when it first runs.
    wait_for("two cleaners", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", broker.pid())).expect("a process");
        let names = tasks
            .flatten()
            .map(|task| fs::read_to_string(task.path().join("comm")));
        let cleaners = names
            .flatten()
            .filter(|name| name.starts_with("log-cleaner-"));
        cleaners.count() == 2
    });
    broker.stop().expect("stopped");
}

#[test]
fn a_round_takes_the_time_that_its_rate_asks_for() {
    let directory = TempDir::new().expect("tempdir");
    let settings = [
        "log.cleaner.backoff.ms=1",
        "log.cleaner.io.max.bytes.per.second=4000000",
        "log.cleanup.policy=compact",
        "log.roll.ms=1",
    ];
    let mut site = site(directory.path(), &settings);
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    let topic = client.create_topic("slow", 1, &[("segment.ms", "1000000")]);
    topic.expect("an answer").expect("created");
    for i in 0..6 {
        // The last one begins a segment.
        let batch = Batch::sized(800_000).created_at(T0 + if i == 5 { 2_000_000 } else { 0 });
        client
            .send_produce("slow", 0, -1, batch.bytes().into())
            .expect("sent");
        client
            .receive_produced()
            .expect("an answer")
            .expect("acknowledged");
    }
    let mut said = None;
    wait_for("the round", || {
        let printed = outputs(directory.path());
        said = printed
            .lines()
            .find(|line| line.contains("log compacted"))
            .map(str::to_owned);
        said.is_some()
    });
    broker.stop().expect("stopped");
    // 4 MB read twice and 800 kB written, but for what may be saved up.
    let said = said.expect("a line");
    let took_ms = said
        .split("took_ms=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let took_ms: i64 = took_ms.and_then(|ms| ms.parse().ok()).expect("a time");
    assert!(took_ms >= 1_500, "{said}");
}
