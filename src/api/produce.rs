//! Produce (0), v3–13; v0–2 are decoded and refused (R15). Appends one batch per partition, then
//! answers, or waits for all of them together (R55–R70). v5 adds the log start offset, v8 record
//! errors (KIP-467), v10 the current leader (KIP-951), v13 topic ids (KIP-516). Transactions are
//! not served: a transactional batch is refused as one of a partition not in the transaction.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::answer::{Answer, ResponseHeader};
use super::{Disconnect, Outcome, Parked, RequestContext};
use crate::broker::Shared;
use crate::error::{Error, ResponseError};
use crate::metadata::image::is_internal;
use crate::partition::{ParkedAt, Partition, Until, Wait};
use crate::protocol::batch::ValidBatch;
use crate::protocol::produce::{
    self, PartitionData, PartitionResponse, ProduceRequest, ProduceResponse, TopicData,
    TopicResponse,
};
use crate::types::{Offset, TopicId};

/// Only Kafka's own admin client may write to internal topics (R64, R72).
const ADMIN_CLIENT: &str = "__admin_client";
const FIRST_SERVED_VERSION: i16 = 3;
const FIRST_VERSION_WITH_ZSTD: i16 = 7;
const FIRST_VERSION_WITH_ABORTABLE_ERROR: i16 = 11;
const FIRST_VERSION_WITH_TOPIC_IDS: i16 = 13;

pub fn handle(cx: &RequestContext, body: Bytes) -> Result<Outcome, Disconnect> {
    let request = produce::decode_request(cx.version(), body).map_err(Disconnect::malformed)?;
    let acks = request.acks;
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let mut unacknowledged = Vec::new();
    let response = append_all(cx, request, &mut unacknowledged);
    if acks == 0 {
        return match response.first_error() {
            None => Ok(Outcome::NoAnswer),
            Some(error) => Err(Disconnect::UnacknowledgedProduceFailed(error)),
        };
    }
    let (version, header) = (cx.version(), response_header(cx));
    if unacknowledged.is_empty() {
        return Ok(Outcome::Answer(encode(version, header, &response)));
    }
    let answer = Box::pin(async move {
        let response = await_all(response, unacknowledged, timeout).await;
        Ok(Some(encode(version, header, &response)))
    });
    Ok(Outcome::Park(Parked { answer, exclusive: false }))
}

/// An append whose acknowledgement must wait: where its answer stands, and for what it waits.
struct Unacknowledged {
    topic: usize,
    entry: usize,
    partition: Arc<Partition>,
    next_offset: Offset,
}

/// R60: every partition is appended before anything is awaited.
fn append_all(
    cx: &RequestContext,
    request: ProduceRequest,
    unacknowledged: &mut Vec<Unacknowledged>,
) -> ProduceResponse {
    let produce = Produce { cx, acks: request.acks, has_transactional_id: request.transactional_id.is_some() };
    let mut topics: Vec<TopicResponse> = Vec::with_capacity(request.topics.len());
    for topic in merged(request.topics) {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for data in &topic.partitions {
            let is_repeated = topic.partitions.iter().filter(|p| p.index == data.index).count() > 1;
            if is_repeated && partitions.iter().any(|p: &PartitionResponse| p.index == data.index) {
                continue;
            }
            let appended = match is_repeated {
                true => Err(refused(data.index, ResponseError::InvalidRequest)),
                false => produce.append(&topic, data),
            };
            partitions.push(match appended {
                Err(response) => response,
                Ok((response, None)) => response,
                Ok((response, Some((partition, next_offset)))) => {
                    let (topic, entry) = (topics.len(), partitions.len());
                    unacknowledged.push(Unacknowledged { topic, entry, partition, next_offset });
                    response
                }
            });
        }
        topics.push(TopicResponse { name: topic.name, topic_id: topic.topic_id, partitions });
    }
    ProduceResponse { topics, ..ProduceResponse::default() }
}
