//! What changes a topic under load: records deleted on request, and configs altered in flight.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};

use super::check::Findings;
use crate::client::Connection;
use crate::random::Random;

const DELETE_RECORDS: i16 = 21;
const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
const BETWEEN_CHANGES: Duration = Duration::from_millis(25);

/// Moves the log start of some partitions by DeleteRecords.
pub struct Trimmer {
    places: BTreeMap<(&'static str, i32), Trimmed>,
    /// Partitions whose records nobody deletes, and where they began.
    others: BTreeMap<(&'static str, i32), Trimmed>,
    random: Random,
    /// Calls that were answered.
    pub done: Arc<AtomicU64>,
}

/// What is known of a log start.
#[derive(Clone, Copy, Debug, Default)]
struct Trimmed {
    /// It was here.
    floor: i64,
    /// It was here behind a clean stop.
    settled: i64,
    /// It was asked to be here; behind this offset nothing may be missing.
    asked: i64,
}

impl Trimmer {
    pub fn new(places: impl IntoIterator<Item = (&'static str, i32)>, seed: u64) -> Trimmer {
        let known = places.into_iter().map(|place| (place, Trimmed::default()));
        Trimmer {
            places: known.collect(),
            others: BTreeMap::new(),
            random: Random::new(seed),
            done: Arc::default(),
        }
    }

    /// Deletes until `stop` or the broker goes away; nothing if it does not serve DeleteRecords.
    /// An error is a violation.
    pub fn load(&mut self, bootstrap: &str, stop: &AtomicBool) -> Result<()> {
        let Ok(mut connection) = Connection::open(bootstrap) else {
            return Ok(());
        };
        if !connection.serves(DELETE_RECORDS).unwrap_or(false) {
            return Ok(());
        }
        while !stop.load(Ordering::Relaxed) {
            for (&(topic, partition), known) in &mut self.places {
                let Ok(Ok(end)) = connection.list_offset(topic, partition, -1) else {
                    return Ok(());
                };
                let ahead = (end - known.asked).max(0) as u64;
                // Mostly inside a segment, sometimes everything.
                let offset = match self.random.one_in(20) {
                    true => end,
                    false => known.asked + self.random.below(ahead / 4 + 1) as i64,
                };
                known.asked = known.asked.max(offset);
                match connection.delete_records(topic, partition, offset) {
                    Ok(Ok(start)) if start >= offset.max(known.floor) => known.floor = start,
                    Ok(Err(error)) if error.is_retriable() => {}
                    Ok(answer) => bail!(
                        "{topic}-{partition}: deleting below {offset} where {known:?} is known \
                         was answered {answer:?}"
                    ),
                    Err(_) => return Ok(()),
                }
                self.done.fetch_add(1, Ordering::Relaxed);
            }
            std::thread::sleep(BETWEEN_CHANGES);
        }
        Ok(())
    }

    /// Judges the log start after a restart. `keeps`: retention must leave so many bytes, where
    /// it moved the start and no power loss took what it had left. `was_stopped`: the broker ended
    /// cleanly before.
    pub fn check(
        &mut self,
        place: (&'static str, i32),
        (start, bytes): (i64, u64),
        keeps: Option<u64>,
        was_stopped: bool,
        findings: &mut Findings,
    ) {
        let known = match self.places.get_mut(&place) {
            Some(known) => known,
            None => self.others.entry(place).or_default(),
        };
        let (topic, partition) = place;
        // What retention alone has moved stands in a checkpoint only some time later: a crash may
        // bring it back, a stop may not.
        let floor = match keeps.is_some() && !was_stopped {
            true => known.settled,
            false => known.floor,
        };
        if start < floor {
            findings.say(format!(
                "{topic}-{partition}: the log start went back from {floor} to {start}"
            ));
        }
        let has_moved = start > known.floor;
        known.floor = start;
        if was_stopped {
            known.settled = start;
        }
        let is_allowed = match keeps {
            Some(keeps) => !has_moved || bytes >= keeps,
            None => start <= known.asked,
        };
        if !is_allowed {
            findings.say(format!(
                "{topic}-{partition}: the log begins at {start} with {bytes} bytes, {keeps:?} \
                 were to stay, {known:?} is known"
            ));
        }
    }
}

/// Alters one config of one topic again and again.
pub struct Settings {
    topic: &'static str,
    random: Random,
    /// What the config may be now: the last value that was acknowledged, and those asked for
    /// since without an answer.
    possible: Vec<String>,
}

const KEY: &str = "max.message.bytes";

impl Settings {
    pub fn new(topic: &'static str, seed: u64) -> Settings {
        Settings {
            topic,
            random: Random::new(seed),
            possible: vec!["1048588".to_owned()],
        }
    }

    /// Alters until `stop` or the broker goes away; nothing if it does not serve that. An error
    /// is a violation.
    pub fn load(&mut self, bootstrap: &str, stop: &AtomicBool) -> Result<()> {
        let Ok(mut connection) = Connection::open(bootstrap) else {
            return Ok(());
        };
        if !connection
            .serves(INCREMENTAL_ALTER_CONFIGS)
            .unwrap_or(false)
        {
            return Ok(());
        }
        // As seldom as topics are made: each costs syncs of the metadata log.
        for _ in 0..4 {
            std::thread::sleep(BETWEEN_CHANGES);
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let value = (1_000_000 + self.random.below(1_000_000)).to_string();
            self.possible.push(value.clone());
            match connection.set_topic_config(self.topic, KEY, &value) {
                Ok(Ok(())) => self.possible = vec![value],
                Ok(Err(error)) if error.is_retriable() => {}
                Ok(Err(error)) => bail!("altering {} was answered {error:?}", self.topic),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// After a restart the config is one that it may be, and from now on that one.
    pub fn check(&mut self, bootstrap: &str, findings: &mut Findings) -> Result<()> {
        let mut connection = Connection::open(bootstrap)?;
        if !connection.serves(INCREMENTAL_ALTER_CONFIGS)? {
            return Ok(());
        }
        match connection.topic_config(self.topic, KEY)? {
            Ok(Some(value)) if self.possible.contains(&value) => self.possible = vec![value],
            found => findings.say(format!(
                "{KEY} of {} is {found:?} and may be {:?}",
                self.topic, self.possible
            )),
        }
        Ok(())
    }
}
