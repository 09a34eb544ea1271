//! OffsetCommit (R99, R108, R114).

use super::super::calls::{text, unused_name};
use super::member::{Member, stable};
use super::requests::{
    COMMIT, DELETE, HEARTBEAT, LIST, Position, at, commit, commit_topics, delete, fetch, heartbeat,
    list, plain_join,
};
use super::subject;
use crate::wire::client::Client;

/// Partition and error of each partition of each topic.
#[track_caller]
fn errors(
    client: &mut Client,
    version: i16,
    request: &kafka_protocol::messages::OffsetCommitRequest,
) -> Vec<(String, i32, i16)> {
    let answer = client.call(version, request);
    assert_eq!(answer.throttle_time_ms, 0);
    let topics = answer.topics.iter();
    topics
        .flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|it| (topic.name.to_string(), it.partition_index, it.error_code))
        })
        .collect()
}

#[track_caller]
fn one_error(
    client: &mut Client,
    version: i16,
    request: &kafka_protocol::messages::OffsetCommitRequest,
) -> i16 {
    let errors = errors(client, version, request);
    assert_eq!(errors.len(), 1);
    errors[0].2
}

#[test]
fn r99_offset_epoch_and_metadata_come_back_as_they_were_committed() {
    let subject = subject();
    let topic = subject.topic("r99");
    let mut client = subject.connect();
    for version in 2..=9 {
        let group = unused_name("r99");
        let position = Position {
            partition: 0,
            offset: 1_234_567_890_123,
            leader_epoch: 7,
            metadata: Some("what I wanted to say 🦀"),
        };
        let request = commit(version, &group, &topic.name, &[position]);
        assert_eq!(one_error(&mut client, version, &request), 0, "v{version}");
        for fetch_version in 1..=9 {
            let topics: &[(&str, &[i32])] = &[(&topic.name, &[0])];
            let answer = client.call(fetch_version, &fetch(fetch_version, &group, Some(topics)));
            let (offset, epoch, metadata, error) = if fetch_version >= 8 {
                let it = &answer.groups[0].topics[0].partitions[0];
                (
                    it.committed_offset,
                    it.committed_leader_epoch,
                    &it.metadata,
                    it.error_code,
                )
            } else {
                let it = &answer.topics[0].partitions[0];
                (
                    it.committed_offset,
                    it.committed_leader_epoch,
                    &it.metadata,
                    it.error_code,
                )
            };
            assert_eq!((offset, error), (1_234_567_890_123, 0), "v{fetch_version}");
            let known = if version >= 6 && fetch_version >= 5 {
                7
            } else {
                -1
            };
            assert_eq!(epoch, known, "commit v{version} fetch v{fetch_version}");
            assert_eq!(metadata.as_deref(), Some("what I wanted to say 🦀"));
        }
    }
}

#[test]
fn r99_null_metadata_comes_back_empty() {
    let subject = subject();
    let topic = subject.topic("r99");
    let group = unused_name("r99");
    let mut client = subject.connect();
    let position = Position {
        metadata: None,
        ..at(0, 5)
    };
    let request = commit(COMMIT, &group, &topic.name, &[position]);
    assert_eq!(one_error(&mut client, COMMIT, &request), 0);
    let answer = client.call(9, &fetch(9, &group, None));
    let partition = &answer.groups[0].topics[0].partitions[0];
    assert_eq!(partition.metadata.as_deref(), Some(""));
    assert_eq!(partition.committed_offset, 5);
}

#[test]
fn r99_metadata_may_be_4096_characters_and_the_other_partitions_are_committed() {
    let subject = subject();
    let topic = subject.topic_with("r99", 4, &[]);
    let mut client = subject.connect();
    for version in 2..=9 {
        let group = unused_name("r99");
        let (fits, too_long) = ("m".repeat(4096), "m".repeat(4097));
        // Characters as Java counts them: UTF-16 units, here 2 for 4 bytes.
        let crabs = "🦀".repeat(2048);
        let with = |partition, metadata| Position {
            metadata: Some(metadata),
            ..at(partition, 9)
        };
        let request = commit(
            version,
            &group,
            &topic.name,
            &[
                with(0, &fits),
                with(1, &too_long),
                with(2, "short"),
                with(3, &crabs),
            ],
        );
        let name = &topic.name;
        assert_eq!(
            errors(&mut client, version, &request),
            [(0, 0), (1, 12), (2, 0), (3, 0)].map(|(p, e)| (name.clone(), p, e)),
            "v{version}"
        );
        assert_eq!(client.committed(&group, name, 0), 9);
        assert_eq!(client.committed(&group, name, 1), -1);
        assert_eq!(client.committed(&group, name, 2), 9);
    }
}

#[test]
fn r99_unknown_topics_and_partitions_are_refused_and_the_others_committed() {
    let subject = subject();
    let topic = subject.topic("r99");
    let absent = unused_name("absent");
    let mut client = subject.connect();
    for version in 2..=9 {
        let group = unused_name("r99");
        let request = commit_topics(
            version,
            &group,
            &[
                (&absent, &[at(0, 1)]),
                (&topic.name, &[at(0, 7), at(1, 7), at(-1, 7)]),
            ],
        );
        let mut got = errors(&mut client, version, &request);
        got.sort();
        let name = topic.name.clone();
        let mut expected = vec![
            (absent.clone(), 0, 3),
            (name.clone(), 0, 0),
            (name.clone(), 1, 3),
            (name.clone(), -1, 3),
        ];
        expected.sort();
        assert_eq!(got, expected, "v{version}");
        assert_eq!(client.committed(&group, &topic.name, 0), 7);
    }
}

#[test]
fn r99_negative_offsets_and_offsets_beyond_the_end_are_taken() {
    let subject = subject();
    let topic = subject.topic("r99");
    let mut client = subject.connect();
    for offset in [-1, -2, i64::MIN, i64::MAX, 0] {
        let group = unused_name("r99");
        assert_eq!(client.commit_alone(&group, &topic.name, offset), 0);
        assert_eq!(client.committed(&group, &topic.name, 0), offset);
    }
}

#[test]
fn r99_the_last_commit_wins_also_where_it_goes_back() {
    let subject = subject();
    let topic = subject.topic("r99");
    let group = unused_name("r99");
    let mut client = subject.connect();
    for offset in [5, 9, 3] {
        assert_eq!(client.commit_alone(&group, &topic.name, offset), 0);
        assert_eq!(client.committed(&group, &topic.name, 0), offset);
    }
    // Twice in one request.
    let request = commit(COMMIT, &group, &topic.name, &[at(0, 11), at(0, 12)]);
    let name = topic.name.clone();
    let twice = [(name.clone(), 0, 0), (name, 0, 0)];
    assert_eq!(errors(&mut client, COMMIT, &request), twice);
    assert_eq!(client.committed(&group, &topic.name, 0), 12);
}

#[test]
fn r99_a_commit_of_nothing_is_answered_with_nothing() {
    let subject = subject();
    let group = unused_name("r99");
    let mut client = subject.connect();
    for version in 2..=9 {
        let request = commit_topics(version, &group, &[]);
        assert_eq!(errors(&mut client, version, &request), []);
    }
}

#[test]
fn r108_the_group_without_a_name_may_commit_and_is_listed_and_deleted() {
    let subject = subject();
    let topic = subject.topic("r108");
    let mut client = subject.connect();
    for version in 2..=9 {
        let request = commit(version, "", &topic.name, &[at(0, 5)]);
        assert_eq!(one_error(&mut client, version, &request), 0, "v{version}");
    }
    assert_eq!(client.committed("", &topic.name, 0), 5);
    let listed = client.call(LIST, &list(&[], &[]));
    let unnamed = listed.groups.iter().find(|it| it.group_id.is_empty());
    let unnamed = unnamed.expect("the group is listed");
    assert_eq!(&*unnamed.protocol_type, "");
    assert_eq!(&*unnamed.group_state, "Empty");
    assert_eq!(client.call(9, &plain_join(9, "", "")).error_code, 24);
    assert_eq!(
        client.call(HEARTBEAT, &heartbeat("", "m", 1)).error_code,
        24
    );
    let answer = client.call(DELETE, &delete(&[""]));
    assert_eq!(answer.results[0].error_code, 0);
    assert_eq!(client.committed("", &topic.name, 0), -1);
}

#[test]
fn r114_outsiders_commit_to_unknown_and_empty_groups_only() {
    let subject = subject();
    let topic = subject.topic("r114");
    for version in 2..=9 {
        let mut client = subject.connect();
        let group = unused_name("r114");
        let request = commit(version, &group, &topic.name, &[at(0, 5)]);
        assert_eq!(
            one_error(&mut client, version, &request),
            0,
            "unknown group"
        );
        assert_eq!(one_error(&mut client, version, &request), 0, "its own");
        let mut members = stable(&subject, &group, 1);
        assert_eq!(one_error(&mut client, version, &request), 25, "v{version}");
        assert_eq!(members[0].leave(), 0);
        assert_eq!(one_error(&mut client, version, &request), 0, "empty");
        // With a member id or a generation it is no outsider.
        let named = request.clone().with_member_id(text("stranger"));
        assert_eq!(
            one_error(&mut client, version, &named),
            0,
            "v{version}: −1 and a name"
        );
        let known = request.clone().with_generation_id_or_member_epoch(1);
        let error = one_error(&mut client, version, &known);
        assert_eq!(error, 25, "v{version}: generation 1 of an empty group");
    }
}

#[test]
fn r114_a_generation_of_an_unknown_group_is_illegal_and_from_v9_on_the_group_is_missing() {
    let subject = subject();
    let topic = subject.topic("r114");
    let mut client = subject.connect();
    for version in 2..=9 {
        let request = commit(version, &unused_name("r114"), &topic.name, &[at(0, 5)])
            .with_generation_id_or_member_epoch(0)
            .with_member_id(text("m"));
        let expected = if version >= 9 { 69 } else { 22 };
        assert_eq!(one_error(&mut client, version, &request), expected);
    }
}

#[test]
fn r114_members_commit_in_their_generation() {
    let subject = subject();
    let topic = subject.topic("r114");
    for version in 2..=9 {
        let group = unused_name("r114");
        let mut client = subject.connect();
        let members = stable(&subject, &group, 2);
        let id = members[1].id.clone();
        let by = |member: &str, generation: i32| {
            commit(version, &group, &topic.name, &[at(0, 5)])
                .with_member_id(text(member))
                .with_generation_id_or_member_epoch(generation)
        };
        assert_eq!(one_error(&mut client, version, &by(&id, 2)), 0);
        for generation in [-1, 0, 1, 3] {
            let error = one_error(&mut client, version, &by(&id, generation));
            assert_eq!(error, 22, "v{version} generation {generation}");
        }
        assert_eq!(one_error(&mut client, version, &by("stranger", 2)), 25);
        assert_eq!(one_error(&mut client, version, &by("", 2)), 25);
        assert_eq!(one_error(&mut client, version, &by("stranger", -1)), 25);
    }
}

#[test]
fn r114_commits_in_a_rebalance() {
    let subject = subject();
    let topic = subject.topic("r114");
    let group = unused_name("r114");
    let mut members = stable(&subject, &group, 1);
    let mut other = Member::new(&subject, &group);
    let sent = other.send_join();
    other.aside.await_state(&group, "PreparingRebalance");
    assert_eq!(members[0].commit(&topic.name, 1), 0, "PreparingRebalance");
    assert_eq!(other.aside.committed(&group, &topic.name, 0), 1);
    members[0].join();
    other.joined(sent);
    assert_eq!(members[0].commit(&topic.name, 2), 27, "CompletingRebalance");
    members[0].generation = 1;
    assert_eq!(
        members[0].commit(&topic.name, 2),
        22,
        "of the generation before"
    );
    members[0].generation = 2;
    assert_eq!(other.aside.committed(&group, &topic.name, 0), 1);
    members[0].sync(&[]);
    assert_eq!(members[0].commit(&topic.name, 2), 0, "Stable");
}

#[test]
fn r114_the_whole_request_is_refused_topic_by_topic() {
    let subject = subject();
    let topic = subject.topic("r114");
    let absent = unused_name("absent");
    let mut client = subject.connect();
    let mut request = commit_topics(
        8,
        &unused_name("r114"),
        &[(&topic.name, &[at(0, 1)]), (&absent, &[at(4, 1)])],
    );
    request.generation_id_or_member_epoch = 3;
    let mut got = errors(&mut client, 8, &request);
    got.sort();
    let mut expected = vec![(topic.name.clone(), 0, 22), (absent, 4, 3)];
    expected.sort();
    assert_eq!(got, expected);
}
