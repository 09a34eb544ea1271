//! DescribeLogDirs and AlterReplicaLogDirs (R160); moves between directories are in `disks.rs`.

use kafka_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use kafka_protocol::messages::{AlterReplicaLogDirsRequest, DescribeLogDirsRequest};

use super::batch::Batch;
use super::calls::{Topic, text, topic_name, unused_name};
use super::client::Client;
use super::subject;

const DESCRIBE_LOG_DIRS: i16 = 4;

pub fn describe_log_dirs_request(topics: &[(&str, &[i32])]) -> DescribeLogDirsRequest {
    let topics = topics.iter().map(|(name, partitions)| {
        DescribableLogDirTopic::default()
            .with_topic(topic_name(name))
            .with_partitions(partitions.to_vec())
    });
    DescribeLogDirsRequest::default().with_topics(Some(topics.collect()))
}

/// Index, size, lag and whether it is a future one, of every partition of the topic.
fn replicas(results: &[DescribeLogDirsResult], topic: &Topic) -> Vec<(i32, i64, i64, bool)> {
    let topics = results.iter().flat_map(|result| &result.topics);
    let named = topics.filter(|found| found.name == topic_name(&topic.name));
    let mut replicas: Vec<_> = named
        .flat_map(|found| &found.partitions)
        .map(|p| {
            (
                p.partition_index,
                p.partition_size,
                p.offset_lag,
                p.is_future_key,
            )
        })
        .collect();
    replicas.sort();
    replicas
}

#[track_caller]
fn describe(client: &mut Client, topics: &[(&str, &[i32])]) -> Vec<DescribeLogDirsResult> {
    let request = describe_log_dirs_request(topics);
    client.call(DESCRIBE_LOG_DIRS, &request).results
}

#[test]
fn r160_log_dirs_tell_true_sizes_in_every_version() {
    let subject = subject();
    let topic = subject.topic_with("r160", 2, &[]);
    let mut client = subject.connect();
    let batch = Batch::sized(1_000);
    client.append(&topic, &batch);
    client.append(&topic, &batch);
    let size = 2 * batch.bytes().len() as i64;
    for version in 1..=4 {
        let request = describe_log_dirs_request(&[(&topic.name, &[0, 1])]);
        let answer = client.call(version, &request);
        assert_eq!((answer.error_code, answer.throttle_time_ms), (0, 0));
        let got = replicas(&answer.results, &topic);
        assert_eq!(got, [(0, size, 0, false), (1, 0, 0, false)], "v{version}");
        for result in &answer.results {
            assert_eq!(result.error_code, 0);
            assert!(result.log_dir.starts_with('/'), "{}", result.log_dir);
            let (total, usable) = (result.total_bytes, result.usable_bytes);
            match version {
                4 => assert!(0 < usable && usable <= total, "{usable} of {total}"),
                _ => assert_eq!((total, usable), (-1, -1), "v{version}"),
            }
        }
    }
}

#[test]
fn r160_null_asks_for_everything_and_an_empty_list_for_no_topic() {
    let subject = subject();
    let topic = subject.topic("r160");
    let mut client = subject.connect();
    let everything = DescribeLogDirsRequest::default().with_topics(None);
    let answer = client.call(DESCRIBE_LOG_DIRS, &everything);
    assert_eq!(replicas(&answer.results, &topic), [(0, 0, 0, false)]);
    let nothing = describe(&mut client, &[]);
    assert!(!nothing.is_empty());
    assert!(nothing.iter().all(|result| result.topics.is_empty()));
}

#[test]
fn r160_what_is_unknown_is_left_out() {
    let subject = subject();
    let topic = subject.topic("r160");
    let mut client = subject.connect();
    let absent = unused_name("absent");
    let results = describe(&mut client, &[(&topic.name, &[0, 7]), (&absent, &[0])]);
    assert_eq!(replicas(&results, &topic), [(0, 0, 0, false)]);
    let topics = results.iter().map(|result| result.topics.len());
    assert_eq!(topics.sum::<usize>(), 1, "{results:?}");
}

pub fn alter_log_dirs_request(path: &str, topics: &[(&str, &[i32])]) -> AlterReplicaLogDirsRequest {
    let topics = topics.iter().map(|(name, partitions)| {
        AlterReplicaLogDirTopic::default()
            .with_name(topic_name(name))
            .with_partitions(partitions.to_vec())
    });
    let dir = AlterReplicaLogDir::default()
        .with_path(text(path))
        .with_topics(topics.collect());
    AlterReplicaLogDirsRequest::default().with_dirs(vec![dir])
}

#[test]
fn r160_replicas_move_to_directories_that_exist_only() {
    let subject = subject();
    let topic = subject.topic("r160");
    let mut client = subject.connect();
    let here = describe(&mut client, &[(&topic.name, &[0])])
        .remove(0)
        .log_dir;
    let absent = unused_name("absent");
    for version in 1..=2 {
        for (path, name, partition, error) in [
            (here.as_str(), &topic.name, 0, 0),
            ("/no/such/directory", &topic.name, 0, 57),
            (here.as_str(), &topic.name, 7, 3),
            (here.as_str(), &absent, 0, 3),
        ] {
            let request = alter_log_dirs_request(path, &[(name, &[partition])]);
            let answer = client.call(version, &request);
            let got = &answer.results[0];
            assert_eq!(got.topic_name, topic_name(name));
            let got = &got.partitions[0];
            assert_eq!(got.partition_index, partition);
            assert_eq!(
                got.error_code, error,
                "v{version} {path} {name} {partition}"
            );
        }
    }
}
