//! What the scenarios need of rdkafka. Offsets are those of partition 0 where none is named.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use pollster::block_on;
use rdkafka::ClientContext;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, NewPartitions, NewTopic,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders, Timestamp};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::check::PATIENCE;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    /// In ms; producers set none for 0.
    pub timestamp: i64,
    pub is_append_time: bool,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

pub struct Client {
    pub bootstrap: String,
    pub admin: AdminClient<DefaultClientContext>,
}

impl Client {
    pub fn new(bootstrap: &str) -> Result<Client> {
        let client = Client {
            bootstrap: bootstrap.to_owned(),
            admin: common(bootstrap).create()?,
        };
        Ok(client)
    }

    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        self.create_topic_with(topic, partitions, &[])
    }

    /// Fails with the broker's code.
    pub fn create_topic_with(
        &self,
        topic: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in configs {
            new = new.set(key, value);
        }
        single(block_on(self.admin.create_topics(&[new], &options()))?)
    }

    pub fn delete_topic(&self, topic: &str) -> Result<()> {
        single(block_on(self.admin.delete_topics(&[topic], &options()))?)
    }

    pub fn topics(&self) -> Result<Vec<String>> {
        let metadata = self.admin.inner().fetch_metadata(None, PATIENCE)?;
        Ok(metadata
            .topics()
            .iter()
            .map(|t| t.name().to_owned())
            .collect())
    }

    /// The numbers of the partitions that have a leader, in order.
    pub fn led_partitions(&self, topic: &str) -> Result<Vec<i32>> {
        let metadata = self.admin.inner().fetch_metadata(Some(topic), PATIENCE)?;
        let partitions = metadata.topics().iter().flat_map(|t| t.partitions());
        let mut led: Vec<i32> = partitions
            .filter(|p| p.leader() >= 0)
            .map(|p| p.id())
            .collect();
        led.sort_unstable();
        Ok(led)
    }

    /// Fails with the broker's code.
    pub fn grow_topic(&self, topic: &str, partitions: usize) -> Result<()> {
        let grown = NewPartitions::new(topic, partitions);
        single(block_on(
            self.admin.create_partitions(&[grown], &options()),
        )?)
    }

    /// Fails with the broker's code.
    pub fn configs(&self, of: ResourceSpecifier) -> Result<Vec<ConfigEntry>> {
        let answers = block_on(self.admin.describe_configs(&[of], &options()))?;
        match answers.into_iter().next() {
            Some(answer) => Ok(answer?.entries),
            None => bail!("no answer"),
        }
    }

    /// Replaces all configs of the topic: the crate has no incremental call.
    pub fn alter_configs(&self, topic: &str, configs: &[(&str, &str)]) -> Result<()> {
        let mut altered = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (key, value) in configs {
            altered = altered.set(key, value);
        }
        let answers = block_on(self.admin.alter_configs(&[altered], &options()))?;
        match answers.into_iter().next() {
            Some(answer) => Ok(answer.map(|_| ()).map_err(|(_, code)| code)?),
            None => bail!("no answer"),
        }
    }

    /// The new low watermark.
    pub fn delete_records(&self, topic: &str, before: Offset) -> Result<i64> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, 0, before)?;
        let answer = block_on(self.admin.delete_records(&offsets, &options()))?;
        let deleted = answer
            .find_partition(topic, 0)
            .ok_or_else(|| anyhow!("no answer for the partition"))?;
        deleted.error()?;
        deleted
            .offset()
            .to_raw()
            .ok_or_else(|| anyhow!("no low watermark"))
    }

    /// The first offset and the end offset.
    pub fn watermarks(&self, topic: &str) -> Result<(i64, i64)> {
        Ok(self.admin.inner().fetch_watermarks(topic, 0, PATIENCE)?)
    }

    /// None where no record is that young.
    pub fn offset_at(&self, topic: &str, timestamp: i64) -> Result<Option<i64>> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(topic, 0, Offset::Offset(timestamp))?;
        let found = self.bare_consumer()?.offsets_for_times(asked, PATIENCE)?;
        let found = found
            .find_partition(topic, 0)
            .ok_or_else(|| anyhow!("no answer for the partition"))?;
        found.error()?;
        Ok(match found.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    }

    /// `settings` override those of the library, but for a few.
    pub fn producer(&self, settings: &[(&str, &str)]) -> Result<Producer> {
        let mut config = common(&self.bootstrap);
        config.set("acks", "all");
        config.set("linger.ms", "20");
        config.set("message.timeout.ms", PATIENCE.as_millis().to_string());
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let inner = config.create_with_context(Deliveries::default())?;
        Ok(Producer { inner })
    }

    fn bare_consumer(&self) -> Result<BaseConsumer> {
        let mut config = common(&self.bootstrap);
        // The library insists on a group; it is never joined and nothing is committed.
        config.set("group.id", "unused");
        config.set("enable.auto.commit", "false");
        config.set("auto.offset.reset", "error");
        config.set("enable.partition.eof", "true");
        config.set("fetch.wait.max.ms", "50");
        Ok(config.create()?)
    }

    /// Reads partition 0 from `start`; returns once an end asked for is found.
    pub fn reader(&self, topic: &str, start: Offset) -> Result<Reader> {
        self.reader_of(topic, start, &[0])
    }

    pub fn reader_of(&self, topic: &str, start: Offset, partitions: &[i32]) -> Result<Reader> {
        let inner = self.bare_consumer()?;
        let reader = Reader {
            inner,
            topic: topic.to_owned(),
        };
        reader.add(start, partitions)?;
        if start == Offset::End {
            // Positions are looked up in the background; the end has been found when it is reached.
            let deadline = Instant::now() + PATIENCE;
            while reader.poll()? != Polled::End {
                if Instant::now() > deadline {
                    bail!("the end of the partition was not found");
                }
            }
        }
        Ok(reader)
    }
}

pub fn common(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config.set("socket.timeout.ms", "60000");
    config.set("topic.metadata.refresh.interval.ms", "500");
    config
}

pub fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE))
}

fn single(answers: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Result<()> {
    match answers.into_iter().next() {
        Some(answer) => Ok(answer.map(|_| ()).map_err(|(_, code)| code)?),
        None => bail!("no answer"),
    }
}

/// The broker's or the library's code behind an error.
pub fn code(e: &anyhow::Error) -> Option<RDKafkaErrorCode> {
    if let Some(code) = e.downcast_ref::<RDKafkaErrorCode>() {
        return Some(*code);
    }
    e.downcast_ref::<KafkaError>()?.rdkafka_error_code()
}

/// What was delivered since the last look, in order of the reports: the record's number and its offset.
#[derive(Default)]
struct Deliveries(Mutex<Vec<(usize, Result<i64, KafkaError>)>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<usize>) {
        let result = match result {
            Ok(message) => Ok(message.offset()),
            Err((e, _)) => Err(e.clone()),
        };
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports.push((*number, result));
    }
}

pub struct Producer {
    inner: BaseProducer<Deliveries>,
}

impl Producer {
    /// Waits for all acknowledgements and returns the offsets; fails with the code of a refusal.
    pub fn send(&self, topic: &str, records: &[Record]) -> Result<Vec<i64>> {
        for (number, record) in records.iter().enumerate() {
            self.enqueue(topic, number, record)?;
        }
        self.inner.flush(PATIENCE)?;
        let deliveries = &self.inner.context().0;
        let mut reports =
            std::mem::take(&mut *deliveries.lock().unwrap_or_else(PoisonError::into_inner));
        reports.sort_by_key(|(number, _)| *number);
        reports.into_iter().map(|(_, result)| Ok(result?)).collect()
    }

    fn enqueue(&self, topic: &str, number: usize, record: &Record) -> Result<()> {
        let mut sent: BaseRecord<[u8], [u8], Box<usize>> =
            BaseRecord::with_opaque_to(topic, Box::new(number)).partition(record.partition);
        if let Some(key) = &record.key {
            sent = sent.key(key);
        }
        if let Some(value) = &record.value {
            sent = sent.payload(value);
        }
        if record.timestamp != 0 {
            sent = sent.timestamp(record.timestamp);
        }
        if !record.headers.is_empty() {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &record.headers {
                headers = headers.insert(Header {
                    key,
                    value: value.as_ref(),
                });
            }
            sent = sent.headers(headers);
        }
        // The queue holds more than any scenario sends at once.
        self.inner.send(sent).map_err(|(e, _)| e.into())
    }
}

#[derive(Debug, PartialEq)]
enum Polled {
    Record(Record),
    /// The end of a partition.
    End,
    Nothing,
}

pub struct Reader {
    inner: BaseConsumer,
    topic: String,
}

impl Reader {
    pub fn add(&self, start: Offset, partitions: &[i32]) -> Result<()> {
        let mut added = TopicPartitionList::new();
        for partition in partitions {
            added.add_partition_offset(&self.topic, *partition, start)?;
        }
        Ok(self.inner.incremental_assign(&added)?)
    }

    /// Reads the partitions beside partition 0 as well, from their beginning, once there are `count`.
    pub fn follow(&self, count: usize) -> Result<bool> {
        let metadata = self.inner.fetch_metadata(Some(&self.topic), PATIENCE)?;
        let mut topics = metadata.topics().iter();
        if topics.any(|t| t.partitions().len() == count) {
            let added: Vec<i32> = (1..).take(count - 1).collect();
            self.add(Offset::Beginning, &added)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The next `count` records.
    pub fn read(&self, count: usize) -> Result<Vec<Record>> {
        let deadline = Instant::now() + PATIENCE;
        let mut records = Vec::new();
        while records.len() < count {
            if let Polled::Record(record) = self.poll()? {
                records.push(record);
            }
            if Instant::now() > deadline {
                bail!("only {} of {count} records arrived", records.len());
            }
        }
        Ok(records)
    }

    fn poll(&self) -> Result<Polled> {
        match self.inner.poll(Duration::from_millis(100)) {
            None | Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown))) => {
                Ok(Polled::Nothing)
            }
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(Polled::End),
            Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::BrokerTransportFailure))) => {
                // The library connects again.
                Ok(Polled::Nothing)
            }
            Some(Err(e)) => Err(e.into()),
            Some(Ok(message)) => Ok(Polled::Record(record(&message))),
        }
    }
}

fn record(message: &BorrowedMessage) -> Record {
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let header = |h: Header<'_, &[u8]>| (h.key.to_owned(), owned(h.value));
        headers.iter().map(header).collect()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        is_append_time: matches!(message.timestamp(), Timestamp::LogAppendTime(_)),
        key: owned(message.key()),
        value: owned(message.payload()),
        headers,
    }
}
