//! The calls most tests are made of: a topic of one's own, one batch in, some batches out.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, InitProducerIdRequest,
    InitProducerIdResponse, ListOffsetsRequest, MetadataRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use protocol_tests::stopwatch::Stopwatch;
use uuid::Uuid;

use super::Subject;
use super::batch::{Batch, Stored, stored};
use super::client::{Client, DEADLINE};

/// The newest version that names topics instead of giving their ids.
pub const PRODUCE: i16 = 12;
/// The newest version that names topics instead of giving their ids.
pub const FETCH: i16 = 12;
pub const LIST_OFFSETS: i16 = 10;
pub const METADATA: i16 = 12;
pub const CREATE_TOPICS: i16 = 7;
pub const DELETE_TOPICS: i16 = 6;

pub const EARLIEST: i64 = -2;
pub const LATEST: i64 = -1;

const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// What a broker is given for what it is asked to do before it answers.
pub const REQUEST_TIMEOUT_MS: i32 = 50_000;

#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    pub id: Uuid,
}

impl Subject {
    /// A new topic of one partition.
    #[track_caller]
    pub fn topic(&self, purpose: &str) -> Topic {
        self.topic_with(purpose, 1, &[])
    }

    #[track_caller]
    pub fn topic_with(&self, purpose: &str, partitions: i32, configs: &[(&str, &str)]) -> Topic {
        let name = unused_name(purpose);
        let keep = std::iter::once(&("retention.ms", "-1"));
        let configs = keep.chain(configs).map(|(k, v)| config(k, v));
        let created = self.connect().create_topic(
            new_topic(&name)
                .with_num_partitions(partitions)
                .with_configs(configs.collect()),
        );
        assert_eq!(created.error_code, 0, "{:?}", created.error_message);
        let topic = Topic {
            name,
            id: created.topic_id,
        };
        (0..partitions).for_each(|partition| self.await_leader(&topic, partition));
        topic
    }

    /// Kafka answers CreateTopics before the broker is the partition's leader. Ottla must not
    /// (R50), so that nothing is awaited there.
    #[track_caller]
    pub fn await_leader(&self, topic: &Topic, partition: i32) {
        if self.ottla.is_some() {
            return;
        }
        let mut client = self.connect();
        poll("a leader", || {
            let request = list_offsets_request(topic, partition, LATEST);
            let answer = client.call(LIST_OFFSETS, &request);
            (answer.topics[0].partitions[0].error_code == 0).then_some(())
        });
    }
}

/// Asks again until there is an answer. For what happens soon and nobody is told about.
#[track_caller]
pub fn poll<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let waiting = Stopwatch::start();
    loop {
        // Also the last look comes after the deadline: this thread may have stood still.
        let is_late = waiting.elapsed() > DEADLINE;
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(!is_late, "waited for {what} in vain");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Never the same twice, also against a broker that serves several runs.
pub fn unused_name(purpose: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{purpose}-{}-{number}", std::process::id())
}

pub fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Partitions and replicas by default.
pub fn new_topic(name: &str) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
}

pub fn config(key: &str, value: &str) -> CreatableTopicConfig {
    CreatableTopicConfig::default()
        .with_name(text(key))
        .with_value(Some(text(value)))
}

pub fn produce_request(
    version: i16,
    topic: &Topic,
    partitions: &[(i32, Option<Bytes>)],
) -> ProduceRequest {
    let partitions = partitions.iter().map(|(index, records)| {
        PartitionProduceData::default()
            .with_index(*index)
            .with_records(records.clone())
    });
    let data = TopicProduceData::default().with_partition_data(partitions.collect());
    let data = if version >= 13 {
        data.with_topic_id(topic.id)
    } else {
        data.with_name(topic_name(&topic.name))
    };
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(REQUEST_TIMEOUT_MS)
        .with_topic_data(vec![data])
}

/// Sessionless, answered at once, one partition.
pub fn fetch_request(version: i16, topic: &Topic, offset: i64) -> FetchRequest {
    FetchRequest::default()
        .with_topics(vec![fetch_topic(version, topic, &[(0, offset)])])
        .with_max_bytes(64 << 20)
}

pub fn fetch_topic(version: i16, topic: &Topic, partitions: &[(i32, i64)]) -> FetchTopic {
    let partitions = partitions.iter().map(|(partition, offset)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(64 << 20)
    });
    let fetched = FetchTopic::default().with_partitions(partitions.collect());
    if version >= 13 {
        fetched.with_topic_id(topic.id)
    } else {
        fetched.with_topic(topic_name(&topic.name))
    }
}

pub fn list_offsets_request(topic: &Topic, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name(&topic.name))
        .with_partitions(vec![partition]);
    ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![topic])
}

/// Asks for topics by name, without creating them.
pub fn metadata_request(names: &[&str]) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    MetadataRequest::default()
        .with_topics(Some(names.iter().map(topic).collect()))
        .with_allow_auto_topic_creation(false)
}

impl Client {
    #[track_caller]
    pub fn create_topic(&mut self, topic: CreatableTopic) -> CreatableTopicResult {
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(REQUEST_TIMEOUT_MS);
        let mut answer = self.call(CREATE_TOPICS, &request);
        assert_eq!(answer.topics.len(), 1, "{answer:?}");
        answer.topics.remove(0)
    }

    /// acks=all to partition 0.
    #[track_caller]
    pub fn produce(&mut self, topic: &Topic, batch: &Batch) -> PartitionProduceResponse {
        self.produce_bytes(topic, batch.bytes())
    }

    #[track_caller]
    pub fn produce_bytes(&mut self, topic: &Topic, bytes: Vec<u8>) -> PartitionProduceResponse {
        let request = produce_request(PRODUCE, topic, &[(0, Some(bytes.into()))]);
        self.produce_one(PRODUCE, &request)
    }

    /// For requests of one partition.
    #[track_caller]
    pub fn produce_one(
        &mut self,
        version: i16,
        request: &ProduceRequest,
    ) -> PartitionProduceResponse {
        let mut answer = self.call(version, request);
        assert_eq!(answer.responses.len(), 1, "{answer:?}");
        let mut topic = answer.responses.remove(0);
        assert_eq!(topic.partition_responses.len(), 1, "{topic:?}");
        topic.partition_responses.remove(0)
    }

    /// The base offset of a batch that must be accepted.
    #[track_caller]
    pub fn append(&mut self, topic: &Topic, batch: &Batch) -> i64 {
        let answer = self.produce(topic, batch);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        answer.base_offset
    }

    /// What partition 0 has from `offset` on, at once.
    #[track_caller]
    pub fn fetch(&mut self, topic: &Topic, offset: i64) -> PartitionData {
        self.fetch_one(FETCH, &fetch_request(FETCH, topic, offset))
    }

    /// For requests of one partition.
    #[track_caller]
    pub fn fetch_one(&mut self, version: i16, request: &FetchRequest) -> PartitionData {
        let mut answer = self.call(version, request);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        assert_eq!(answer.responses.len(), 1, "{answer:?}");
        let mut topic = answer.responses.remove(0);
        assert_eq!(topic.partitions.len(), 1, "{topic:?}");
        topic.partitions.remove(0)
    }

    /// All batches of partition 0 from `offset` on.
    #[track_caller]
    pub fn batches(&mut self, topic: &Topic, offset: i64) -> Vec<Stored> {
        let answer = self.fetch(topic, offset);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        stored(answer.records.expect("records are never null (R78)"))
    }

    #[track_caller]
    pub fn list_offset(&mut self, topic: &Topic, timestamp: i64) -> ListOffsetsPartitionResponse {
        let request = list_offsets_request(topic, 0, timestamp);
        let mut answer = self.call(LIST_OFFSETS, &request);
        assert_eq!(answer.topics.len(), 1, "{answer:?}");
        answer.topics.remove(0).partitions.remove(0)
    }

    #[track_caller]
    pub fn log_end_offset(&mut self, topic: &Topic) -> i64 {
        let answer = self.list_offset(topic, LATEST);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        answer.offset
    }

    /// Kafka says 14 until it has been given a block of ids (R74); clients ask again.
    #[track_caller]
    pub fn init_producer_id(
        &mut self,
        version: i16,
        request: &InitProducerIdRequest,
    ) -> InitProducerIdResponse {
        poll("a block of producer ids", || {
            let answer = self.call(version, request);
            (answer.error_code != 14).then_some(answer)
        })
    }

    /// An id that no other producer has.
    #[track_caller]
    pub fn producer_id(&mut self) -> i64 {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let answer = self.init_producer_id(4, &request);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        answer.producer_id.0
    }

    /// The only topic of an answer to a question for one.
    #[track_caller]
    pub fn metadata(&mut self, name: &str) -> MetadataResponseTopic {
        let mut answer = self.call(METADATA, &metadata_request(&[name]));
        assert_eq!(answer.topics.len(), 1, "{answer:?}");
        answer.topics.remove(0)
    }

    /// Metadata of a topic whose creation has begun.
    #[track_caller]
    pub fn await_topic(&mut self, name: &str) -> MetadataResponseTopic {
        poll(name, || {
            let topic = self.metadata(name);
            (topic.error_code == 0).then_some(topic)
        })
    }

    #[track_caller]
    pub fn await_absence(&mut self, name: &str) {
        let gone = format!("{name} to go");
        poll(&gone, || {
            (self.metadata(name).error_code == 3).then_some(())
        });
    }

    #[track_caller]
    pub fn delete_topic(&mut self, name: &str) -> DeletableTopicResult {
        let topic = DeleteTopicState::default().with_name(Some(topic_name(name)));
        let request = DeleteTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(REQUEST_TIMEOUT_MS);
        let mut answer = self.call(DELETE_TOPICS, &request);
        assert_eq!(answer.responses.len(), 1, "{answer:?}");
        answer.responses.remove(0)
    }
}
