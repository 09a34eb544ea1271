//! Metadata (3), v0–13. Which brokers there are and who leads what, as seen from the listener the
//! request came in on (R44–R54). v4 adds the auto-creation flag, v5 offline replicas, v7 leader
//! epochs (KIP-320), v8 authorized operations (KIP-430), v10 topic ids and v12 requests by id
//! (KIP-516), v13 a top-level error (KIP-1102). Authorized operations are all of them while there
//! is no authorizer. Internal topics are auto-created as their coordinators make them, if there are any.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Outcome, Parked, RequestContext, answer, internal_topics};
use crate::controller::names;
use crate::controller::topics::NewTopic;
use crate::error::ResponseError;
use crate::metadata::image::{Image, PartitionImage, TopicImage, is_internal};
use crate::types::{BrokerId, TopicId};

/// All operations on a topic and on the cluster, as bit fields (KIP-430, R47).
pub(super) const ALL_TOPIC_OPERATIONS: i32 = 3576;
pub(super) const ALL_CLUSTER_OPERATIONS: i32 = 8096;
/// What an answer says about operations that were not asked for.
pub(super) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;
/// How long an answer waits for the topics it created; then it says 3, as Kafka always does first.
const AUTO_CREATION_PATIENCE: Duration = Duration::from_secs(2);

pub fn handle(cx: &RequestContext, request: MetadataRequest) -> Outcome {
    let view = View::new(cx, &request);
    let image = cx.shared.image();
    if let Some(error) = refused_as_a_whole(view.version, &request) {
        return answer::now(cx, view.version, &refuse(&request, error));
    }
    let missing = topics_to_create(cx, &image, &request);
    if missing.is_empty() {
        return answer::now(cx, view.version, &view.answer(&image, &request));
    }
    let (shared, correlation_id) = (cx.shared.clone(), cx.header.correlation_id);
    Parked::exclusive(async move {
        let created = shared.controller.create_topics(missing, false);
        // Each topic's own error shows in the metadata: it is simply still missing.
        let _ = tokio::time::timeout(AUTO_CREATION_PATIENCE, created).await;
        let response = view.answer(&shared.image(), &request);
        answer::encode(correlation_id, view.version, &response)
    })
}

/// R49: ids and null names are errors of the whole request below v12, a name that is null
/// without an id at any version.
fn refused_as_a_whole(version: i16, request: &MetadataRequest) -> Option<ResponseError> {
    let topics = request.topics.as_ref()?;
    let has_ids = topics.iter().any(|t| !t.topic_id.is_nil());
    let has_nameless = topics
        .iter()
        .any(|t| t.name.is_none() && t.topic_id.is_nil());
    let early = version < 12
        && topics
            .iter()
            .any(|t| t.name.is_none() || !t.topic_id.is_nil());
    (early || (has_nameless && !has_ids)).then_some(ResponseError::InvalidRequest)
}

fn refuse(request: &MetadataRequest, error: ResponseError) -> MetadataResponse {
    let topics = request.topics.iter().flatten().map(|topic| {
        let name = topic.name.clone().unwrap_or_default();
        topic_error(Some(name), topic.topic_id, error)
    });
    MetadataResponse::default()
        .with_controller_id((-1).into())
        .with_cluster_authorized_operations(OPERATIONS_NOT_ASKED)
        .with_topics(topics.collect())
}

/// R45: only named topics, only if the client lets us (implied below v4) and the broker may.
fn topics_to_create(
    cx: &RequestContext,
    image: &Image,
    request: &MetadataRequest,
) -> Vec<NewTopic> {
    let allowed = cx.version() < 4 || request.allow_auto_topic_creation;
    if !allowed || !cx.shared.config.auto_create_topics_enable {
        return Vec::new();
    }
    let names: BTreeSet<&str> = request
        .topics
        .iter()
        .flatten()
        .filter(|topic| topic.topic_id.is_nil())
        .filter_map(|topic| topic.name.as_ref().map(|name| name.as_str()))
        .filter(|name| image.topic(name).is_none() && names::validate(name).is_ok())
        .collect();
    let new = names
        .into_iter()
        .filter_map(|name| match is_internal(name) {
            true => internal_topics::new_topic(cx.shared, image, name),
            false => Some(NewTopic::with_defaults(name)),
        });
    new.collect()
}

/// What an answer depends on besides the image.
struct View {
    version: i16,
    listener: std::sync::Arc<str>,
    topic_operations: i32,
    cluster_operations: i32,
}

impl View {
    fn new(cx: &RequestContext, request: &MetadataRequest) -> View {
        let asked = |asked: bool, all: i32| if asked { all } else { OPERATIONS_NOT_ASKED };
        View {
            version: cx.version(),
            listener: cx.peer.listener.clone(),
            topic_operations: asked(
                request.include_topic_authorized_operations,
                ALL_TOPIC_OPERATIONS,
            ),
            cluster_operations: asked(
                request.include_cluster_authorized_operations,
                ALL_CLUSTER_OPERATIONS,
            ),
        }
    }

    fn answer(&self, image: &Image, request: &MetadataRequest) -> MetadataResponse {
        let topics = match &request.topics {
            None => self.all_topics(image),
            Some(topics) if topics.is_empty() && self.version == 0 => self.all_topics(image),
            Some(topics) => self.named_topics(image, topics),
        };
        let mut response = MetadataResponse::default()
            .with_brokers(self.brokers(image))
            .with_controller_id(image.controller_id().map_or(-1, |id| id.0).into())
            .with_topics(topics);
        if self.version >= 2 {
            response.cluster_id = Some(StrBytes::from_string(image.cluster_id.to_string()));
        }
        if (8..=10).contains(&self.version) {
            response.cluster_authorized_operations = self.cluster_operations;
        }
        response
    }

    fn brokers(&self, image: &Image) -> Vec<MetadataResponseBroker> {
        let alive = image.brokers.values().filter(|broker| !broker.fenced);
        alive
            .filter_map(|broker| {
                let endpoint = broker.endpoint(&self.listener)?;
                let rack = broker.rack.clone().filter(|_| self.version >= 1);
                Some(
                    MetadataResponseBroker::default()
                        .with_node_id(broker.id.0.into())
                        .with_host(StrBytes::from_string(endpoint.host.clone()))
                        .with_port(endpoint.port.into())
                        .with_rack(rack.map(StrBytes::from_string)),
                )
            })
            .collect()
    }

    fn all_topics(&self, image: &Image) -> Vec<MetadataResponseTopic> {
        image
            .topics()
            .map(|topic| self.topic(image, topic))
            .collect()
    }

    /// A topic asked for twice is answered once (R47); one non-zero id makes it a request by id,
    /// and entries without one are dropped (R49).
    fn named_topics(
        &self,
        image: &Image,
        asked: &[MetadataRequestTopic],
    ) -> Vec<MetadataResponseTopic> {
        if asked.iter().any(|topic| !topic.topic_id.is_nil()) {
            let ids: BTreeSet<Uuid> = asked
                .iter()
                .map(|t| t.topic_id)
                .filter(|id| !id.is_nil())
                .collect();
            return ids
                .into_iter()
                .map(|id| match image.topic_by_id(TopicId(id)) {
                    Some(topic) => self.topic(image, topic),
                    None => topic_error(None, id, ResponseError::UnknownTopicId),
                })
                .collect();
        }
        let names: BTreeSet<&str> = asked
            .iter()
            .filter_map(|t| t.name.as_ref().map(|n| n.as_str()))
            .collect();
        names
            .into_iter()
            .map(|name| match image.topic(name) {
                Some(topic) => self.topic(image, topic),
                None => {
                    let error = match names::validate(name) {
                        Ok(()) => ResponseError::UnknownTopicOrPartition,
                        Err(_) => ResponseError::InvalidTopicException,
                    };
                    let name = TopicName(StrBytes::from_string(name.to_owned()));
                    topic_error(Some(name), Uuid::nil(), error)
                }
            })
            .collect()
    }

    fn topic(&self, image: &Image, topic: &TopicImage) -> MetadataResponseTopic {
        let partitions = topic.partitions.iter().enumerate();
        let mut response = MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_string(
                topic.name.to_string(),
            ))))
            .with_is_internal(self.version >= 1 && is_internal(&topic.name))
            .with_partitions(
                partitions
                    .map(|(i, p)| self.partition(image, i as i32, p))
                    .collect(),
            );
        if self.version >= 8 {
            response.topic_authorized_operations = self.topic_operations;
        }
        if self.version >= 10 {
            response.topic_id = topic.id.0;
        }
        response
    }

    fn partition(
        &self,
        image: &Image,
        index: i32,
        partition: &PartitionImage,
    ) -> MetadataResponsePartition {
        let leader = partition
            .leader
            .and_then(|id| image.brokers.get(&id))
            .filter(|b| !b.fenced);
        let error = match leader {
            None => Some(ResponseError::LeaderNotAvailable),
            Some(leader) if leader.endpoint(&self.listener).is_some() => None,
            Some(_) if self.version >= 6 => Some(ResponseError::ListenerNotFound),
            Some(_) => Some(ResponseError::LeaderNotAvailable),
        };
        let leader_id = if error.is_some() {
            -1
        } else {
            leader.map_or(-1, |leader| leader.id.0)
        };
        let mut response = MetadataResponsePartition::default()
            .with_error_code(error.map_or(0, |e| e.code()))
            .with_partition_index(index)
            .with_leader_id(leader_id.into())
            .with_replica_nodes(nodes(&partition.replicas))
            .with_isr_nodes(nodes(&partition.isr));
        if self.version >= 5 {
            response.offline_replicas = nodes(&offline(image, &partition.replicas));
        }
        if self.version >= 7 {
            response.leader_epoch = partition.leader_epoch;
        }
        response
    }
}

/// Those of `replicas` whose brokers are out of service.
pub(super) fn offline(image: &Image, replicas: &[BrokerId]) -> Vec<BrokerId> {
    let is_alive = |id| image.brokers.get(id).is_some_and(|broker| !broker.fenced);
    replicas
        .iter()
        .filter(|id| !is_alive(id))
        .copied()
        .collect()
}

pub(super) fn nodes(ids: &[BrokerId]) -> Vec<kafka_protocol::messages::BrokerId> {
    ids.iter().map(|id| id.0.into()).collect()
}

fn topic_error(name: Option<TopicName>, id: Uuid, error: ResponseError) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(name)
        .with_topic_id(id)
        .with_topic_authorized_operations(OPERATIONS_NOT_ASKED)
}
