//! CreatePartitions (R157; kafka:ReplicationControlManager.createPartitions): partitions are
//! added behind those a topic has. Each topic succeeds or fails by itself; answers stand where
//! their items stood.

use std::collections::HashMap;

use crate::controller::topics::{MAX_PARTITIONS_PER_REQUEST, invalid_request};
use crate::controller::{Decision, placement};
use crate::error::{Error, ResponseError};
use crate::metadata::image::{Image, TopicImage};
use crate::metadata::records::MetadataRecord;
use crate::types::BrokerId;

/// How many partitions a topic shall have.
#[derive(Clone, Debug)]
pub struct MorePartitions {
    pub topic: String,
    /// In all, with those it has.
    pub count: i32,
    /// Replicas of each added partition, in order; `None`: the controller places them.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// Adds what can be added. With `validate_only` the answers are the same and nothing is.
pub fn create(
    image: &Image,
    wanted: &[MorePartitions],
    validate_only: bool,
) -> Decision<Vec<Result<(), Error>>> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for topic in wanted {
        *times.entry(&topic.topic).or_default() += 1;
    }
    let mut decision = Decision::only(Vec::with_capacity(wanted.len()));
    let mut room = MAX_PARTITIONS_PER_REQUEST;
    for topic in wanted {
        let added = match times[topic.topic.as_str()] {
            1 => create_one(image, topic, room),
            _ => invalid_request("Duplicate topic name."),
        };
        decision.reply.push(added.map(|records| {
            room -= records.len();
            if !validate_only {
                decision.records.extend(records);
            }
        }));
    }
    decision
}

fn create_one(
    image: &Image,
    wanted: &MorePartitions,
    room: usize,
) -> Result<Vec<MetadataRecord>, Error> {
    let unknown = ResponseError::UnknownTopicOrPartition;
    let topic = image.topic(&wanted.topic).ok_or(unknown)?;
    let (count, known) = (wanted.count, topic.partitions.len() as i32);
    let no_increase = |sentence| Err(Error::new(ResponseError::InvalidPartitions, sentence));
    if count == known {
        return no_increase(format!("Topic already has {known} partition(s)."));
    }
    if count < known {
        return no_increase(format!(
            "The topic {} currently has {known} partition(s); {count} would not be an increase.",
            topic.name
        ));
    }
    let added = (count - known) as usize;
    if let Some(assignments) = &wanted.assignments
        && assignments.len() != added
    {
        let sentence = format!(
            "Attempted to add {added} additional partition(s), but only {} assignment(s) were \
             specified.",
            assignments.len()
        );
        return Err(Error::new(
            ResponseError::InvalidReplicaAssignment,
            sentence,
        ));
    }
    // Kafka runs into its limit of records and says UNKNOWN_SERVER_ERROR.
    if added > room {
        let sentence = "Excessively large number of partitions per request.";
        return Err(Error::new(ResponseError::PolicyViolation, sentence));
    }
    let placed = match &wanted.assignments {
        Some(assignments) => assigned(image, topic, assignments)?,
        None => place(image, topic, added)?,
    };
    let records = (known..).zip(placed).map(|(index, replicas)| {
        MetadataRecord::Partition(placement::partition(image, topic.id, index, replicas))
    });
    Ok(records.collect())
}

/// As many replicas as the topic's first partition has.
fn replication_factor(topic: &TopicImage) -> usize {
    topic.partitions.first().map_or(0, |it| it.replicas.len())
}

fn assigned(
    image: &Image,
    topic: &TopicImage,
    assignments: &[Vec<BrokerId>],
) -> Result<Vec<Vec<BrokerId>>, Error> {
    let expected = Some(replication_factor(topic));
    for (index, replicas) in (topic.partitions.len() as i32..).zip(assignments) {
        placement::check_manual(image, index, replicas, expected)
            .map_err(|sentence| Error::new(ResponseError::InvalidReplicaAssignment, sentence))?;
    }
    Ok(assignments.to_vec())
}

fn place(image: &Image, topic: &TopicImage, added: usize) -> Result<Vec<Vec<BrokerId>>, Error> {
    let invalid = |sentence| Error::new(ResponseError::InvalidReplicationFactor, sentence);
    let (known, replicas) = (topic.partitions.len(), replication_factor(topic));
    let placed = placement::place(image, known..known + added, replicas, topic.id);
    let placed = placed.map_err(invalid)?;
    if placed
        .iter()
        .any(|replicas| placement::active(image, replicas).is_empty())
    {
        return Err(invalid(format!(
            "Unable to replicate the partition {replicas} time(s): {}",
            placement::NOBODY_ACTIVE
        )));
    }
    Ok(placed)
}
