//! The calls about groups of tools, exporters and registries, in the versions and the order in
//! which they make them (R202, R208, R213).

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ListOffsetsRequest, MetadataRequest, OffsetFetchRequest};

use super::super::calls::{
    LATEST, Topic, list_offsets_request, metadata_request, poll, topic_name, unused_name,
};
use super::super::client::{CLIENT_ID, Client};
use super::member::{Member, stabilise, stable};
use super::requests::{
    at, commit, commit_topics, delete, describe, fetch, fetch_groups, find, group_id, heartbeat,
    join, leave, list, offset_delete, sync,
};
use super::subject;
use crate::wire::batch::{Batch, stored};
use crate::wire::calls::fetch_request;

/// ConsumerProtocolAssignment v0 of one topic.
fn assignment(topic: &str, partitions: &[i32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 0, 1];
    bytes.extend((topic.len() as i16).to_be_bytes());
    bytes.extend(topic.as_bytes());
    bytes.extend((partitions.len() as i32).to_be_bytes());
    bytes.extend(partitions.iter().flat_map(|it| it.to_be_bytes()));
    bytes.extend((-1i32).to_be_bytes());
    bytes
}

#[track_caller]
fn await_coordinator(client: &mut Client, version: i16, group: &str) {
    poll("the coordinator", || {
        let answer = client.call(version, &find(version, &[group]));
        let error = answer
            .coordinators
            .first()
            .map_or(answer.error_code, |it| it.error_code);
        (error == 0).then_some(())
    });
}

#[test]
fn r202_kafka_consumer_groups_lists_and_describes() {
    let subject = subject();
    let topic = subject.topic_with("r202", 2, &[]);
    let (read, alone) = (unused_name("r202"), unused_name("r202"));
    let mut members = stable(&subject, &read, 2);
    assert_eq!(members[0].commit(&topic.name, 3), 0);
    let mut client = subject.connect().called(Some("adminclient-1"));
    client.append(&topic, &Batch::numbered(5));
    assert_eq!(client.commit_alone(&alone, &topic.name, 1), 0);

    // --list, --list --state: each broker is asked.
    client.call(12, &metadata_request(&[]));
    let listed = client.call(5, &list(&[], &["consumer", "classic"]));
    let found = |name: &str| listed.groups.iter().any(|it| *it.group_id.0 == *name);
    assert!(found(&read) && found(&alone));
    let listed = client.call(5, &list(&["Stable"], &[]));
    let found = |name: &str| listed.groups.iter().any(|it| *it.group_id.0 == *name);
    assert!(found(&read) && !found(&alone));

    // --describe --all-groups: coordinators of many, descriptions of classic groups, offsets of
    // many groups in one request, the ends of their partitions.
    let found = client.call(6, &find(6, &[&read, &alone]));
    assert!(found.coordinators.iter().all(|it| it.error_code == 0));
    let described = client.call(6, &describe(&[&read, &alone]));
    assert!(described.groups.iter().all(|it| it.error_code == 0));
    let answer = client.call(9, &fetch_groups(&[(&read, None), (&alone, None)]));
    let mut offsets: Vec<(&str, i64)> = answer
        .groups
        .iter()
        .map(|it| (&*it.group_id.0, it.topics[0].partitions[0].committed_offset))
        .collect();
    offsets.sort_unstable();
    let mut expected = [(&*read, 3), (&*alone, 1)];
    expected.sort_unstable();
    assert_eq!(offsets, expected);
    let ends = client.call(10, &list_offsets_request(&topic, 0, LATEST));
    assert_eq!(ends.topics[0].partitions[0].offset, 5);
}

#[test]
fn r202_kafka_consumer_groups_resets_and_deletes() {
    let subject = subject();
    let topic = subject.topic_with("r202", 2, &[]);
    let group = unused_name("r202");
    let mut client = subject.connect().called(Some("adminclient-1"));
    await_coordinator(&mut client, 6, &group);
    let mut members = vec![
        Member::new(&subject, &group),
        Member::new(&subject, &group).instance("inst"),
    ];
    stabilise(&mut members);

    // --reset-offsets --execute of a group with members is refused by its state; the commit itself
    // would be as well.
    let described = client.call(6, &describe(&[&group]));
    assert_eq!(&*described.groups[0].group_state, "Stable");
    let reset = commit(9, &group, &topic.name, &[at(0, 1), at(1, 2)]);
    let answer = client.call(9, &reset);
    assert_eq!(answer.topics[0].partitions[0].error_code, 25);
    let answer = client.call(2, &delete(&[&group]));
    assert_eq!(answer.results[0].error_code, 68);

    // removeMembersFromConsumerGroup: the static one by its instance, all by what is described.
    let by_instance = leave(5, &group, &[("", Some("inst"))]);
    assert_eq!(client.call(5, &by_instance).members[0].error_code, 0);
    let id = members[0].id.clone();
    assert_eq!(
        client.call(5, &leave(5, &group, &[(&id, None)])).error_code,
        0
    );

    // Then it is empty and everything is allowed.
    let answer = client.call(9, &reset);
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    assert_eq!(client.committed(&group, &topic.name, 1), 2);
    let answer = client.call(0, &offset_delete(&group, &[(&topic.name, &[0])]));
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    assert_eq!(client.committed(&group, &topic.name, 0), -1);
    let answer = client.call(2, &delete(&[&group]));
    assert_eq!(answer.results[0].error_code, 0);
    let answer = client.call(6, &describe(&[&group]));
    assert_eq!(answer.groups[0].error_code, 69);
}

#[test]
fn r208_schema_registries_elect_a_primary_in_a_group_of_type_sr() {
    let subject = subject();
    let group = unused_name("schema-registry");
    let identity = |port: u16| {
        format!(
            r#"{{"host":"sr","port":{port},"master_eligibility":true,"scheme":"http","version":1}}"#
        )
    };
    let registry = |port: u16| {
        Member::new(&subject, &group).speaking("sr", &[("v0", identity(port).as_bytes())])
    };
    // A registry alone is its own primary.
    let mut first = registry(8081);
    await_coordinator(&mut first.aside, 6, &group);
    let answer = first.join();
    assert_eq!(answer.protocol_type.as_deref(), Some("sr"));
    assert_eq!(answer.protocol_name.as_deref(), Some("v0"));
    let verdict = |master: &str| format!(r#"{{"error":0,"master":"{master}","version":1}}"#);
    let id = first.id.clone();
    let answer = first.sync(&[(&id, verdict(&id).as_bytes())]);
    assert_eq!(&*answer.assignment, verdict(&id).as_bytes());

    // A second one comes: the leader sees both identities and tells both the same primary.
    let mut second = registry(8082);
    let sent = second.send_join();
    first.aside.await_members(&group, 2);
    assert_eq!(first.heartbeat(), 27);
    let answer = first.join();
    let mut seen: Vec<&[u8]> = answer.members.iter().map(|it| &*it.metadata).collect();
    seen.sort_unstable();
    let both = [identity(8081), identity(8082)];
    assert_eq!(seen, both.each_ref().map(String::as_bytes));
    assert_eq!(second.joined(sent).generation_id, 2);
    let other = second.id.clone();
    let parked = second.send_sync(&[]);
    let word = verdict(&id);
    first.sync(&[(&id, word.as_bytes()), (&other, word.as_bytes())]);
    assert_eq!(&*second.synced(parked).assignment, word.as_bytes());
    let described = second.aside.described(&group);
    assert_eq!(
        (&*described.protocol_type, &*described.group_state),
        ("sr", "Stable")
    );

    // The primary goes; the other one takes over in the next generation.
    assert_eq!(first.leave(), 0);
    assert_eq!(second.heartbeat(), 27);
    let answer = second.join();
    assert_eq!((answer.generation_id, answer.members.len()), (3, 1));
    assert_eq!(answer.leader, answer.member_id);
}

#[test]
fn r208_older_registries_join_with_v1_and_v2() {
    let subject = subject();
    for version in 0..=2 {
        let group = unused_name("schema-registry");
        let mut client = subject.connect().called(Some("sr-1"));
        let answer = client.call(version, &join(version, &group, "", "sr", &[("v0", b"{}")]));
        assert_eq!(answer.error_code, 0, "v{version}");
        let id = answer.member_id.to_string();
        let request = sync(version.min(1), &group, &id, 1, &[(&id, b"me")]);
        let answer = client.call(version.min(1), &request);
        assert_eq!((answer.error_code, &*answer.assignment), (0, &b"me"[..]));
        let answer = client.call(version.min(1), &heartbeat(&group, &id, 1));
        assert_eq!(answer.error_code, 0);
        let answer = client.call(
            version.min(1),
            &leave(version.min(1), &group, &[(&id, None)]),
        );
        assert_eq!(answer.error_code, 0);
    }
}

#[test]
fn r213_kafka_exporter_scrapes_groups_and_their_lag() {
    let subject = subject();
    let topic = subject.topic_with("r213", 2, &[]);
    let group = unused_name("r213");
    let mut member = Member::new(&subject, &group);
    member.join();
    let id = member.id.clone();
    member.sync(&[(&id, &assignment(&topic.name, &[0, 1]))]);
    assert_eq!(member.commit(&topic.name, 2), 0);
    let mut client = subject.connect().called(Some("kafka_exporter"));
    client.append(&topic, &Batch::numbered(5));

    // sarama set to 2.0.0.
    let all = MetadataRequest::default()
        .with_topics(None)
        .with_allow_auto_topic_creation(false);
    let metadata = client.call(5, &all);
    assert!(
        metadata
            .topics
            .iter()
            .any(|it| it.name == Some(topic_name(&topic.name)))
    );
    for (time, offset) in [(-1, 5), (-2, 0)] {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(0)
            .with_timestamp(time);
        let asked = ListOffsetsTopic::default()
            .with_name(topic_name(&topic.name))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![asked]);
        let answer = client.call(1, &request);
        assert_eq!(answer.topics[0].partitions[0].offset, offset);
    }
    // Each broker: its groups, what they are, where they are.
    let listed = client.call(0, &list(&[], &[]));
    assert_eq!(listed.error_code, 0);
    let listed = listed.groups.iter().find(|it| *it.group_id.0 == *group);
    assert_eq!(&*listed.expect("it is listed").protocol_type, "consumer");
    let described = client.call(0, &describe(&[&group]));
    let described = &described.groups[0];
    assert_eq!(
        (described.error_code, &*described.group_state),
        (0, "Stable")
    );
    assert_eq!(described.members.len(), 1, "kafka_consumergroup_members");
    assert_eq!(&*described.members[0].client_id, CLIENT_ID);
    assert_eq!(
        described.members[0].member_assignment,
        assignment(&topic.name, &[0, 1])
    );
    let topics: &[(&str, &[i32])] = &[(&topic.name, &[0, 1])];
    let answer = client.call(1, &fetch(1, &group, Some(topics)));
    let offsets: Vec<i64> = answer.topics[0]
        .partitions
        .iter()
        .map(|it| it.committed_offset)
        .collect();
    assert_eq!(offsets, [2, -1], "−1 is skipped by the exporter");
}

#[test]
fn r213_burrow_reads_commits_from_the_internal_topic() {
    let subject = subject();
    let topic = subject.topic("r213");
    let group = unused_name("r213");
    let mut client = subject.connect().called(Some("burrow-lagchecker"));
    // The topic exists once a group was sought; no commit is needed.
    await_coordinator(&mut client, 1, &group);
    let metadata = client.call(1, &MetadataRequest::default().with_topics(None));
    let offsets = metadata
        .topics
        .iter()
        .find(|it| it.name == Some(topic_name("__consumer_offsets")))
        .expect("the internal topic");
    assert!(offsets.is_internal);
    let internal = Topic {
        name: "__consumer_offsets".to_owned(),
        id: uuid::Uuid::nil(),
    };
    let from = client.list_offset(&internal, LATEST).offset;
    assert_eq!(client.commit_alone(&group, &topic.name, 7), 0);
    for version in [4, 5, 7, 10, 11] {
        let answer = client.fetch_one(version, &fetch_request(version, &internal, from));
        assert_eq!(answer.error_code, 0, "v{version}");
        let batches = stored(answer.records.expect("records"));
        let found = batches.iter().any(|batch| {
            let payload = batch.payload();
            payload
                .windows(group.len())
                .any(|it| it == group.as_bytes())
        });
        assert!(found, "v{version}");
    }
}

#[test]
fn r213_kminion_asks_for_all_groups_at_once() {
    let subject = subject();
    let topics = [subject.topic("r213"), subject.topic("r213")];
    let groups = [unused_name("r213"), unused_name("r213")];
    let mut client = subject.connect().called(Some("kminion"));
    for (group, offset) in groups.iter().zip([10, 20]) {
        let request = commit_topics(
            9,
            group,
            &[
                (&topics[0].name, &[at(0, offset)]),
                (&topics[1].name, &[at(0, offset + 1)]),
            ],
        );
        client.call(9, &request);
    }
    // franz-go's kadm: list, describe, OffsetFetch of all topics, for many groups from v8 on.
    let listed = client.call(5, &list(&[], &[]));
    let names: Vec<&str> = listed.groups.iter().map(|it| &*it.group_id.0).collect();
    assert!(groups.iter().all(|it| names.contains(&&**it)));
    let described = client.call(6, &describe(&[&groups[0], &groups[1]]));
    assert!(
        described
            .groups
            .iter()
            .all(|it| &*it.group_state == "Empty")
    );
    let answer = client.call(9, &fetch_groups(&[(&groups[0], None), (&groups[1], None)]));
    for group in &answer.groups {
        assert_eq!((group.error_code, group.topics.len()), (0, 2));
    }
    // And of brokers that have no v8: one by one.
    for version in 2..=7 {
        let request = OffsetFetchRequest::default()
            .with_group_id(group_id(&groups[0]))
            .with_topics(None);
        let answer = client.call(version, &request);
        assert_eq!(
            (answer.error_code, answer.topics.len()),
            (0, 2),
            "v{version}"
        );
    }
}
