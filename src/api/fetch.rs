//! Fetch (1), v4–18. What a session or the request wants is read in one pass; without enough of it
//! the request is parked until there is (R75–R91). v5 log start offset, v7 sessions (KIP-227), v9
//! leader epoch (KIP-320), v11 rack (KIP-392), v12 truncation (KIP-595), v13 topic ids (KIP-516),
//! v16 current leader (KIP-951). Left out: followers (a replica id ≥ 0 is no replica here, R90)
//! and with them preferred replicas.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::answer::{Answer, ResponseHeader};
use super::fetch_pass::{self, Limits, Pass, Wanted};
use super::{Disconnect, Outcome, Parked, RequestContext, cold};
use crate::broker::Shared;
use crate::error::ResponseError;
use crate::partition::fetch_session::{
    Begun, NO_SESSION, PartitionKey, Position, Seen, SessionRequest, TopicKey,
};
use crate::partition::{Isolation, Partition, ReadResult};
use crate::protocol::fetch::{
    self, Chunk, EpochEndOffset, FetchRequest, FetchResponse, PartitionResponse, TopicResponse,
};
use crate::types::TopicId;

const FIRST_VERSION_WITH_SESSIONS: i16 = 7;
const FIRST_FLEXIBLE_VERSION: i16 = 12;
const FIRST_VERSION_WITH_TOPIC_IDS: i16 = 13;
const FIRST_VERSION_WITH_STORAGE_ERROR: i16 = 6;
const CONSUMER: i32 = -1;

pub fn handle(cx: &RequestContext, body: Bytes) -> Result<Outcome, Disconnect> {
    let request = fetch::decode_request(cx.version(), body).map_err(Disconnect::malformed)?;
    let header = Header {
        version: cx.version(),
        correlation_id: cx.header.correlation_id,
    };
    let fetch = match Fetch::begin(cx, header, &request) {
        Ok(fetch) => fetch,
        Err(error) => return Ok(Outcome::Answer(header.refuse(error))),
    };
    let must_answer = request.max_wait_ms <= 0 || request.min_bytes <= 0;
    let patience = match must_answer {
        true => Duration::ZERO,
        false => Duration::from_millis(request.max_wait_ms as u64),
    };
    let unopened = cold::unopened(fetch.wanted.iter().flat_map(|wanted| &wanted.partition));
    if !unopened.is_empty() {
        return Ok(Parked::shared(async move {
            cold::open(unopened).await;
            let deadline = tokio::time::Instant::now() + patience;
            let pass = fetch_pass::read_until(&fetch.wanted, &fetch.limits, deadline).await;
            fetch.answer_when_warm(pass).await
        }));
    }
    let pass = Pass::read(&fetch.wanted, &fetch.limits);
    if !must_answer && !pass.is_enough(&fetch.limits) {
        return Ok(Parked::shared(async move {
            let deadline = tokio::time::Instant::now() + patience;
            let pass = fetch_pass::read_until(&fetch.wanted, &fetch.limits, deadline).await;
            fetch.answer_when_warm(pass).await
        }));
    }
    if cold::any(pass.partitions.iter().flatten().map(|read| &read.records)) {
        return Ok(Parked::shared(
            async move { fetch.answer_when_warm(pass).await },
        ));
    }
    Ok(Outcome::Answer(fetch.answer(pass)))
}

#[derive(Clone, Copy)]
struct Header {
    version: i16,
    correlation_id: i32,
}

impl Header {
    /// Session errors and refusals of the whole request have no topics (R87).
    fn refuse(self, error: ResponseError) -> Answer {
        self.encode(FetchResponse {
            error: Some(error),
            ..FetchResponse::default()
        })
    }

    fn encode(self, response: FetchResponse) -> Answer {
        let flexible = self.version >= FIRST_FLEXIBLE_VERSION;
        let header = ResponseHeader {
            correlation_id: self.correlation_id,
            flexible,
        };
        Answer::of_plan(header, response.plan(self.version))
    }
}

/// One Fetch, resolved and ready to be read as often as it takes.
struct Fetch {
    shared: Arc<Shared>,
    header: Header,
    begun: Begun,
    wanted: Vec<Wanted>,
    limits: Limits,
}

impl Fetch {
    fn begin(
        cx: &RequestContext,
        header: Header,
        request: &FetchRequest,
    ) -> Result<Fetch, ResponseError> {
        let isolation = match request.isolation_level {
            0 => Isolation::ReadUncommitted,
            1 => Isolation::ReadCommitted,
            _ => return Err(ResponseError::InvalidRequest),
        };
        let by_topic_id = header.version >= FIRST_VERSION_WITH_TOPIC_IDS;
        let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
        if request.max_bytes < 0 || partitions.clone().any(|p| p.partition_max_bytes < 0) {
            return Err(ResponseError::InvalidRequest);
        }
        let session = SessionRequest {
            id: request.session_id,
            epoch: if header.version >= FIRST_VERSION_WITH_SESSIONS {
                request.session_epoch
            } else {
                -1
            },
            by_topic_id,
            from_follower: request.replica_id != CONSUMER,
        };
        let (asked, forgotten) = asked(request, by_topic_id);
        let now = cx.shared.clock.monotonic_ms();
        let sessions = &cx.shared.fetch_sessions;
        let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = sessions.begin(session, asked, &forgotten, now)?;
        drop(sessions);
        let resolve = |(key, position): &(PartitionKey, Position)| Wanted {
            partition: resolve(cx.shared, key, request.replica_id),
            offset: position.offset,
            current_leader_epoch: position.current_leader_epoch,
            last_fetched_epoch: position.last_fetched_epoch,
            max_bytes: position.max_bytes as usize,
        };
        // While answers that nobody takes fill their memory, one batch is all (R76).
        let max_bytes = match cx.shared.budget.responses.is_exhausted() {
            true => 0,
            false => request.max_bytes.min(cx.shared.config.fetch_max_bytes) as usize,
        };
        Ok(Fetch {
            shared: cx.shared.clone(),
            header,
            wanted: begun.wanted.iter().map(resolve).collect(),
            begun,
            limits: Limits {
                min_bytes: (request.min_bytes.max(0) as usize).min(max_bytes),
                max_bytes,
                isolation,
            },
        })
    }

    /// Regions that are not in the page cache are read on the blocking pool first, so that the
    /// send never blocks a data thread.
    async fn answer_when_warm(self, pass: Pass) -> Answer {
        let records = pass.partitions.iter().flatten().map(|read| &read.records);
        cold::warm(records).await;
        self.answer(pass)
    }

    fn answer(self, pass: Pass) -> Answer {
        let seen: Vec<Seen> = pass.partitions.iter().map(seen).collect();
        let now = self.shared.clock.monotonic_ms();
        let finished = {
            let sessions = &self.shared.fetch_sessions;
            let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.finish(&self.begun, &seen, now)
        };
        let mut topics: Vec<TopicResponse> = Vec::new();
        // Refused partitions come last (R43).
        let mut refused = Vec::new();
        let entries = self
            .begun
            .wanted
            .iter()
            .zip(&self.wanted)
            .zip(pass.partitions);
        for ((((key, _), wanted), result), mentioned) in entries.zip(finished.mentions) {
            if !mentioned {
                continue;
            }
            // R187: clients of older versions do not know 56.
            let result = result.map_err(|error| match error {
                ResponseError::KafkaStorageError
                    if self.header.version < FIRST_VERSION_WITH_STORAGE_ERROR =>
                {
                    ResponseError::NotLeaderOrFollower
                }
                error => error,
            });
            let entry = entry(
                key.partition,
                result,
                self.limits.isolation,
                wanted.partition.is_err(),
            );
            match wanted.partition {
                Ok(_) => push(&mut topics, &key.topic, entry),
                Err(_) => refused.push((&key.topic, entry)),
            }
        }
        for (topic, entry) in refused {
            push(&mut topics, topic, entry);
        }
        let session_id = if self.header.version >= FIRST_VERSION_WITH_SESSIONS {
            finished.session_id
        } else {
            NO_SESSION
        };
        self.header.encode(FetchResponse {
            session_id,
            topics,
            ..FetchResponse::default()
        })
    }
}

type Asked = (Vec<(PartitionKey, Position)>, Vec<PartitionKey>);

/// What the request names, copied out of its frame: sessions outlive it.
fn asked(request: &FetchRequest, by_topic_id: bool) -> Asked {
    let topic_key = |name: &str, id: TopicId| match by_topic_id {
        true => TopicKey::Id(id),
        false => TopicKey::Name(name.into()),
    };
    let mut asked = Vec::new();
    for topic in &request.topics {
        let key = topic_key(&topic.name, topic.topic_id);
        asked.extend(topic.partitions.iter().map(|partition| {
            let position = Position {
                offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
            };
            (
                PartitionKey {
                    topic: key.clone(),
                    partition: partition.index,
                },
                position,
            )
        }));
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten {
        let key = topic_key(&topic.name, topic.topic_id);
        let partitions = topic.partitions.iter();
        forgotten.extend(partitions.map(|&partition| PartitionKey {
            topic: key.clone(),
            partition,
        }));
    }
    (asked, forgotten)
}

fn resolve(
    shared: &Shared,
    key: &PartitionKey,
    replica_id: i32,
) -> Result<Arc<Partition>, ResponseError> {
    let partition = match &key.topic {
        TopicKey::Name(name) => shared.partitions.find(name, key.partition),
        TopicKey::Id(id) => shared.partitions.find_by_id(*id, key.partition),
    }?;
    // R90: no other broker has a replica of anything here.
    if replica_id >= 0 {
        return Err(ResponseError::NotLeaderOrFollower);
    }
    Ok(partition)
}

fn seen(result: &Result<ReadResult, ResponseError>) -> Seen {
    match result {
        Ok(read) => Seen {
            high_watermark: read.progress.high_watermark,
            log_start_offset: read.progress.log_start_offset,
            has_records: !read.records.is_empty(),
            is_notable: read.diverging.is_some(),
        },
        Err(_) => Seen {
            high_watermark: -1,
            log_start_offset: -1,
            has_records: false,
            is_notable: true,
        },
    }
}

fn entry(
    index: i32,
    result: Result<ReadResult, ResponseError>,
    isolation: Isolation,
    refused_before_reading: bool,
) -> PartitionResponse {
    // R84: null for read_uncommitted reads and their errors, [] in all refusals before reading.
    let aborted = (refused_before_reading || isolation == Isolation::ReadCommitted).then(Vec::new);
    let read = match result {
        Ok(read) => read,
        Err(error) => return PartitionResponse::refused(index, error, aborted),
    };
    PartitionResponse {
        index,
        error: None,
        high_watermark: read.progress.high_watermark,
        last_stable_offset: read.progress.last_stable_offset,
        log_start_offset: read.progress.log_start_offset,
        diverging_epoch: read
            .diverging
            .map(|(epoch, end_offset)| EpochEndOffset { epoch, end_offset }),
        current_leader: None,
        snapshot_id: None,
        aborted_transactions: aborted,
        preferred_read_replica: None,
        records: chunks(read.records.chunks),
    }
}

fn chunks(records: crate::log::Chunks) -> Vec<Chunk> {
    match records {
        crate::log::Chunks::Empty => Vec::new(),
        crate::log::Chunks::Memory(bytes) => bytes.into_iter().map(Chunk::Memory).collect(),
        crate::log::Chunks::File {
            file,
            position,
            length,
        } => {
            vec![Chunk::File {
                file,
                position,
                len: length,
            }]
        }
    }
}

/// Adjacent partitions of a topic share its entry.
fn push(topics: &mut Vec<TopicResponse>, topic: &TopicKey, entry: PartitionResponse) {
    let (name, topic_id) = match topic {
        TopicKey::Name(name) => (&**name, TopicId::ZERO),
        TopicKey::Id(id) => ("", *id),
    };
    match topics.last_mut() {
        Some(last) if *last.name == *name && last.topic_id == topic_id => {
            last.partitions.push(entry)
        }
        _ => topics.push(TopicResponse {
            name: kafka_protocol::protocol::StrBytes::from_string(name.to_owned()),
            topic_id,
            partitions: vec![entry],
        }),
    }
}
