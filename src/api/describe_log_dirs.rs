//! DescribeLogDirs (35), v1–4: which partitions lie in which log directory and how large they are
//! (KIP-113, R160). v2 is the flexible encoding, v3 adds a top-level error (KIP-784), v4 the size
//! of the file system (KIP-827).

use std::collections::BTreeMap;

use hashbrown::HashSet;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::off_runtime::off_runtime;
use super::{Outcome, Parked, RequestContext, answer};
use crate::broker::Shared;
use crate::partition::log_dirs::{DescribedDir, DescribedReplica};
use crate::types::TopicPartition;

const FIRST_VERSION_WITH_SPACE: i16 = 4;

pub fn handle(cx: &RequestContext, request: DescribeLogDirsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let shared = cx.shared.clone();
    Parked::shared(async move {
        let results = off_runtime(move || describe(&shared, request, version)).await;
        let response = DescribeLogDirsResponse::default().with_results(results);
        answer::encode(correlation_id, version, &response)
    })
}

fn describe(
    shared: &Shared,
    request: DescribeLogDirsRequest,
    version: i16,
) -> Vec<DescribeLogDirsResult> {
    let asked = request.topics.map(|topics| {
        let named = topics.into_iter().flat_map(|topic| {
            let name = topic.topic;
            let partitions = topic.partitions.into_iter();
            partitions.map(move |partition| (name.to_string(), partition))
        });
        named.collect::<HashSet<_>>()
    });
    let wanted = |partition: &TopicPartition| match &asked {
        None => true,
        Some(asked) => asked.contains(&(partition.topic.to_string(), partition.partition)),
    };
    let described = shared.partitions.describe_log_dirs(wanted).into_iter();
    described.map(|dir| result(dir, version)).collect()
}

fn result(dir: DescribedDir, version: i16) -> DescribeLogDirsResult {
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for replica in dir.replicas {
        let topic = replica.partition.topic.to_string();
        topics.entry(topic).or_default().push(entry(replica));
    }
    let topics = topics.into_iter().map(|(name, mut partitions)| {
        partitions.sort_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic::default()
            .with_name(TopicName(StrBytes::from_string(name)))
            .with_partitions(partitions)
    });
    let path = std::path::absolute(&dir.path).unwrap_or(dir.path);
    let path = path.to_string_lossy().into_owned();
    let mut result = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(path))
        .with_error_code(dir.error.map_or(0, |error| error.code()))
        .with_topics(topics.collect());
    if version >= FIRST_VERSION_WITH_SPACE
        && let Some((total, usable)) = dir.space
    {
        result.total_bytes = i64::try_from(total).unwrap_or(i64::MAX);
        result.usable_bytes = i64::try_from(usable).unwrap_or(i64::MAX);
    }
    result
}

fn entry(replica: DescribedReplica) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition::default()
        .with_partition_index(replica.partition.partition)
        .with_partition_size(i64::try_from(replica.size).unwrap_or(i64::MAX))
        .with_offset_lag(replica.offset_lag)
        .with_is_future_key(replica.is_future)
}
