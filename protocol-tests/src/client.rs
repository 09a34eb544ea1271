//! A Kafka client as small as tests need it: one blocking connection, requests by hand, answers
//! in order. It retries nothing, so that a test sees every answer as it was sent.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, BrokerId, CreateTopicsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, DescribeConfigsRequest, FetchRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, MetadataResponse, ProduceRequest,
    RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use ottla::types::TopicId;

/// Longer than any answer may take; the broker is on this machine, which may be very busy.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// As much as a broker sends unless it is misconfigured.
const MAX_ANSWER_BYTES: usize = 64 << 20;
const REQUEST_TIMEOUT_MS: i32 = 50_000;
const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;

/// One connection. Requests may be sent ahead; their answers are received in the same order.
pub struct Connection {
    stream: TcpStream,
    next_correlation_id: i32,
    unanswered: VecDeque<i32>,
}

/// What a broker answered: what was asked for, or a code.
pub type Answer<T> = std::result::Result<T, ResponseError>;

impl Connection {
    /// Connects to `host:port`.
    pub fn open(bootstrap: &str) -> Result<Connection> {
        let stream = TcpStream::connect(bootstrap)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            next_correlation_id: 0,
            unanswered: VecDeque::new(),
        })
    }

    /// Sends a request and does not wait.
    pub fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<()> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("protocol-tests")));
        let mut frame = BytesMut::from(&[0; 4][..]);
        header.encode(&mut frame, R::header_version(version))?;
        request.encode(&mut frame, version)?;
        let length = u32::try_from(frame.len() - 4)?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame)?;
        self.unanswered.push_back(correlation_id);
        Ok(())
    }

    /// Waits for the answer to the oldest request without one, which must be an `R`.
    pub fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        let expected = self.unanswered.pop_front().context("nothing was asked")?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        ensure!(length <= MAX_ANSWER_BYTES, "an answer of {length} bytes");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        let mut frame = Bytes::from(frame);
        let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version))?;
        ensure!(
            header.correlation_id == expected,
            "answer {} came where {expected} was due",
            header.correlation_id
        );
        let response = R::Response::decode(&mut frame, version)?;
        ensure!(frame.is_empty(), "{} bytes behind the answer", frame.len());
        Ok(response)
    }

    /// Sends a request and waits for its answer.
    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.send(request, version)?;
        self.receive::<R>(version)
    }

    /// ApiVersions v3.
    pub fn api_versions(&mut self) -> Result<ApiVersionsResponse> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("protocol-tests"))
            .with_client_software_version(StrBytes::from_static_str("1"));
        self.call(&request, 3)
    }

    /// Whether the broker advertises an API key.
    pub fn serves(&mut self, key: i16) -> Result<bool> {
        let versions = self.api_versions()?;
        Ok(versions.api_keys.iter().any(|api| api.api_key == key))
    }

    /// Metadata v12 of all topics.
    pub fn metadata(&mut self) -> Result<MetadataResponse> {
        self.call(&MetadataRequest::default().with_topics(None), 12)
    }

    /// CreateTopics v7 of one topic with one replica.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<Answer<TopicId>> {
        let config = |&(key, value): &(&str, &str)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(REQUEST_TIMEOUT_MS);
        let response = self.call(&request, 7)?;
        let topic = response.topics.first().context("no topic in the answer")?;
        Ok(answer(topic.error_code, TopicId(topic.topic_id)))
    }

    /// DeleteTopics v6 of one topic by name.
    pub fn delete_topic(&mut self, name: &str) -> Result<Answer<()>> {
        let topic = DeleteTopicState::default().with_name(Some(topic_name(name)));
        let request = DeleteTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(REQUEST_TIMEOUT_MS);
        let response = self.call(&request, 6)?;
        let topic = response
            .responses
            .first()
            .context("no topic in the answer")?;
        Ok(answer(topic.error_code, ()))
    }

    /// DeleteRecords v2 below `offset`: the new log start.
    pub fn delete_records(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<Answer<i64>> {
        let partition = DeleteRecordsPartition::default()
            .with_partition_index(partition)
            .with_offset(offset);
        let topic = DeleteRecordsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(REQUEST_TIMEOUT_MS);
        let response = self.call(&request, 2)?;
        let partition = response
            .topics
            .first()
            .and_then(|topic| topic.partitions.first())
            .context("no partition in the answer")?;
        Ok(answer(partition.error_code, partition.low_watermark))
    }

    /// IncrementalAlterConfigs v1: sets one config of a topic.
    pub fn set_topic_config(&mut self, topic: &str, key: &str, value: &str) -> Result<Answer<()>> {
        self.set_config(TOPIC_RESOURCE, topic, key, value)
    }

    /// The same of every broker.
    pub fn set_broker_config(&mut self, key: &str, value: &str) -> Result<Answer<()>> {
        self.set_config(BROKER_RESOURCE, "", key, value)
    }

    fn set_config(&mut self, kind: i8, name: &str, key: &str, value: &str) -> Result<Answer<()>> {
        let config = AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(0)
            .with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let response = self.call(&request, 1)?;
        let resource = response.responses.first();
        let resource = resource.context("no resource in the answer")?;
        Ok(answer(resource.error_code, ()))
    }

    /// DescribeConfigs v4 of one config of a topic: its value.
    pub fn topic_config(&mut self, topic: &str, key: &str) -> Result<Answer<Option<String>>> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(text(topic))
            .with_configuration_keys(Some(vec![text(key)]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let response = self.call(&request, 4)?;
        let resource = response.results.first();
        let resource = resource.context("no resource in the answer")?;
        let config = resource.configs.first();
        let value = config.and_then(|config| config.value.as_ref());
        Ok(answer(resource.error_code, value.map(ToString::to_string)))
    }

    /// InitProducerId v4 without transactional id: a producer id, its epoch is 0.
    pub fn init_producer_id(&mut self) -> Result<Answer<i64>> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000);
        let response = self.call(&request, 4)?;
        Ok(answer(response.error_code, response.producer_id.0))
    }

    /// Sends a Produce v9 of one batch to one partition.
    pub fn send_produce(
        &mut self,
        topic: &str,
        partition: i32,
        acks: i16,
        batch: Bytes,
    ) -> Result<()> {
        let partition = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(batch));
        let topic = TopicProduceData::default()
            .with_name(topic_name(topic))
            .with_partition_data(vec![partition]);
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(acks)
            .with_timeout_ms(REQUEST_TIMEOUT_MS)
            .with_topic_data(vec![topic]);
        self.send(&request, 9)
    }

    /// The base offset that the oldest unanswered Produce was given.
    pub fn receive_produced(&mut self) -> Result<Answer<i64>> {
        let response = self.receive::<ProduceRequest>(9)?;
        let partition = response
            .responses
            .first()
            .and_then(|topic| topic.partition_responses.first())
            .context("no partition in the answer")?;
        Ok(answer(partition.error_code, partition.base_offset))
    }

    /// Fetch v12 of one partition: its batches from the one that holds `offset` on, as far as
    /// consumers may see. Waits up to `max_wait_ms` for the first byte.
    pub fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        max_wait_ms: i32,
    ) -> Result<Answer<Bytes>> {
        self.fetch_at(12, topic, partition, offset, max_wait_ms)
    }

    /// [`Connection::fetch`] at a version that names topics.
    pub fn fetch_at(
        &mut self,
        version: i16,
        topic: &str,
        partition: i32,
        offset: i64,
        max_wait_ms: i32,
    ) -> Result<Answer<Bytes>> {
        let partition = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(8 << 20);
        let topic = FetchTopic::default()
            .with_topic(topic_name(topic))
            .with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(max_wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(8 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let response = self.call(&request, version)?;
        if let Some(error) = ResponseError::try_from_code(response.error_code) {
            return Ok(Err(error));
        }
        let partition = response
            .responses
            .into_iter()
            .flat_map(|topic| topic.partitions)
            .next()
            .context("no partition in the answer")?;
        let records = partition.records.unwrap_or_default();
        Ok(answer(partition.error_code, records))
    }

    /// ListOffsets v7 of one partition: −1 asks for the high watermark, −2 for the log start.
    pub fn list_offset(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
    ) -> Result<Answer<i64>> {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![topic]);
        let response = self.call(&request, 7)?;
        let partition = response
            .topics
            .first()
            .and_then(|topic| topic.partitions.first())
            .context("no partition in the answer")?;
        Ok(answer(partition.error_code, partition.offset))
    }
}

fn answer<T>(error_code: i16, value: T) -> Answer<T> {
    match ResponseError::try_from_code(error_code) {
        None => Ok(value),
        Some(error) => Err(error),
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}
