//! Group coordinators on bad disks: a damaged log, a full disk, a broker that syncs before it
//! answers, and many commits at once.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    OffsetCommitRequest, OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use ottla::coordinator::partition_of;
use protocol_tests::client::Connection;
use tempfile::TempDir;

use crate::disks::{Mounted, RESUMED_WITHIN, connect, produce, site, wait_for};

const COMMIT: i16 = 8;
const NONE: i16 = 0;
const LOADING: i16 = 14;
const NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const PARTITIONS: i32 = 50;
const TOPIC: &str = "t";

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Waits until the group has a coordinator: one that is late with its topic says so.
#[track_caller]
fn await_coordinator(client: &mut Connection, group: &str) {
    wait_for("a coordinator", || match find(client, group) {
        NONE => true,
        NOT_AVAILABLE => false,
        error => panic!("{error} of a coordinator that begins"),
    });
}

fn find(client: &mut Connection, group: &str) -> i16 {
    let request = FindCoordinatorRequest::default().with_key(text(group));
    client.call(&request, 3).expect("an answer").error_code
}

fn commit(client: &mut Connection, group: &str, offset: i64) -> i16 {
    client
        .send(&commit_request(group, offset), COMMIT)
        .expect("sent");
    committed(client)
}

fn committed(client: &mut Connection) -> i16 {
    let answer = client.receive::<OffsetCommitRequest>(COMMIT);
    answer.expect("an answer").topics[0].partitions[0].error_code
}

fn commit_request(group: &str, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text(TOPIC)))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(vec![topic])
}

/// What the group has committed for the topic's one partition, or the error.
fn fetch(client: &mut Connection, group: &str) -> Result<Option<i64>, i16> {
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![asked]);
    let answer = client.call(&request, 8).expect("an answer");
    let answer = &answer.groups[0];
    match answer.error_code {
        NONE => {
            let topic = answer.topics.first();
            Ok(topic.map(|topic| topic.partitions[0].committed_offset))
        }
        error => Err(error),
    }
}

/// Once the coordinator has loaded.
fn fetch_loaded(client: &mut Connection, group: &str) -> Result<Option<i64>, i16> {
    let mut fetched = Err(LOADING);
    wait_for("the coordinator to load", || {
        fetched = fetch(client, group);
        fetched != Err(LOADING)
    });
    fetched
}

fn join(client: &mut Connection, group: &str) -> JoinGroupResponse {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"\0\0\0\0\0\0\xff\xff\xff\xff"));
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_session_timeout_ms(600_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    client.call(&request, 3).expect("an answer")
}

fn beat(client: &mut Connection, group: &str, joined: &JoinGroupResponse) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    client.call(&request, 4).expect("an answer").error_code
}

fn offsets_log(data: &Path, partition: i32) -> PathBuf {
    let directory = data.join(format!("__consumer_offsets-{partition}"));
    directory.join("00000000000000000000.log")
}

fn flip_a_byte(file: &Path) {
    let mut bytes = fs::read(file).expect("the log");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(file, bytes).expect("written");
}

#[test]
fn a_damaged_offsets_log_takes_its_own_groups_out_of_service_and_says_so() {
    let directory = TempDir::new().expect("tempdir");
    let mut site = site(directory.path(), &[]);
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    client
        .create_topic(TOPIC, 1, &[])
        .expect("an answer")
        .expect("created");
    for group in ["hurt", "well"] {
        await_coordinator(&mut client, group);
        for offset in 0..20 {
            assert_eq!(commit(&mut client, group, offset), NONE);
        }
    }
    assert_ne!(
        partition_of("hurt", PARTITIONS),
        partition_of("well", PARTITIONS)
    );
    broker.stop().expect("stopped");
    let hurt = offsets_log(&site.data(), partition_of("hurt", PARTITIONS));
    flip_a_byte(&hurt);

    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    assert_eq!(fetch_loaded(&mut client, "well"), Ok(Some(19)));
    assert_eq!(commit(&mut client, "well", 20), NONE);
    assert_eq!(fetch_loaded(&mut client, "hurt"), Err(NOT_COORDINATOR));
    assert_eq!(commit(&mut client, "hurt", 20), NOT_COORDINATOR);
    assert_eq!(join(&mut client, "hurt").error_code, NOT_COORDINATOR);
    // Not "here", or clients would go round in circles.
    assert_eq!(find(&mut client, "hurt"), NOT_AVAILABLE);
    let kept = fs::metadata(hurt).expect("the files are kept");
    assert!(kept.len() > 0);
    broker.stop().expect("stopped");
}

#[test]
fn d12_on_a_full_disk_commits_are_refused_and_members_stay() {
    let directory = TempDir::new().expect("tempdir");
    let data = directory.path().join("data");
    let Some(_disk) = Mounted::tmpfs(&data, 48) else {
        return;
    };
    let overrides = [
        "group.initial.rebalance.delay.ms=0",
        "log.segment.bytes=1048576",
        "message.max.bytes=1000000",
        "log.retention.check.interval.ms=100",
    ];
    let mut site = site(directory.path(), &overrides);
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    let created = client.create_topic(TOPIC, 1, &[("retention.ms", "-1")]);
    created.expect("an answer").expect("created");
    await_coordinator(&mut client, "g");
    assert_eq!(commit(&mut client, "g", 5), NONE);
    await_coordinator(&mut client, "members");
    let joined = join(&mut client, "members");
    assert_eq!(joined.error_code, NONE);
    let end = loop {
        if produce(&mut client, TOPIC, 0, 500_000).is_err() {
            break client
                .list_offset(TOPIC, 0, -1)
                .expect("an answer")
                .expect("an end");
        }
    };
    assert_eq!(commit(&mut client, "g", 6), NOT_COORDINATOR, "retriable");
    assert_eq!(fetch(&mut client, "g"), Ok(Some(5)), "reads go on");
    assert_eq!(beat(&mut client, "members", &joined), NONE);
    let deleted = client.delete_records(TOPIC, 0, end - 2).expect("an answer");
    assert_eq!(deleted, Ok(end - 2));
    let took = wait_for("commits to resume", || commit(&mut client, "g", 7) == NONE);
    assert!(took < RESUMED_WITHIN, "resumed after {took:?}");
    assert_eq!(beat(&mut client, "members", &joined), NONE);
    broker.kill().expect("killed");
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    assert_eq!(fetch_loaded(&mut client, "g"), Ok(Some(7)));
    broker.stop().expect("stopped");
}

#[test]
fn a_broker_that_syncs_every_append_answers_commits_once_they_are_synced() {
    let directory = TempDir::new().expect("tempdir");
    let site = site(directory.path(), &[]);
    let mut site = site.with_arguments(&[
        "--set",
        "storage.durable=true",
        "--override",
        "group.initial.rebalance.delay.ms=0",
    ]);
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    client
        .create_topic(TOPIC, 1, &[])
        .expect("an answer")
        .expect("created");
    await_coordinator(&mut client, "g");
    for offset in 0..10 {
        assert_eq!(commit(&mut client, "g", offset), NONE);
        assert_eq!(fetch(&mut client, "g"), Ok(Some(offset)));
    }
    await_coordinator(&mut client, "members");
    let joined = join(&mut client, "members");
    assert_eq!((joined.error_code, joined.generation_id), (NONE, 1));
    broker.kill().expect("killed");
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    assert_eq!(fetch_loaded(&mut client, "g"), Ok(Some(9)));
    broker.stop().expect("stopped");
}

/// They share batches; each is answered, and the last of each group stands.
#[test]
fn commits_of_many_connections_at_once_are_all_kept() {
    const CONNECTIONS: usize = 8;
    const COMMITS: i64 = 200;
    let directory = TempDir::new().expect("tempdir");
    let overrides = [
        "offsets.topic.num.partitions=1",
        "offsets.topic.compression.codec=3",
    ];
    let mut site = site(directory.path(), &overrides);
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    client
        .create_topic(TOPIC, 1, &[])
        .expect("an answer")
        .expect("created");
    await_coordinator(&mut client, "g");
    std::thread::scope(|scope| {
        for index in 0..CONNECTIONS {
            let mut client = connect(&site);
            scope.spawn(move || {
                let group = format!("g{index}");
                for offset in 0..COMMITS {
                    let request = commit_request(&group, offset);
                    client.send(&request, COMMIT).expect("sent");
                }
                for _ in 0..COMMITS {
                    assert_eq!(committed(&mut client), NONE);
                }
                assert_eq!(fetch(&mut client, &group), Ok(Some(COMMITS - 1)));
            });
        }
    });
    broker.kill().expect("killed");
    let log = fs::read(offsets_log(&site.data(), 0)).expect("the log");
    assert_eq!(log[22] & 7, 3, "lz4, as set");
    let broker = site.start().expect("a broker");
    let mut client = connect(&site);
    for index in 0..CONNECTIONS {
        let fetched = fetch_loaded(&mut client, &format!("g{index}"));
        assert_eq!(fetched, Ok(Some(COMMITS - 1)));
    }
    broker.stop().expect("stopped");
}
