//! CreateTopics and DeleteTopics (R46, R156, R157, R159; kafka:ReplicationControlManager,
//! ControllerApis). Each item succeeds or fails by itself; answers stand where their items
//! stood. What depends on the request's version (deletion disabled, one entry for a name that
//! came twice) is the business of the API.

use std::collections::{BTreeMap, HashMap};

use crate::controller::{Decision, Settings, names, placement};
use crate::error::{Error, ResponseError};
use crate::metadata::image::{Image, TopicImage};
use crate::metadata::records::{MetadataRecord, TOPIC_RESOURCE};
use crate::types::{BrokerId, TopicId};

/// The most partitions that one request creates (kafka:MAX_PARTITIONS_PER_BATCH).
pub const MAX_PARTITIONS_PER_REQUEST: usize = 10_000;

/// A topic to be created, as the request has it: −1 is "the broker's default".
#[derive(Clone, Debug)]
pub struct NewTopic {
    pub name: String,
    pub num_partitions: i32,
    pub replication_factor: i16,
    /// Replicas by partition index; empty: the controller places them.
    pub assignments: Vec<(i32, Vec<BrokerId>)>,
    pub configs: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// With the broker's defaults, as automatic creation makes it.
    pub fn with_defaults(name: impl Into<String>) -> NewTopic {
        NewTopic {
            name: name.into(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    pub name: String,
    /// Of a topic that never exists, when the request only validates.
    pub id: TopicId,
    pub num_partitions: i32,
    pub replication_factor: i16,
    /// The overrides as they are stored.
    pub configs: BTreeMap<String, String>,
}

/// How a request names a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicSelector {
    Name(String),
    Id(TopicId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub name: String,
    pub id: TopicId,
}

/// Creates what can be created. With `validate_only` the answers are the same and nothing is.
pub fn create(
    image: &Image,
    settings: &mut Settings,
    topics: Vec<NewTopic>,
    validate_only: bool,
) -> Decision<Vec<Result<CreatedTopic, Error>>> {
    if total_partitions(&topics, settings) > MAX_PARTITIONS_PER_REQUEST {
        let sentence = "Excessively large number of partitions per request.";
        let refusal = Err(Error::new(ResponseError::PolicyViolation, sentence));
        return Decision::only(vec![refusal; topics.len()]);
    }
    let mut times: HashMap<&str, usize> = HashMap::new();
    for topic in &topics {
        *times.entry(&topic.name).or_default() += 1;
    }
    let mut decision = Decision::only(Vec::with_capacity(topics.len()));
    for topic in &topics {
        let created = if times[topic.name.as_str()] > 1 {
            invalid_request("Duplicate topic name.")
        } else {
            create_one(image, settings, topic)
        };
        decision.reply.push(created.map(|(created, records)| {
            if !validate_only {
                decision.records.extend(records);
            }
            created
        }));
    }
    decision
}

/// Deletes what can be deleted.
pub fn delete(
    image: &Image,
    topics: &[TopicSelector],
) -> Decision<Vec<Result<DeletedTopic, Error>>> {
    let mut found: Vec<Result<&TopicImage, Error>> = topics
        .iter()
        .map(|selector| find(image, selector))
        .collect();
    let mut asked: HashMap<&TopicSelector, usize> = HashMap::new();
    let mut seen: HashMap<TopicId, usize> = HashMap::new();
    for i in 0..found.len() {
        // A selector that came twice is refused at both places, whatever it names.
        if let Some(earlier) = asked.insert(&topics[i], i) {
            found[earlier] = Err(duplicate(&topics[i]));
            found[i] = Err(duplicate(&topics[i]));
        } else if let Ok(topic) = &found[i]
            && let Some(first) = seen.insert(topic.id, i)
        {
            let sentence = "The provided topic name maps to an ID that was already supplied.";
            let refusal = Error::new(ResponseError::InvalidRequest, sentence);
            found[first] = Err(refusal.clone());
            found[i] = Err(refusal);
        }
    }
    let deleted = found.iter().filter_map(|found| found.as_ref().ok());
    let records = deleted.map(|topic| MetadataRecord::RemoveTopic { topic_id: topic.id });
    Decision {
        records: records.collect(),
        reply: found
            .into_iter()
            .map(|found| found.map(deleted_topic))
            .collect(),
    }
}

fn deleted_topic(topic: &TopicImage) -> DeletedTopic {
    DeletedTopic {
        name: topic.name.to_string(),
        id: topic.id,
    }
}

fn find<'a>(image: &'a Image, selector: &TopicSelector) -> Result<&'a TopicImage, Error> {
    match selector {
        TopicSelector::Name(name) => image.topic(name).ok_or_else(|| {
            let sentence = "This server does not host this topic-partition.";
            Error::new(ResponseError::UnknownTopicOrPartition, sentence)
        }),
        TopicSelector::Id(id) => image.topic_by_id(*id).ok_or_else(|| {
            let sentence = "This server does not host this topic ID.";
            Error::new(ResponseError::UnknownTopicId, sentence)
        }),
    }
}

fn duplicate(selector: &TopicSelector) -> Error {
    let sentence = match selector {
        TopicSelector::Name(_) => "Duplicate topic name.",
        TopicSelector::Id(_) => "Duplicate topic id.",
    };
    Error::new(ResponseError::InvalidRequest, sentence)
}

fn total_partitions(topics: &[NewTopic], settings: &Settings) -> usize {
    let count = |topic: &NewTopic| match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => settings.num_partitions,
        (0, asked) => asked.max(0),
        (assigned, _) => i32::try_from(assigned).unwrap_or(i32::MAX),
    };
    topics.iter().map(|topic| count(topic) as usize).sum()
}

/// In Kafka's order: name, configs, counts, placement.
fn create_one(
    image: &Image,
    settings: &mut Settings,
    topic: &NewTopic,
) -> Result<(CreatedTopic, Vec<MetadataRecord>), Error> {
    check_name(image, &topic.name)?;
    let configs = check_configs(settings, &topic.configs)?;
    let id = (settings.new_topic_id)();
    let partitions = match topic.assignments.is_empty() {
        true => place(image, settings, topic, id)?,
        false => assigned(image, topic)?,
    };
    let created = CreatedTopic {
        name: topic.name.clone(),
        id,
        num_partitions: partitions.len() as i32,
        replication_factor: partitions.first().map_or(0, Vec::len) as i16,
        configs,
    };
    let records = records(image, &created, partitions);
    Ok((created, records))
}

fn check_name(image: &Image, name: &str) -> Result<(), Error> {
    if name == names::CLUSTER_METADATA_TOPIC {
        return invalid_request(&format!("Creation of internal topic {name} is prohibited."));
    }
    if image.topic(name).is_some() {
        let sentence = format!("Topic '{name}' already exists.");
        return Err(Error::new(ResponseError::TopicAlreadyExists, sentence));
    }
    let invalid = |sentence: String| Error::new(ResponseError::InvalidTopicException, sentence);
    names::validate(name).map_err(invalid)?;
    match image.colliding_topic(name) {
        Some(other) => Err(invalid(format!(
            "Topic '{name}' collides with existing topic: {other}"
        ))),
        None => Ok(()),
    }
}

/// The last value of a key that came twice counts, as in Kafka.
fn check_configs(
    settings: &Settings,
    configs: &[(String, Option<String>)],
) -> Result<BTreeMap<String, String>, Error> {
    let invalid = |sentence| Error::new(ResponseError::InvalidConfig, sentence);
    let nulls = configs.iter().filter(|(_, value)| value.is_none());
    let nulls: Vec<&str> = nulls.map(|(name, _)| name.as_str()).collect();
    if !nulls.is_empty() {
        let names = nulls.join(",");
        let sentence = format!("Null value not supported for topic configs: {names}");
        return Err(invalid(sentence));
    }
    let pairs = configs
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    (settings.validate_topic_configs)(&pairs.collect()).map_err(invalid)
}

fn place(
    image: &Image,
    settings: &Settings,
    topic: &NewTopic,
    id: TopicId,
) -> Result<Vec<Vec<BrokerId>>, Error> {
    let replication_factor = match topic.replication_factor {
        -1 => settings.default_replication_factor,
        asked => asked,
    };
    let num_partitions = match topic.num_partitions {
        -1 => settings.num_partitions,
        asked => asked,
    };
    let invalid = |sentence: String| Error::new(ResponseError::InvalidReplicationFactor, sentence);
    if replication_factor < 1 {
        let sentence = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err(invalid(sentence.to_owned()));
    }
    if num_partitions < 1 {
        let sentence = "Number of partitions was set to an invalid non-positive value.";
        return Err(Error::new(ResponseError::InvalidPartitions, sentence));
    }
    let placed = placement::place(
        image,
        0..num_partitions as usize,
        replication_factor as usize,
        id,
    );
    let unable = |why| {
        invalid(format!(
            "Unable to replicate the partition {replication_factor} time(s): {why}"
        ))
    };
    let placed = placed.map_err(unable)?;
    if placed
        .iter()
        .any(|replicas| placement::active(image, replicas).is_empty())
    {
        return Err(unable(placement::NOBODY_ACTIVE.to_owned()));
    }
    Ok(placed)
}

/// A manual assignment, checked, in the order of partitions.
fn assigned(image: &Image, topic: &NewTopic) -> Result<Vec<Vec<BrokerId>>, Error> {
    if topic.replication_factor != -1 {
        let sentence = "A manual partition assignment was specified, but replication factor was \
                        not set to -1.";
        return invalid_request(sentence);
    }
    if topic.num_partitions != -1 {
        let sentence =
            "A manual partition assignment was specified, but numPartitions was not set to -1.";
        return invalid_request(sentence);
    }
    let invalid = |sentence: String| Error::new(ResponseError::InvalidReplicaAssignment, sentence);
    let mut partitions: BTreeMap<i32, Vec<BrokerId>> = BTreeMap::new();
    let mut replication_factor = None;
    for (index, replicas) in &topic.assignments {
        if partitions.contains_key(index) {
            return Err(invalid(format!(
                "Found multiple manual partition assignments for partition {index}"
            )));
        }
        placement::check_manual(image, *index, replicas, replication_factor).map_err(invalid)?;
        replication_factor = Some(replicas.len());
        partitions.insert(*index, replicas.clone());
    }
    if !partitions.keys().copied().eq(0..partitions.len() as i32) {
        let sentence = "partitions should be a consecutive 0-based integer sequence";
        return Err(invalid(sentence.to_owned()));
    }
    Ok(partitions.into_values().collect())
}

/// Topic, then its configs, then its partitions, as Kafka orders them.
fn records(
    image: &Image,
    created: &CreatedTopic,
    partitions: Vec<Vec<BrokerId>>,
) -> Vec<MetadataRecord> {
    let mut records = vec![MetadataRecord::Topic {
        name: created.name.clone(),
        topic_id: created.id,
    }];
    let configs = created
        .configs
        .iter()
        .map(|(name, value)| MetadataRecord::Config {
            resource_type: TOPIC_RESOURCE,
            resource_name: created.name.clone(),
            name: name.clone(),
            value: Some(value.clone()),
        });
    records.extend(configs);
    let partitions = partitions.into_iter().enumerate();
    records.extend(partitions.map(|(index, replicas)| {
        let partition = placement::partition(image, created.id, index as i32, replicas);
        MetadataRecord::Partition(partition)
    }));
    records
}

pub(super) fn invalid_request<T>(sentence: &str) -> Result<T, Error> {
    Err(Error::new(ResponseError::InvalidRequest, sentence))
}
