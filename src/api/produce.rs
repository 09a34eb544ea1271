//! Produce (0), v3–13; v0–2 are decoded and refused (R15). Appends one batch per partition, then
//! answers, or waits for all of them together (R55–R70). v5 adds the log start offset, v8 record
//! errors (KIP-467), v10 the current leader (KIP-951), v13 topic ids (KIP-516). Transactions are
//! not served: a transactional batch is refused as one of a partition not in the transaction.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use kafka_protocol::protocol::StrBytes;

use super::answer::{Answer, ResponseHeader};
use super::off_runtime::off_runtime;
use super::{Disconnect, Outcome, Parked, RequestContext};
use crate::broker::Shared;
use crate::budget::Account;
use crate::error::ResponseError;
use crate::metadata::image::is_internal;
use crate::partition::{ParkedAt, Partition, Until, Wait};
use crate::protocol::batch::{BatchHeader, ValidBatch};
use crate::protocol::compression::{Codec, inflating_takes, max_inflated};
use crate::protocol::produce::{
    self, PartitionData, PartitionResponse, ProduceRequest, ProduceResponse, TopicData,
    TopicResponse,
};
use crate::protocol::validate::ProduceRules;
use crate::types::{Offset, TopicId};

/// Only Kafka's own admin client may write to internal topics (R64, R72).
const ADMIN_CLIENT: &str = "__admin_client";
/// A batch that is less than this part of its frame is copied out of it before it is kept for
/// consumers: else a few KiB would keep up to 100 MiB. (The hot tail copies smaller ones itself.)
const FRAME_SHARE: usize = 4;
const DETACHED_FROM: usize = 4 << 10;
/// Batches of more bytes are inflated away from the threads that serve connections.
const INFLATED_HERE: usize = 256 << 10;
const FIRST_SERVED_VERSION: i16 = 3;
const FIRST_VERSION_WITH_ZSTD: i16 = 7;
const FIRST_FLEXIBLE_VERSION: i16 = 9;
const FIRST_VERSION_WITH_ABORTABLE_ERROR: i16 = 11;
const FIRST_VERSION_WITH_TOPIC_IDS: i16 = 13;

pub fn handle(cx: &RequestContext, body: Bytes) -> Result<Outcome, Disconnect> {
    let frame_size = body.len();
    let request = produce::decode_request(cx.version(), body).map_err(Disconnect::malformed)?;
    let produce = Produce {
        shared: cx.shared.clone(),
        version: cx.version(),
        correlation_id: cx.header.correlation_id,
        by_admin: cx.peer.client_id.as_deref() == Some(ADMIN_CLIENT),
        acks: request.acks,
        timeout: Duration::from_millis(request.timeout_ms.max(0) as u64),
        has_transactional_id: request.transactional_id.is_some(),
        frame_size,
    };
    if produce.acks == 0 {
        let (response, _) = produce.append_all(request);
        return match response.first_error() {
            None => Ok(Outcome::NoAnswer),
            Some(error) => Err(Disconnect::UnacknowledgedProduceFailed(error)),
        };
    }
    let unopened = produce.unopened(&request);
    if !unopened.is_empty() || produce.inflates_much(&request) {
        // Nothing that follows on the connection may be appended before it.
        return Ok(Parked::exclusive(async move {
            let append = move || {
                unopened.iter().for_each(|partition| partition.open_log());
                (produce.append_all(request), produce)
            };
            let ((response, unacknowledged), produce) = off_runtime(append).await;
            produce
                .answer_when_acknowledged(response, unacknowledged)
                .await
        }));
    }
    let (response, unacknowledged) = produce.append_all(request);
    if unacknowledged.is_empty() {
        return Ok(Outcome::Answer(produce.encode(&response)));
    }
    Ok(Parked::shared(async move {
        produce
            .answer_when_acknowledged(response, unacknowledged)
            .await
    }))
}

/// An append whose acknowledgement must wait: where its entry stands, and for what it waits.
struct Unacknowledged {
    topic: usize,
    entry: usize,
    partition: Arc<Partition>,
    next_offset: Offset,
}

impl Unacknowledged {
    fn is_open(&self) -> bool {
        matches!(self.partition.is_replicated(self.next_offset), Ok(false))
    }

    fn park(&self, wait: &Arc<Wait>) -> ParkedAt {
        self.partition
            .park(wait, Until::HighWatermark(self.next_offset))
    }
}

/// R65: a topic named twice is merged into one entry.
fn merged(topics: Vec<TopicData>) -> Vec<TopicData> {
    if topics.len() <= 1 {
        return topics;
    }
    let mut places: HashMap<(StrBytes, TopicId), usize> = HashMap::new();
    let mut merged: Vec<TopicData> = Vec::with_capacity(topics.len());
    for topic in topics {
        if let Some(&place) = places.get(&(topic.name.clone(), topic.topic_id)) {
            merged[place].partitions.extend(topic.partitions);
            continue;
        }
        places.insert((topic.name.clone(), topic.topic_id), merged.len());
        merged.push(topic);
    }
    merged
}

/// The partitions named more than once, each with whether it has been answered.
fn repeated(partitions: &[PartitionData]) -> HashMap<i32, std::cell::Cell<bool>> {
    let mut repeated = HashMap::new();
    if partitions.len() > 1 {
        let mut seen = HashSet::with_capacity(partitions.len());
        for partition in partitions {
            if !seen.insert(partition.index) {
                repeated.insert(partition.index, std::cell::Cell::new(false));
            }
        }
    }
    repeated
}

/// What the partitions of one request have in common.
struct Produce {
    shared: Arc<Shared>,
    version: i16,
    correlation_id: i32,
    by_admin: bool,
    acks: i16,
    timeout: Duration,
    has_transactional_id: bool,
    /// Bytes.
    frame_size: usize,
}

/// The entry of what was appended and, if its acknowledgement must wait, for what.
type Appended = (PartitionResponse, Option<(Arc<Partition>, Offset)>);

impl Produce {
    fn encode(&self, response: &ProduceResponse) -> Answer {
        let header = ResponseHeader {
            correlation_id: self.correlation_id,
            flexible: self.version >= FIRST_FLEXIBLE_VERSION,
        };
        Answer::write(header, |out| response.encode(self.version, out))
    }

    async fn answer_when_acknowledged(
        self,
        response: ProduceResponse,
        unacknowledged: Vec<Unacknowledged>,
    ) -> Answer {
        let response = await_all(response, unacknowledged, self.timeout).await;
        self.encode(&response)
    }

    fn unopened(&self, request: &ProduceRequest) -> Vec<Arc<Partition>> {
        let found = request.topics.iter().flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.filter_map(|data| self.find(&topic.name, topic.topic_id, data.index).ok())
        });
        found.filter(|partition| !partition.is_opened()).collect()
    }

    /// Whether a batch is large and has to be inflated.
    fn inflates_much(&self, request: &ProduceRequest) -> bool {
        if self.frame_size <= INFLATED_HERE {
            return false;
        }
        request.topics.iter().any(|topic| {
            topic.partitions.iter().any(|data| {
                let records = data.records.as_deref().unwrap_or_default();
                records.len() > INFLATED_HERE
                    && self
                        .find(&topic.name, topic.topic_id, data.index)
                        .is_ok_and(|partition| {
                            inflated_codec(records, &partition.produce_rules()).is_some()
                        })
            })
        })
    }

    /// R60: every partition is appended before anything is awaited.
    fn append_all(&self, request: ProduceRequest) -> (ProduceResponse, Vec<Unacknowledged>) {
        let mut response = ProduceResponse::default();
        let mut unacknowledged = Vec::new();
        for topic in merged(request.topics) {
            let repeated = repeated(&topic.partitions);
            let mut partitions: Vec<PartitionResponse> = Vec::with_capacity(topic.partitions.len());
            for data in topic.partitions {
                let index = data.index;
                if let Some(answered) = repeated.get(&index) {
                    // R63: one entry, and neither is appended.
                    if !answered.replace(true) {
                        partitions.push(refused(index, ResponseError::InvalidRequest));
                    }
                    continue;
                }
                let waits_for = match self.append(&topic.name, topic.topic_id, data) {
                    Ok((entry, waits_for)) => {
                        partitions.push(entry);
                        waits_for
                    }
                    Err(entry) => {
                        partitions.push(*entry);
                        None
                    }
                };
                if let Some((partition, next_offset)) = waits_for {
                    let (topic, entry) = (response.topics.len(), partitions.len() - 1);
                    unacknowledged.push(Unacknowledged {
                        topic,
                        entry,
                        partition,
                        next_offset,
                    });
                }
            }
            let (name, topic_id) = (topic.name, topic.topic_id);
            response.topics.push(TopicResponse {
                name,
                topic_id,
                partitions,
            });
        }
        (response, unacknowledged)
    }

    fn append(
        &self,
        name: &StrBytes,
        topic_id: TopicId,
        data: PartitionData,
    ) -> Result<Appended, Box<PartitionResponse>> {
        let index = data.index;
        let refuse = |error| Box::new(refused(index, error));
        let partition = self.find(name, topic_id, index).map_err(refuse)?;
        let mut rules = partition.produce_rules();
        rules.accept_zstd = self.version >= FIRST_VERSION_WITH_ZSTD;
        let now = self.shared.clock.wall_ms();
        let _windows = self.reserve_windows(&data, &rules).map_err(refuse)?;
        let mut batch =
            ValidBatch::from_produce(data.records, &rules, &partition.name.topic, index, now)
                .map_err(|rejection| {
                    let mut entry = refused(index, rejection.error.code);
                    entry.error_message = rejection.error.message;
                    entry.record_errors = rejection.record_errors;
                    if rejection.found_by_log {
                        entry.log_start_offset = partition
                            .progress()
                            .map_or(-1, |progress| progress.log_start_offset);
                    }
                    Box::new(entry)
                })?;
        if batch.header().is_transactional() {
            return Err(Box::new(self.refuse_transactional(index)));
        }
        if batch.size() >= DETACHED_FROM && batch.size() * FRAME_SHARE < self.frame_size {
            batch.detach();
        }
        let appended = partition
            .append(batch, self.acks == -1, now)
            .map_err(|why| {
                let mut entry = refused(index, why.error);
                entry.log_start_offset = why.log_start_offset;
                Box::new(entry)
            })?;
        let entry = PartitionResponse {
            index,
            error: None,
            base_offset: appended.base_offset,
            log_append_time: appended.log_append_time,
            log_start_offset: appended.log_start_offset,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: None,
        };
        let must_wait = self.acks != 0
            && (appended.flush.before_ack || self.acks == -1)
            && !partition
                .is_replicated(appended.next_offset)
                .unwrap_or(false);
        Ok((
            entry,
            must_wait.then_some((partition, appended.next_offset)),
        ))
    }

    /// What it takes to inflate the batch where its rules want that, for as long as the returned
    /// account lives. REQUEST_TIMED_OUT where too much is being inflated: the client tries again.
    fn reserve_windows(
        &self,
        data: &PartitionData,
        rules: &ProduceRules,
    ) -> Result<Option<Account>, ResponseError> {
        let records = data.records.as_deref().unwrap_or_default();
        let Some(codec) = inflated_codec(records, rules) else {
            return Ok(None);
        };
        let payload = &records[BatchHeader::SIZE.min(records.len())..];
        let limit = max_inflated(rules.max_message_bytes);
        let pool = &self.shared.budget.decompression;
        let mut account = Account::new(pool.clone(), Arc::default());
        let taken = account.try_take(inflating_takes(codec, payload, limit));
        taken
            .then_some(Some(account))
            .ok_or(ResponseError::RequestTimedOut)
    }

    fn find(
        &self,
        name: &StrBytes,
        topic_id: TopicId,
        index: i32,
    ) -> Result<Arc<Partition>, ResponseError> {
        let partitions = &self.shared.partitions;
        let partition = match self.version >= FIRST_VERSION_WITH_TOPIC_IDS {
            true => partitions.find_by_id(topic_id, index)?,
            false => partitions.find(name, index)?,
        };
        if self.version < FIRST_SERVED_VERSION {
            return Err(ResponseError::UnsupportedVersion);
        }
        if !(-1..=1).contains(&self.acks) {
            return Err(ResponseError::InvalidRequiredAcks);
        }
        if is_internal(&partition.name.topic) && !self.by_admin {
            return Err(ResponseError::InvalidTopicException);
        }
        Ok(partition)
    }

    /// R133: no transaction can be open, so none holds the partition.
    fn refuse_transactional(&self, index: i32) -> PartitionResponse {
        if !self.has_transactional_id {
            return refused(index, ResponseError::TransactionalIdAuthorizationFailed);
        }
        if self.version >= FIRST_VERSION_WITH_ABORTABLE_ERROR {
            return refused(index, ResponseError::TransactionAbortable);
        }
        let mut entry = refused(index, ResponseError::InvalidTxnState);
        entry.error_message = Some("Partition was not added to the transaction".to_owned());
        entry
    }
}

/// The codec of a batch that its rules want to be inflated.
fn inflated_codec(records: &[u8], rules: &ProduceRules) -> Option<Codec> {
    let codec = BatchHeader::read(records).and_then(|header| header.codec());
    codec.filter(|codec| rules.inflates(*codec))
}

fn refused(index: i32, error: ResponseError) -> PartitionResponse {
    PartitionResponse::refused(index, error)
}

/// Waits until every append is acknowledged, under one deadline; what is not by then timed out.
async fn await_all(
    mut response: ProduceResponse,
    unacknowledged: Vec<Unacknowledged>,
    timeout: Duration,
) -> ProduceResponse {
    let deadline = tokio::time::Instant::now() + timeout;
    loop {
        let open: Vec<&Unacknowledged> = unacknowledged
            .iter()
            .filter(|append| append.is_open())
            .collect();
        if open.is_empty() {
            break;
        }
        // Counted anew each time: a partition that failed or went away counts nothing down, and
        // the others must not wait for it.
        let wait = Wait::new(open.len() as i64);
        let _parked: Vec<ParkedAt> = open.iter().map(|append| append.park(&wait)).collect();
        if tokio::time::timeout_at(deadline, wait.woken())
            .await
            .is_err()
        {
            break;
        }
    }
    for append in &unacknowledged {
        let error = match append.partition.is_replicated(append.next_offset) {
            Ok(true) => continue,
            Ok(false) => ResponseError::RequestTimedOut,
            Err(error) => error,
        };
        let entry = &mut response.topics[append.topic].partitions[append.entry];
        *entry = refused(entry.index, error);
    }
    response
}
