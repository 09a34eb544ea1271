//! OffsetFetch (R93, R100, R101), committed offsets as far as they are asked for.

use kafka_protocol::messages::OffsetFetchResponse;

use super::super::calls::unused_name;
use super::member::Member;
use super::requests::{COMMIT, FETCH, at, commit_topics, fetch, fetch_groups};
use super::subject;

/// Topic, partition, offset, epoch, metadata, error, whatever the version calls it.
type Entry = (String, i32, i64, i32, Option<String>, i16);

#[track_caller]
fn entries(version: i16, answer: &OffsetFetchResponse) -> Vec<Entry> {
    assert_eq!(answer.throttle_time_ms, 0);
    let mut entries: Vec<Entry> = Vec::new();
    if version >= 8 {
        assert_eq!(answer.groups.len(), 1, "{answer:?}");
        assert_eq!(answer.groups[0].error_code, 0, "{answer:?}");
        for topic in &answer.groups[0].topics {
            entries.extend(topic.partitions.iter().map(|it| {
                let metadata = it.metadata.as_ref().map(ToString::to_string);
                let (offset, epoch) = (it.committed_offset, it.committed_leader_epoch);
                let name = topic.name.to_string();
                (
                    name,
                    it.partition_index,
                    offset,
                    epoch,
                    metadata,
                    it.error_code,
                )
            }));
        }
    } else {
        assert_eq!(answer.error_code, 0, "{answer:?}");
        for topic in &answer.topics {
            entries.extend(topic.partitions.iter().map(|it| {
                let metadata = it.metadata.as_ref().map(ToString::to_string);
                let (offset, epoch) = (it.committed_offset, it.committed_leader_epoch);
                let name = topic.name.to_string();
                (
                    name,
                    it.partition_index,
                    offset,
                    epoch,
                    metadata,
                    it.error_code,
                )
            }));
        }
    }
    entries.sort();
    entries
}

fn nothing(topic: &str, partition: i32) -> Entry {
    (topic.to_owned(), partition, -1, -1, Some(String::new()), 0)
}

#[test]
fn r99_r100_unknown_groups_topics_and_partitions_have_no_offset_and_no_error() {
    let subject = subject();
    let topic = subject.topic("r100");
    let absent = unused_name("absent");
    let known = unused_name("r100");
    let mut client = subject.connect();
    assert_eq!(client.commit_alone(&known, &topic.name, 5), 0);
    for version in 1..=9 {
        for group in [&unused_name("nobody"), &String::new()] {
            let topics: &[(&str, &[i32])] = &[(&topic.name, &[0, 7]), (&absent, &[0])];
            let answer = client.call(version, &fetch(version, group, Some(topics)));
            let mut expected = vec![
                nothing(&topic.name, 0),
                nothing(&topic.name, 7),
                nothing(&absent, 0),
            ];
            expected.sort();
            assert_eq!(entries(version, &answer), expected, "v{version}");
        }
        let topics: &[(&str, &[i32])] = &[(&topic.name, &[7, 0]), (&absent, &[0])];
        let answer = client.call(version, &fetch(version, &known, Some(topics)));
        let five = (topic.name.clone(), 0, 5, -1, Some(String::new()), 0);
        let mut expected = vec![five, nothing(&topic.name, 7), nothing(&absent, 0)];
        expected.sort();
        assert_eq!(entries(version, &answer), expected, "v{version}");
    }
}

#[test]
fn r100_a_group_that_has_been_deleted_has_no_offsets_and_no_error() {
    let subject = subject();
    let topic = subject.topic("r100");
    let group = unused_name("r100");
    let mut client = subject.connect();
    assert_eq!(client.commit_alone(&group, &topic.name, 5), 0);
    let answer = client.call(2, &super::requests::delete(&[&group]));
    assert_eq!(answer.results[0].error_code, 0);
    for version in 1..=9 {
        let topics: &[(&str, &[i32])] = &[(&topic.name, &[0])];
        let answer = client.call(version, &fetch(version, &group, Some(topics)));
        assert_eq!(entries(version, &answer), [nothing(&topic.name, 0)]);
        if version >= 2 {
            let answer = client.call(version, &fetch(version, &group, None));
            assert_eq!(entries(version, &answer), []);
        }
    }
}

#[test]
fn r101_v2_and_newer_give_all_topics_for_null() {
    let subject = subject();
    let topics = [subject.topic_with("r101", 2, &[]), subject.topic("r101")];
    let group = unused_name("r101");
    let mut client = subject.connect();
    let request = commit_topics(
        COMMIT,
        &group,
        &[
            (&topics[0].name, &[at(0, 1), at(1, 2)]),
            (&topics[1].name, &[at(0, 3)]),
        ],
    );
    client.call(COMMIT, &request);
    let entry = |topic: usize, partition, offset| {
        let name = topics[topic].name.clone();
        (name, partition, offset, -1, Some(String::new()), 0)
    };
    let mut expected = vec![entry(0, 0, 1), entry(0, 1, 2), entry(1, 0, 3)];
    expected.sort();
    for version in 2..=9 {
        let answer = client.call(version, &fetch(version, &group, None));
        assert_eq!(entries(version, &answer), expected, "v{version}");
        // An empty list is not null.
        let answer = client.call(version, &fetch(version, &group, Some(&[])));
        assert_eq!(entries(version, &answer), [], "v{version}");
    }
    // A topic without partitions is answered so.
    let asked: &[(&str, &[i32])] = &[(&topics[0].name, &[])];
    let answer = client.call(FETCH, &fetch(FETCH, &group, Some(asked)));
    assert_eq!(answer.groups[0].topics.len(), 1);
    assert!(answer.groups[0].topics[0].partitions.is_empty());
}

#[test]
fn r101_v8_and_newer_ask_for_many_groups_each_with_topics_of_its_own() {
    let subject = subject();
    let topic = subject.topic("r101");
    let groups: Vec<String> = (0..3).map(|_| unused_name("r101")).collect();
    let mut client = subject.connect();
    for (group, offset) in groups.iter().zip([10, 20]) {
        assert_eq!(client.commit_alone(group, &topic.name, offset), 0);
    }
    let asked: &[(&str, &[i32])] = &[(&topic.name, &[0])];
    for version in 8..=9 {
        let request = fetch_groups(&[
            (&groups[1], Some(asked)),
            (&groups[2], Some(asked)),
            (&groups[0], None),
            ("", None),
        ]);
        let answer = client.call(version, &request);
        assert_eq!(answer.error_code, 0);
        let mut got: Vec<(String, usize, i64)> = answer
            .groups
            .iter()
            .map(|group| {
                assert_eq!(group.error_code, 0);
                let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
                let offsets: Vec<i64> = partitions.map(|it| it.committed_offset).collect();
                let first = offsets.first().copied().unwrap_or(-1);
                (group.group_id.to_string(), offsets.len(), first)
            })
            .collect();
        got.sort();
        let mut expected = vec![
            (groups[1].clone(), 1, 20),
            (groups[2].clone(), 1, -1),
            (groups[0].clone(), 1, 10),
        ];
        expected.sort();
        // Other tests may commit in the group without a name.
        assert_eq!(got.remove(0).0, "");
        assert_eq!(got, expected, "v{version}");
    }
    let answer = client.call(9, &fetch_groups(&[]));
    assert_eq!((answer.error_code, answer.groups.len()), (0, 0));
}

#[test]
fn r93_duplicate_partitions_and_groups_are_answered_as_often_as_they_were_asked_for() {
    let subject = subject();
    let topic = subject.topic("r93");
    let group = unused_name("r93");
    let mut client = subject.connect();
    assert_eq!(client.commit_alone(&group, &topic.name, 5), 0);
    let five = (topic.name.clone(), 0, 5, -1, Some(String::new()), 0);
    for version in 1..=9 {
        let topics: &[(&str, &[i32])] = &[(&topic.name, &[0, 0])];
        let answer = client.call(version, &fetch(version, &group, Some(topics)));
        let expected = [five.clone(), five.clone()];
        assert_eq!(entries(version, &answer), expected, "v{version}");
    }
    let topics: &[(&str, &[i32])] = &[(&topic.name, &[0]), (&topic.name, &[0])];
    let request = fetch_groups(&[(&group, Some(topics)), (&group, None)]);
    let answer = client.call(FETCH, &request);
    assert_eq!(answer.groups.len(), 2);
    let counts: Vec<usize> = answer.groups.iter().map(|it| it.topics.len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 3, "{counts:?}");
}

#[test]
fn r101_require_stable_of_settled_offsets_is_answered_like_any_other() {
    let subject = subject();
    let topic = subject.topic("r101");
    let group = unused_name("r101");
    let mut client = subject.connect();
    assert_eq!(client.commit_alone(&group, &topic.name, 5), 0);
    for version in 7..=9 {
        let topics: &[(&str, &[i32])] = &[(&topic.name, &[0])];
        let request = fetch(version, &group, Some(topics)).with_require_stable(true);
        let answer = client.call(version, &request);
        let five = (topic.name.clone(), 0, 5, -1, Some(String::new()), 0);
        assert_eq!(entries(version, &answer), [five], "v{version}");
    }
}

#[test]
fn r100_members_and_epochs_of_v9_do_not_matter_to_a_classic_group() {
    let subject = subject();
    let topic = subject.topic("r100");
    let group = unused_name("r100");
    let mut member = Member::new(&subject, &group);
    member.join();
    member.sync(&[]);
    assert_eq!(member.commit(&topic.name, 5), 0);
    let topics: &[(&str, &[i32])] = &[(&topic.name, &[0])];
    let five = (topic.name.clone(), 0, 5, -1, Some(String::new()), 0);
    for (id, epoch) in [("stranger", 7), (&*member.id.clone(), -1), ("", 3)] {
        let mut request = fetch(9, &group, Some(topics));
        request.groups[0].member_id = Some(super::super::calls::text(id));
        request.groups[0].member_epoch = epoch;
        let answer = member.aside.call(9, &request);
        assert_eq!(
            entries(9, &answer),
            std::slice::from_ref(&five),
            "{id} {epoch}"
        );
    }
}
