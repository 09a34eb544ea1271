//! Compaction under torture: keyed records and tombstones are written without end, the broker dies
//! in the middle of everything, and afterwards the last record of every key is there, at its
//! offset, whatever else is.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use ottla::protocol::batch::{BatchHeader, BatchOptions, Record, ValidBatch, crc_matches};

use super::broker::{Broker, Site, Started};
use super::check::Findings;
use super::endings::REACHED_WITHIN_MS;
use super::points::{COMPACTION_POINTS, Point};
use super::producer::{HURRIED, PAUSE, patiently};
use super::{Options, Summary, damage, endings, restart};
use crate::client::Connection;
use crate::random::Random;

/// Requests in flight.
const IN_FLIGHT: usize = 5;
/// What a partition is called.
const PARTITIONS: [(&str, i32); 3] = [("keyed", 0), ("keyed", 1), ("short", 0)];
const COMMON: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("min.cleanable.dirty.ratio", "0.0"),
    ("segment.bytes", "65536"),
    ("retention.ms", "-1"),
    ("file.delete.delay.ms", "10"),
];
const RESTLESS: [&str; 11] = [
    "--dev",
    "--override",
    "log.cleaner.backoff.ms=1",
    "--override",
    "log.cleaner.threads=2",
    "--override",
    "log.flush.offset.checkpoint.interval.ms=50",
    "--override",
    "log.flush.start.offset.checkpoint.interval.ms=50",
    "--override",
    "log.retention.check.interval.ms=50",
];

/// One record that was sent: which one of its key, none for a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    key: u64,
    value: Option<u64>,
}

/// The records of one partition, as sent and as answered.
struct Writer {
    place: (&'static str, i32),
    random: Random,
    keys: u64,
    next_value: u64,
    /// By offset, for ever.
    acknowledged: BTreeMap<i64, Sent>,
    /// Sent and not answered: there or not.
    in_doubt: Vec<Vec<Sent>>,
    /// Keys of unanswered tombstones, which may have taken everything up to an offset and gone.
    maybe_deleted: BTreeMap<u64, i64>,
}

impl Writer {
    fn new(place: (&'static str, i32), seed: u64) -> Writer {
        Writer {
            place,
            random: Random::new(seed),
            // Few, so that nearly everything goes, and many, so that nearly everything stays.
            keys: if place.1 == 0 { 40 } else { 4_000 },
            next_value: 0,
            acknowledged: BTreeMap::new(),
            in_doubt: Vec::new(),
            maybe_deleted: BTreeMap::new(),
        }
    }

    /// Writes until `stop` or until the broker goes away. An error is a violation.
    fn load(&mut self, bootstrap: &str, stop: &AtomicBool) -> Result<()> {
        let Ok(mut connection) = Connection::open(bootstrap) else {
            return Ok(());
        };
        let mut in_flight = VecDeque::new();
        let mut sent = 0;
        loop {
            while in_flight.len() < IN_FLIGHT && !stop.load(Ordering::Relaxed) {
                if sent >= HURRIED {
                    std::thread::sleep(PAUSE);
                }
                sent += 1;
                let records = self.records();
                let batch = batch(&records);
                in_flight.push_back(records);
                let (topic, partition) = self.place;
                if connection
                    .send_produce(topic, partition, -1, batch)
                    .is_err()
                {
                    self.in_doubt.extend(in_flight);
                    return Ok(());
                }
            }
            let Some(records) = in_flight.pop_front() else {
                return Ok(());
            };
            match connection.receive_produced() {
                Ok(Ok(base_offset)) => {
                    let offsets = (base_offset..).zip(records);
                    self.acknowledged.extend(offsets);
                }
                Ok(Err(error)) if !error.is_retriable() => {
                    anyhow::bail!("{:?}: a batch was answered {error:?}", self.place)
                }
                Ok(Err(_)) | Err(_) => {
                    self.in_doubt.push(records);
                    self.in_doubt.extend(in_flight);
                    return Ok(());
                }
            }
        }
    }

    fn records(&mut self) -> Vec<Sent> {
        let count = 1 + self.random.below(30);
        let record = |_| {
            self.next_value += 1;
            Sent {
                key: self.random.below(self.keys),
                value: (!self.random.one_in(10)).then_some(self.next_value),
            }
        };
        (0..count).map(record).collect()
    }

    /// Compares what a reader from the start finds with what was acknowledged. What was in doubt
    /// and is there counts as acknowledged from now on.
    fn judge(&mut self, bootstrap: &str) -> Result<Findings> {
        let mut findings = Findings::default();
        let found = read_all(self.place, bootstrap)?;
        let place = format!("{}-{}", self.place.0, self.place.1);
        let last_known = self.acknowledged.keys().next_back().copied();
        for records in std::mem::take(&mut self.in_doubt) {
            let tombstones = records.iter().filter(|sent| sent.value.is_none());
            let deleted = tombstones.map(|sent| (sent.key, last_known.unwrap_or(-1)));
            self.maybe_deleted.extend(deleted);
            self.settle(&records, &found);
        }
        for (offset, sent) in &found {
            match self.acknowledged.get(offset) {
                Some(known) if known == sent => {}
                Some(known) => findings.say(format!("{place}: {known:?} at {offset} is {sent:?}")),
                None => findings.say(format!(
                    "{place}: {sent:?} at {offset} was never sent there"
                )),
            }
        }
        let mut last = BTreeMap::new();
        for (offset, sent) in &self.acknowledged {
            last.insert(sent.key, (*offset, sent));
        }
        for (key, (offset, sent)) in last {
            let newest = found.iter().rev().find(|(_, found)| found.key == key);
            let is_there = newest.is_some_and(|(at, found)| *at == offset && found == sent);
            // A tombstone may have gone with everything before it.
            let deleted_to = self.maybe_deleted.get(&key);
            let may_be_gone = sent.value.is_none() || deleted_to.is_some_and(|to| offset <= *to);
            let is_gone = may_be_gone && newest.is_none();
            if !(is_there || is_gone) {
                findings.lost += 1;
                findings.say(format!(
                    "{place}: the last record of {key} was {sent:?} at {offset}, and is {newest:?}"
                ));
            }
        }
        Ok(findings)
    }

    /// An unanswered batch that is there in whatever part is left of it.
    fn settle(&mut self, records: &[Sent], found: &BTreeMap<i64, Sent>) {
        let first = records.iter().enumerate().find_map(|(index, sent)| {
            // Values are never the same; of a batch of tombstones nothing is asked.
            sent.value?;
            let at = found.iter().find(|(_, found)| *found == sent)?.0;
            Some(at - index as i64)
        });
        if let Some(base_offset) = first {
            let offsets = (base_offset..).zip(records.iter().cloned());
            self.acknowledged.extend(offsets);
        } else {
            let is_new = |offset: &i64| !self.acknowledged.contains_key(offset);
            let unknown: Vec<_> = found.iter().filter(|(o, _)| is_new(o)).collect();
            let unknown = unknown.into_iter().filter(|(_, s)| records.contains(s));
            let unknown: Vec<_> = unknown.map(|(o, s)| (*o, s.clone())).collect();
            self.acknowledged.extend(unknown);
        }
    }
}

fn batch(records: &[Sent]) -> Bytes {
    let texts: Vec<(String, Option<String>)> = records
        .iter()
        .map(|sent| {
            let value = sent
                .value
                .map(|value| format!("{value:0>width$}", width = 20));
            (format!("key-{}", sent.key), value)
        })
        .collect();
    let records: Vec<Record> = texts
        .iter()
        .map(|(key, value)| Record {
            timestamp: 1_600_000_000_000,
            key: Some(key.as_bytes()),
            value: value.as_ref().map(String::as_bytes),
            headers: &[],
        })
        .collect();
    ValidBatch::build(&records, &BatchOptions::default()).to_bytes()
}

/// Every record of a partition by offset; checksums must be right and offsets grow.
fn read_all((topic, partition): (&str, i32), bootstrap: &str) -> Result<BTreeMap<i64, Sent>> {
    let mut connection = Connection::open(bootstrap)?;
    let mut ask = |which| {
        patiently("ListOffsets", || {
            connection.list_offset(topic, partition, which)
        })
    };
    let (mut at, end) = (ask(-2)?, ask(-1)?);
    let mut found = BTreeMap::new();
    while at < end {
        let fetched = patiently("Fetch", || connection.fetch(topic, partition, at, 0))?;
        let from = at;
        let mut rest = fetched;
        while let Some(header) = BatchHeader::read(&rest) {
            if rest.len() < header.total_size() {
                break;
            }
            let batch = rest.split_to(header.total_size());
            ensure!(crc_matches(&batch), "a wrong CRC at {}", header.base_offset);
            ensure!(
                header.next_offset() > at,
                "{} follows {at}",
                header.base_offset
            );
            at = header.next_offset();
            read_batch(&batch, &mut found)?;
        }
        ensure!(
            at > from,
            "{topic}-{partition}: nothing at {at}, which ends at {end}"
        );
    }
    Ok(found)
}

fn read_batch(batch: &Bytes, found: &mut BTreeMap<i64, Sent>) -> Result<()> {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
    let mut strange = None;
    ottla::protocol::batch::for_each_record(batch, |record| {
        let key = record
            .key
            .and_then(|key| number(key.strip_prefix(b"key-")?));
        let value = record.value.map(number);
        match (key, value) {
            (Some(key), None) => found.insert(record.offset, Sent { key, value: None }),
            (Some(key), Some(Some(value))) => {
                let value = Some(value);
                found.insert(record.offset, Sent { key, value })
            }
            _ => {
                strange = Some(record.offset);
                None
            }
        };
        ControlFlow::Continue(())
    })?;
    ensure!(strange.is_none(), "what is at {strange:?} was never sent");
    Ok(())
}

/// Cycles over one directory; see [`super::How::Compacting`].
pub fn torture(
    cycles: u32,
    options: &Options,
    directory: &Path,
    random: &mut Random,
    summary: &mut Summary,
) -> Result<()> {
    let bug = options.bug.iter();
    let bug: Vec<_> = bug.map(|bug| ("FAULTS_BUG".into(), bug.clone())).collect();
    let disk = endings::disk(options.how, directory)?;
    let home = disk.as_ref().map_or(directory, |disk| disk.path());
    let mut site = Site::new(&options.binary, home)?
        .with_arguments(&RESTLESS)
        .with_environment(&bug);
    if disk.is_some() {
        site = site.with_arguments(&["--set", "storage.durable=true"]);
    }
    let mut running = Some(site.start()?);
    create_topics(&site.bootstrap)?;
    let writers = PARTITIONS.map(|place| Writer::new(place, random.next()));
    let mut writers: Vec<Writer> = writers.into();
    let has_points = options.binary.ends_with("ottla-faults") && options.bug.is_none();
    for cycle in 0..cycles {
        let broker = running.take().context("a broker for the next cycle")?;
        let point = match has_points {
            true => compaction_point(summary.cycles),
            false => None,
        };
        let outcome = live(&mut site, broker, point, &mut writers, random, summary);
        let damages = match &disk {
            Some(disk) => {
                disk.power_off()?;
                disk.power_on()?;
                Vec::new()
            }
            None => damage::inflict(&site.data(), false, random)?,
        };
        summary.cycles += 1;
        let judged = outcome.and_then(|()| {
            let broker = restart(&mut site, random)?;
            running = Some(broker);
            let mut findings = Findings::default();
            for writer in &mut writers {
                findings.add(writer.judge(&site.bootstrap)?);
            }
            Ok(findings)
        });
        match judged {
            Ok(findings) => summary.findings.add(findings),
            Err(violation) => summary.findings.say(format!("{violation:#}")),
        }
        if !summary.findings.is_empty() {
            let files = directory.display();
            summary.story = format!("in cycle {cycle}, at {point:?}; {damages:?}; see {files}");
            return Ok(());
        }
    }
    summary.acknowledged += writers
        .iter()
        .map(|w| w.acknowledged.len() as u64)
        .sum::<u64>();
    match running {
        Some(broker) => broker.stop(),
        None => Ok(()),
    }
}

fn create_topics(bootstrap: &str) -> Result<()> {
    let mut connection = Connection::open(bootstrap)?;
    for (topic, partitions, delete_retention) in [("keyed", 2, "86400000"), ("short", 1, "0")] {
        let configs: Vec<_> = COMMON
            .into_iter()
            .chain([("delete.retention.ms", delete_retention)])
            .collect();
        patiently("CreateTopics", || {
            connection.create_topic(topic, partitions, &configs)
        })?;
    }
    Ok(())
}

/// At each point of compaction in turn, and once anywhere.
fn compaction_point(cycle: u32) -> Option<Point> {
    let points = COMPACTION_POINTS;
    points.get(cycle as usize % (points.len() + 1)).copied()
}

/// Everybody at work until the broker is gone.
fn live(
    site: &mut Site,
    broker: Broker,
    point: Option<Point>,
    writers: &mut [Writer],
    random: &mut Random,
    summary: &mut Summary,
) -> Result<()> {
    let broker = match point {
        None => broker,
        Some(point) => {
            broker.kill()?;
            match site.start_or_die(Some(point.asked_for(random)))? {
                Started::Serves(broker) => broker,
                Started::Killed(_) => {
                    *summary.reached.entry(point.name).or_default() += 1;
                    return Ok(());
                }
            }
        }
    };
    let life = Duration::from_millis(50 + random.below(500));
    let stop = &AtomicBool::new(false);
    let bootstrap = site.bootstrap.clone();
    let bootstrap = &bootstrap;
    let ended = std::thread::scope(|scope| {
        let at_work: Vec<_> = writers
            .iter_mut()
            .map(|writer| scope.spawn(move || writer.load(bootstrap, stop)))
            .collect();
        let ended = match point {
            Some(point) => broker.dies_within(REACHED_WITHIN_MS).map(|reached| {
                if reached {
                    *summary.reached.entry(point.name).or_default() += 1;
                }
            }),
            None => {
                std::thread::sleep(life);
                broker.kill()
            }
        };
        stop.store(true, Ordering::Relaxed);
        let mut outcome = ended;
        for worker in at_work {
            let wrote = worker
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a panic")));
            outcome = outcome.and(wrote);
        }
        outcome
    });
    summary.in_doubt += writers.iter().map(|w| w.in_doubt.len() as u64).sum::<u64>();
    ended
}
