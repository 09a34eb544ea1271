//! AlterReplicaLogDirs (34), v1–2: replicas move between log directories of the broker that is
//! asked, in the background (KIP-113). v2 is the flexible encoding. Asking for the directory a
//! replica is in ends its move.

use std::path::Path;

use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::{
    AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::off_runtime::off_runtime;
use super::{Outcome, Parked, RequestContext, answer};
use crate::broker::Shared;

pub fn handle(cx: &RequestContext, request: AlterReplicaLogDirsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let shared = cx.shared.clone();
    Parked::exclusive(async move {
        let response = off_runtime(move || alter_all(&shared, request)).await;
        answer::encode(correlation_id, version, &response)
    })
}

fn alter_all(shared: &Shared, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    // A partition asked for twice has one entry, and the last directory counts.
    let mut asked: IndexMap<TopicName, IndexMap<i32, StrBytes>> = IndexMap::new();
    for dir in request.dirs {
        for topic in dir.topics {
            let partitions = topic.partitions.into_iter();
            let paths = partitions.map(|partition| (partition, dir.path.clone()));
            asked.entry(topic.name).or_default().extend(paths);
        }
    }
    let results = asked.into_iter().map(|(name, partitions)| {
        let results = partitions.into_iter().map(|(index, path)| {
            let altered = shared
                .partitions
                .alter_log_dir(&name, index, Path::new(path.as_str()));
            AlterReplicaLogDirPartitionResult::default()
                .with_partition_index(index)
                .with_error_code(altered.err().map_or(0, |error| error.code()))
        });
        AlterReplicaLogDirTopicResult::default()
            .with_topic_name(name.clone())
            .with_partitions(results.collect())
    });
    AlterReplicaLogDirsResponse::default().with_results(results.collect())
}
