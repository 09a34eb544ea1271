//! What the scenarios do to the broker by hand: topics, records, and a look at committed offsets.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kafka_protocol::messages::CreatePartitionsRequest;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use ottla::clock::Clock;
use ottla::protocol::batch::{BatchOptions, Record, ValidBatch};
use protocol_tests::client::Connection;
use protocol_tests::stopwatch::Stopwatch;

use super::PATIENCE;
use super::program::Place;
use crate::wire::calls::topic_name;
use crate::wire::groups::requests::{self, COMMIT, FETCH, FIND};

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
const REQUEST_TIMEOUT_MS: i32 = 50_000;
/// Errors of a partition that a real Kafka has just made.
const NOT_THERE_YET: [i16; 3] = [3, 5, 6];
/// Errors of a coordinator that has just been started.
const NOT_COORDINATING_YET: [i16; 3] = [14, 15, 16];

pub struct Cluster {
    bootstrap: String,
}

/// The value of the record at `offset` of a partition.
pub fn value(partition: i32, offset: i64) -> String {
    format!("{offset} of {partition}")
}

impl Cluster {
    pub fn new(bootstrap: &str) -> Cluster {
        Cluster {
            bootstrap: bootstrap.to_owned(),
        }
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn connect(&self) -> Result<Connection> {
        Connection::open(&self.bootstrap)
    }

    /// Makes a topic and returns its partitions once all of them have leaders.
    pub fn create(&self, topic: &str, partitions: i32) -> Result<BTreeSet<Place>> {
        let answer = self.connect()?.create_topic(topic, partitions, &[])?;
        answer.with_context(|| format!("creating {topic}"))?;
        self.await_partitions(topic, partitions)
    }

    /// Gives the topic more partitions and returns all.
    pub fn grow(&self, topic: &str, partitions: i32) -> Result<BTreeSet<Place>> {
        let asked = CreatePartitionsTopic::default()
            .with_name(topic_name(topic))
            .with_count(partitions)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![asked])
            .with_timeout_ms(REQUEST_TIMEOUT_MS);
        let response = self.connect()?.call(&request, 3)?;
        let result = response.results.first().context("no topic in the answer")?;
        ensure!(
            result.error_code == 0,
            "growing {topic}: {}",
            result.error_code
        );
        self.await_partitions(topic, partitions)
    }

    fn await_partitions(&self, topic: &str, partitions: i32) -> Result<BTreeSet<Place>> {
        let mut connection = self.connect()?;
        until(&format!("{topic} has {partitions} partitions"), || {
            let metadata = connection.metadata()?;
            let mut topics = metadata.topics.iter();
            let found = topics.find(|t| t.name.as_ref().is_some_and(|name| name.as_str() == topic));
            let led = found.map_or(0, |topic| {
                topic
                    .partitions
                    .iter()
                    .filter(|p| p.error_code == 0)
                    .count()
            });
            Ok(led == partitions as usize)
        })?;
        Ok((0..partitions).map(|p| (topic.to_owned(), p)).collect())
    }

    /// Writes the records of these offsets, which must be the next ones, to each of the partitions.
    pub fn produce(&self, places: &BTreeSet<Place>, offsets: Range<i64>) -> Result<()> {
        let mut connection = self.connect()?;
        let timestamp = Clock::system().wall_ms();
        for (topic, partition) in places {
            let values: Vec<String> = offsets.clone().map(|at| value(*partition, at)).collect();
            let records: Vec<Record> = values
                .iter()
                .map(|value| Record {
                    // Retention must not find it old.
                    timestamp,
                    value: Some(value.as_bytes()),
                    ..Record::default()
                })
                .collect();
            let batch = ValidBatch::build(&records, &BatchOptions::default()).to_bytes();
            until(&format!("{topic}-{partition} takes records"), || {
                connection.send_produce(topic, *partition, -1, batch.clone())?;
                match connection.receive_produced()? {
                    Ok(first) => {
                        let wanted = offsets.start;
                        ensure!(
                            first == wanted,
                            "{topic}-{partition}: {first}, not {wanted}"
                        );
                        Ok(true)
                    }
                    Err(error) if NOT_THERE_YET.contains(&error.code()) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            })?;
        }
        Ok(())
    }

    /// Deletes the records before `offset`.
    pub fn delete_before(&self, place: &Place, offset: i64) -> Result<()> {
        let answer = self.connect()?.delete_records(&place.0, place.1, offset)?;
        answer.map(|_| ()).context("DeleteRecords")
    }

    /// What `group` has committed, as its coordinator tells anyone who asks.
    pub fn committed(&self, group: &str) -> Result<BTreeMap<Place, i64>> {
        let mut connection = self.coordinator(group)?;
        let request = requests::fetch(FETCH, group, None);
        let mut answer = OffsetFetchResponseGroup::default();
        until(&format!("offsets of {group}"), || {
            let response = connection.call(&request, FETCH)?;
            let groups = response.groups.into_iter();
            answer = groups.last().context("no group in the answer")?;
            Ok(!NOT_COORDINATING_YET.contains(&answer.error_code))
        })?;
        ensure!(answer.error_code == 0, "OffsetFetch: {}", answer.error_code);
        let mut committed = BTreeMap::new();
        for topic in &answer.topics {
            for partition in &topic.partitions {
                let place = (topic.name.to_string(), partition.partition_index);
                committed.insert(place, partition.committed_offset);
            }
        }
        Ok(committed)
    }

    /// Waits until `group` has committed exactly `offset` in each of `places`.
    pub fn await_committed(
        &self,
        group: &str,
        places: &BTreeSet<Place>,
        offset: i64,
    ) -> Result<()> {
        let wanted: BTreeMap<Place, i64> = places.iter().map(|p| (p.clone(), offset)).collect();
        let mut found = BTreeMap::new();
        let looked = until(&format!("{group} has committed {wanted:?}"), || {
            found = self.committed(group)?;
            Ok(found == wanted)
        });
        looked.with_context(|| format!("it has committed {found:?}"))
    }

    /// Commits for a group that has no members.
    pub fn commit(&self, group: &str, place: &Place, offset: i64) -> Result<()> {
        let mut connection = self.coordinator(group)?;
        let position = requests::at(place.1, offset);
        let request = requests::commit(COMMIT, group, &place.0, &[position]);
        let response = connection.call(&request, COMMIT)?;
        let partition = response
            .topics
            .first()
            .and_then(|topic| topic.partitions.first());
        let code = partition.context("no partition in the answer")?.error_code;
        ensure!(code == 0, "OffsetCommit: {code}");
        Ok(())
    }

    /// A connection to the broker once it coordinates `group`.
    fn coordinator(&self, group: &str) -> Result<Connection> {
        let mut connection = self.connect()?;
        let request = requests::find(FIND, &[group]);
        until(&format!("a coordinator of {group}"), || {
            let response = connection.call(&request, FIND)?;
            let found = response.coordinators.first();
            Ok(found.is_some_and(|found| found.error_code == 0))
        })?;
        Ok(connection)
    }
}

fn until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let waiting = Stopwatch::start();
    while !condition()? {
        ensure!(waiting.elapsed() < PATIENCE, "still not: {what}");
        std::thread::sleep(BETWEEN_LOOKS); // between two looks at the condition
    }
    Ok(())
}
