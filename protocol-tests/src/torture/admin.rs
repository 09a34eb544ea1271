//! Topics that come and go while the broker is killed, and producer ids: what the metadata log
//! has acknowledged must be there after every restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use ottla::protocol::batch::{BatchOptions, Record, ValidBatch};
use ottla::types::TopicId;

use super::check::Findings;
use super::producer::patiently;
use crate::client::Connection;
use crate::random::Random;

/// Creations and deletions at the beginning of a round of load: each costs the broker syncs that a
/// machine without a fast disk would spend the whole round in.
const FAST_CHANGES: usize = 6;
const BETWEEN_CHANGES: Duration = Duration::from_millis(15);
/// From then on: some round waits for a deletion.
const BETWEEN_SLOW_CHANGES: Duration = Duration::from_millis(100);
const NAMES: u64 = 8;

/// What is known of the cluster's metadata.
pub struct Admin {
    topics: BTreeMap<String, Known>,
    /// Topics that were given one record when they were made, and whether that was acknowledged.
    records: BTreeMap<String, bool>,
    /// The disk may be full: refusals are no violation.
    pub is_patient: bool,
    cluster_id: Option<String>,
    producer_ids: BTreeSet<i64>,
    random: Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Present(TopicId),
    Absent,
    /// A change was not answered: this topic, no topic, or a new one.
    InDoubt,
}

impl Admin {
    pub fn new(seed: u64) -> Admin {
        Admin {
            topics: BTreeMap::new(),
            records: BTreeMap::new(),
            is_patient: false,
            cluster_id: None,
            producer_ids: BTreeSet::new(),
            random: Random::new(seed),
        }
    }

    /// Notes a topic that must stay.
    pub fn created(&mut self, name: &str, id: TopicId) {
        self.topics.insert(name.to_owned(), Known::Present(id));
    }

    /// Notes a producer id; says so if it was given out before (R71).
    pub fn took_producer_id(&mut self, id: i64, findings: &mut Findings) {
        if !self.producer_ids.insert(id) {
            findings.say(format!("the producer id {id} was given out twice"));
        }
    }

    /// Creates and deletes topics until `stop` or until the broker goes away. An error is a
    /// violation.
    pub fn load(&mut self, bootstrap: &str, stop: &AtomicBool) -> Result<()> {
        let Ok(mut connection) = Connection::open(bootstrap) else {
            return Ok(());
        };
        for change in 0.. {
            std::thread::sleep(match change < FAST_CHANGES {
                true => BETWEEN_CHANGES,
                false => BETWEEN_SLOW_CHANGES,
            });
            if stop.load(Ordering::Relaxed) || !self.change(&mut connection)? {
                break;
            }
        }
        Ok(())
    }

    /// One creation or deletion; false if it was not answered.
    fn change(&mut self, connection: &mut Connection) -> Result<bool> {
        let name = format!("come-and-go-{}", self.random.below(NAMES));
        let before = self.topics.insert(name.clone(), Known::InDoubt);
        if before != Some(Known::InDoubt) {
            self.records.remove(&name);
        }
        let after = match before {
            Some(Known::Present(_)) => match connection.delete_topic(&name) {
                Ok(Ok(())) => Known::Absent,
                Ok(Err(_)) if self.is_patient => return Ok(true),
                Ok(Err(error)) => anyhow::bail!("deleting {name} was answered {error:?}"),
                Err(_) => return Ok(false),
            },
            Some(Known::Absent) | None => match connection.create_topic(&name, 3, &[]) {
                Ok(Ok(id)) => Known::Present(id),
                Ok(Err(_)) if self.is_patient => return Ok(true),
                Ok(Err(error)) => anyhow::bail!("creating {name} was answered {error:?}"),
                Err(_) => return Ok(false),
            },
            Some(Known::InDoubt) => return Ok(true),
        };
        self.topics.insert(name.clone(), after);
        match after {
            Known::Present(_) => self.first_record(connection, name),
            Known::Absent | Known::InDoubt => Ok(true),
        }
    }

    /// Whatever was in an older topic of that name, the new one begins at offset 0. False if the
    /// record was not answered.
    fn first_record(&mut self, connection: &mut Connection, name: String) -> Result<bool> {
        self.records.insert(name.clone(), false);
        let record = Record {
            value: Some(name.as_bytes()),
            ..Record::default()
        };
        let batch = ValidBatch::build(&[record], &BatchOptions::default()).to_bytes();
        let answer = patiently("a first record", || {
            connection.send_produce(&name, 0, -1, batch.clone())?;
            connection.receive_produced()
        });
        match answer {
            Ok(0) => self.records.insert(name, true),
            Ok(offset) => anyhow::bail!("the first record of {name} has the offset {offset}"),
            Err(error) if error.is::<std::io::Error>() => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(true)
    }

    /// Compares what a restarted broker says with what it acknowledged, and settles what was in
    /// doubt.
    pub fn check(
        &mut self,
        bootstrap: &str,
        may_be_cut: bool,
        findings: &mut Findings,
    ) -> Result<()> {
        let mut connection = Connection::open(bootstrap)?;
        let metadata = connection.metadata()?;
        let cluster_id = metadata.cluster_id.map(|id| id.to_string());
        if self.cluster_id.is_some() && self.cluster_id != cluster_id {
            findings.say(format!(
                "cluster {:?} became {cluster_id:?}",
                self.cluster_id
            ));
        }
        self.cluster_id = cluster_id;
        let found: BTreeMap<String, TopicId> = metadata
            .topics
            .into_iter()
            .filter_map(|topic| Some((topic.name?.to_string(), TopicId(topic.topic_id))))
            .collect();
        for name in found.keys().filter(|name| !self.topics.contains_key(*name)) {
            findings.say(format!("nobody created the topic {name}"));
        }
        for (name, known) in &mut self.topics {
            let now = found
                .get(name)
                .map_or(Known::Absent, |&id| Known::Present(id));
            if *known != Known::InDoubt && *known != now {
                findings.say(format!("the topic {name} was {known:?} and is {now:?}"));
            }
            *known = now;
        }
        let topics = &self.topics;
        self.records
            .retain(|name, _| matches!(topics.get(name), Some(Known::Present(_))));
        for (name, is_acknowledged) in &self.records {
            let end = patiently("ListOffsets", || connection.list_offset(name, 0, -1))?;
            let must_be = *is_acknowledged && !may_be_cut;
            if end > 1 || (must_be && end != 1) {
                findings.say(format!(
                    "{name} was given one record (acknowledged: {is_acknowledged}) and has {end}"
                ));
            }
        }
        Ok(())
    }
}
