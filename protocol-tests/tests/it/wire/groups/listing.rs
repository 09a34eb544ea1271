//! DescribeGroups, ListGroups, DeleteGroups, OffsetDelete (R115, R187).

use kafka_protocol::messages::OffsetDeleteRequest;

use super::super::calls::unused_name;
use super::super::client::{CLIENT_ID, Client};
use super::member::{Member, stabilise, stable, subscription};
use super::requests::{DESCRIBE, LIST, delete, describe, list, offset_delete};
use super::subject;

#[test]
fn r115_an_unknown_group_is_dead_and_from_v6_on_not_found() {
    let mut client = subject().connect();
    for version in 0..=6 {
        let group = unused_name("r115");
        let answer = client.call(version, &describe(&[&group]));
        let described = &answer.groups[0];
        assert_eq!(&*described.group_id.0, group);
        assert_eq!(&*described.group_state, "Dead", "v{version}");
        assert_eq!(&*described.protocol_type, "");
        assert_eq!(&*described.protocol_data, "");
        assert!(described.members.is_empty());
        assert_eq!(described.authorized_operations, i32::MIN);
        assert_eq!(described.error_code, if version >= 6 { 69 } else { 0 });
        let message = format!("Group {group} not found.");
        let message = (version >= 6).then_some(&*message);
        assert_eq!(described.error_message.as_deref(), message, "v{version}");
    }
    // The group without a name, as long as nobody has committed in it.
    let answer = client.call(0, &describe(&[]));
    assert!(answer.groups.is_empty());
}

#[test]
fn r115_a_stable_group_is_described_whole() {
    let subject = subject();
    let group = unused_name("r115");
    let mut members = vec![
        Member::new(&subject, &group),
        Member::new(&subject, &group).instance("inst"),
    ];
    stabilise(&mut members);
    let mut client = subject.connect();
    for version in 0..=6 {
        let answer = client.call(version, &describe(&[&group]));
        assert_eq!(answer.throttle_time_ms, 0);
        let described = &answer.groups[0];
        assert_eq!(described.error_code, 0);
        assert_eq!(described.error_message, None, "v{version}");
        assert_eq!(&*described.group_state, "Stable");
        assert_eq!(&*described.protocol_type, "consumer");
        assert_eq!(&*described.protocol_data, "range");
        assert_eq!(described.authorized_operations, i32::MIN);
        assert_eq!(described.members.len(), 2);
        for (n, member) in members.iter().enumerate() {
            let shown = described
                .members
                .iter()
                .find(|it| *it.member_id == member.id);
            let shown = shown.expect("the member");
            assert_eq!(&*shown.client_id, CLIENT_ID);
            assert_eq!(&*shown.client_host, "/127.0.0.1");
            assert_eq!(&*shown.member_metadata, b"meta");
            assert_eq!(shown.member_assignment, super::member::share_of(n));
            let instance = (version >= 4)
                .then_some(member.instance.as_deref())
                .flatten();
            assert_eq!(shown.group_instance_id.as_deref(), instance, "v{version}");
        }
    }
}

#[test]
fn r115_operations_are_named_when_they_are_asked_for() {
    let subject = subject();
    let group = unused_name("r115");
    let _members = stable(&subject, &group, 1);
    let mut client = subject.connect();
    for version in 3..=6 {
        let request = describe(&[&group]).with_include_authorized_operations(true);
        let answer = client.call(version, &request);
        // read, delete, describe, describe configs, alter configs
        let operations = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;
        assert_eq!(
            answer.groups[0].authorized_operations, operations,
            "v{version}"
        );
    }
}

#[test]
fn r115_what_a_description_leaves_out_before_a_group_is_stable() {
    let subject = subject();
    let group = unused_name("r115");
    let mut client = subject.connect();
    let mut first = Member::new(&subject, &group);
    first.be_named();
    // Kafka answers the name before it has written the group.
    client.await_state(&group, "Empty");
    let described = client.described(&group);
    assert_eq!(&*described.protocol_type, "");
    assert_eq!(&*described.protocol_data, "");
    assert!(described.members.is_empty(), "only named");

    first.join();
    let described = client.described(&group);
    assert_eq!(&*described.group_state, "CompletingRebalance");
    assert_eq!(&*described.protocol_type, "consumer");
    assert_eq!(&*described.protocol_data, "");
    let member = &described.members[0];
    assert_eq!(
        (&*member.member_metadata, &*member.member_assignment),
        (&b""[..], &b""[..])
    );
    assert_eq!(&*member.client_id, CLIENT_ID);

    first.sync(&[]);
    let mut second = Member::new(&subject, &group);
    second.send_join();
    client.await_members(&group, 2);
    let described = client.described(&group);
    assert_eq!(&*described.group_state, "PreparingRebalance");
    assert_eq!(&*described.protocol_data, "");
    assert!(
        described
            .members
            .iter()
            .all(|it| it.member_metadata.is_empty())
    );
}

#[test]
fn r115_many_groups_are_described_each_with_its_own_error() {
    let subject = subject();
    let (known, unknown) = (unused_name("r115"), unused_name("r115"));
    let _members = stable(&subject, &known, 1);
    let answer = subject
        .connect()
        .call(DESCRIBE, &describe(&[&unknown, &known, &unknown]));
    let mut got: Vec<(&str, i16)> = answer
        .groups
        .iter()
        .map(|it| (&*it.group_id.0, it.error_code))
        .collect();
    got.sort_unstable();
    let mut expected = vec![(&*unknown, 69), (&*known, 0), (&*unknown, 69)];
    expected.sort_unstable();
    assert_eq!(got, expected);
}

/// State and protocol type of the groups whose names begin with `prefix`.
fn listed(
    client: &mut Client,
    version: i16,
    states: &[&str],
    types: &[&str],
    prefix: &str,
) -> Vec<(String, String, String, String)> {
    let answer = client.call(version, &list(states, types));
    assert_eq!(answer.error_code, 0);
    let mine = answer
        .groups
        .into_iter()
        .filter(|it| it.group_id.starts_with(prefix));
    let mut mine: Vec<_> = mine
        .map(|it| {
            (
                it.group_id.to_string(),
                it.protocol_type.to_string(),
                it.group_state.to_string(),
                it.group_type.to_string(),
            )
        })
        .collect();
    mine.sort();
    mine
}

#[test]
fn r115_groups_are_listed_with_states_from_v4_and_types_from_v5() {
    let subject = subject();
    let topic = subject.topic("r115");
    let prefix = unused_name("r115-list");
    let name = |suffix: &str| format!("{prefix}-{suffix}");
    let mut client = subject.connect();
    let _stable = stable(&subject, &name("stable"), 1);
    let mut preparing = stable(&subject, &name("prep"), 1);
    let mut late = Member::new(&subject, &name("prep"));
    let sent = late.send_join();
    client.await_state(&name("prep"), "PreparingRebalance");
    let mut completing = Member::new(&subject, &name("comp"));
    completing.join();
    let mut empty = stable(&subject, &name("empty"), 1);
    assert_eq!(empty[0].leave(), 0);
    assert_eq!(client.commit_alone(&name("simple"), &topic.name, 5), 0);
    let mut named = Member::new(&subject, &name("named"));
    named.be_named();
    client.await_state(&name("named"), "Empty");

    let all = [
        ("comp", "consumer", "CompletingRebalance"),
        ("empty", "consumer", "Empty"),
        ("named", "", "Empty"),
        ("prep", "consumer", "PreparingRebalance"),
        ("simple", "", "Empty"),
        ("stable", "consumer", "Stable"),
    ];
    let expected = |version: i16, wanted: &dyn Fn(&str, &str) -> bool| {
        let wanted = all.iter().filter(|(name, _, state)| wanted(name, state));
        wanted
            .map(|(suffix, kind, state)| {
                let state = if version >= 4 { *state } else { "" };
                let group_type = if version >= 5 { "classic" } else { "" };
                (
                    name(suffix),
                    (*kind).into(),
                    state.into(),
                    group_type.into(),
                )
            })
            .collect::<Vec<(String, String, String, String)>>()
    };
    for version in 0..=5 {
        let got = listed(&mut client, version, &[], &[], &prefix);
        assert_eq!(got, expected(version, &|_, _| true), "v{version}");
    }
    for version in 4..=5 {
        let got = listed(&mut client, version, &["sTABLE", "empty"], &[], &prefix);
        let wanted = |_: &str, state: &str| ["Stable", "Empty"].contains(&state);
        assert_eq!(got, expected(version, &wanted), "v{version}");
        for nothing in ["Dead", "nonsense", ""] {
            let got = listed(&mut client, version, &[nothing], &[], &prefix);
            assert_eq!(got, [], "v{version} {nothing:?}");
        }
    }
    let got = listed(&mut client, LIST, &[], &["CLASSIC"], &prefix);
    assert_eq!(got, expected(LIST, &|_, _| true));
    for nothing in ["consumer", "share", "nonsense", ""] {
        let got = listed(&mut client, LIST, &[], &[nothing], &prefix);
        assert_eq!(got, [], "{nothing:?}");
    }
    let got = listed(
        &mut client,
        LIST,
        &["empty"],
        &["classic", "nonsense"],
        &prefix,
    );
    assert_eq!(got, expected(LIST, &|_, state| state == "Empty"));
    preparing[0].join();
    late.joined(sent);
}

#[test]
fn r115_groups_with_members_are_not_deleted_and_unknown_ones_are_not_found() {
    let subject = subject();
    let topic = subject.topic("r115");
    let mut client = subject.connect();
    for version in 0..=2 {
        let (full, gone, simple) = (unused_name("f"), unused_name("g"), unused_name("s"));
        let mut members = stable(&subject, &full, 1);
        assert_eq!(client.commit_alone(&simple, &topic.name, 5), 0);
        let answer = client.call(version, &delete(&[&full, &gone, &simple]));
        let mut got: Vec<(String, i16)> = answer
            .results
            .iter()
            .map(|it| (it.group_id.to_string(), it.error_code))
            .collect();
        got.sort();
        let mut expected = vec![(full.clone(), 68), (gone.clone(), 69), (simple.clone(), 0)];
        expected.sort();
        assert_eq!(got, expected, "v{version}");
        assert_eq!(client.committed(&simple, &topic.name, 0), -1);
        assert_eq!(members[0].heartbeat(), 0);

        assert_eq!(members[0].commit(&topic.name, 7), 0);
        assert_eq!(members[0].leave(), 0);
        let answer = client.call(version, &delete(&[&full, &full]));
        let codes: Vec<i16> = answer.results.iter().map(|it| it.error_code).collect();
        assert_eq!(codes, [0], "named twice v{version}");
        assert_eq!(client.committed(&full, &topic.name, 0), -1);
        assert_eq!(
            client.call(DESCRIBE, &describe(&[&full])).groups[0].error_code,
            69
        );
    }
}

#[test]
fn r115_a_deleted_group_begins_anew() {
    let subject = subject();
    let group = unused_name("r115");
    let mut members = stable(&subject, &group, 2);
    let mut client = subject.connect();
    for member in &mut members {
        assert_eq!(member.leave(), 0);
    }
    assert_eq!(client.call(2, &delete(&[&group])).results[0].error_code, 0);
    assert_eq!(members[0].join().error_code, 25);
    let mut again = Member::new(&subject, &group);
    assert_eq!(again.join().generation_id, 1);
}

/// Error of the answer, then topic, partition and error of each.
fn removals(client: &mut Client, request: &OffsetDeleteRequest) -> (i16, Vec<(String, i32, i16)>) {
    let answer = client.call(0, request);
    let topics = answer.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|it| (topic.name.to_string(), it.partition_index, it.error_code))
    });
    let mut topics: Vec<_> = topics.collect();
    topics.sort();
    (answer.error_code, topics)
}

#[test]
fn r115_offsets_of_topics_that_nobody_subscribes_to_are_deleted() {
    let subject = subject();
    let topics = [subject.topic_with("a", 2, &[]), subject.topic("b")];
    let (read, unread) = (&topics[0].name, &topics[1].name);
    let group = unused_name("r115");
    let metadata = subscription(&[read]);
    let mut members =
        vec![Member::new(&subject, &group).speaking("consumer", &[("range", &metadata)])];
    stabilise(&mut members);
    let mut client = subject.connect();
    assert_eq!(members[0].commit(read, 1), 0);
    assert_eq!(members[0].commit(unread, 2), 0);
    let request = offset_delete(&group, &[(read, &[0]), (unread, &[0, 5])]);
    let (error, mut got) = removals(&mut client, &request);
    assert_eq!(error, 0);
    got.sort();
    let mut expected = vec![
        (read.clone(), 0, 86),
        (unread.clone(), 0, 0),
        (unread.clone(), 5, 3),
    ];
    expected.sort();
    assert_eq!(got, expected);
    assert_eq!(client.committed(&group, read, 0), 1);
    assert_eq!(client.committed(&group, unread, 0), -1);
    // An empty group has no subscriptions.
    assert_eq!(members[0].leave(), 0);
    let (error, got) = removals(&mut client, &offset_delete(&group, &[(read, &[0, 1])]));
    assert_eq!(error, 0);
    assert_eq!(
        got,
        [(read.clone(), 0, 0), (read.clone(), 1, 0)],
        "1 had none"
    );
    assert_eq!(client.committed(&group, read, 0), -1);
}

#[test]
fn r115_a_subscription_that_cannot_be_read_counts_as_one_to_everything() {
    let subject = subject();
    let topic = subject.topic("r115");
    let group = unused_name("r115");
    let mut members = stable(&subject, &group, 1);
    assert_eq!(members[0].commit(&topic.name, 1), 0);
    let request = offset_delete(&group, &[(&topic.name, &[0])]);
    let (error, got) = removals(&mut members[0].aside, &request);
    assert_eq!((error, got), (0, vec![(topic.name.clone(), 0, 86)]));
}

#[test]
fn r115_a_group_that_is_no_consumer_group_keeps_its_offsets_while_it_has_members() {
    let subject = subject();
    let topic = subject.topic("r115");
    let group = unused_name("r115");
    let mut member = Member::new(&subject, &group).speaking("connect", &[("default", b"m")]);
    member.join();
    member.sync(&[]);
    assert_eq!(member.commit(&topic.name, 1), 0);
    let request = offset_delete(&group, &[(&topic.name, &[0])]);
    assert_eq!(removals(&mut member.aside, &request), (68, vec![]));
    assert_eq!(member.leave(), 0);
    let (error, got) = removals(&mut member.aside, &request);
    assert_eq!((error, got), (0, vec![(topic.name.clone(), 0, 0)]));
}

#[test]
fn r115_offsets_of_unknown_groups_and_topics_cannot_be_deleted() {
    let subject = subject();
    let topic = subject.topic("r115");
    let absent = unused_name("absent");
    let group = unused_name("r115");
    let mut client = subject.connect();
    let request = offset_delete(&group, &[(&topic.name, &[0])]);
    assert_eq!(removals(&mut client, &request), (69, vec![]));
    // Whether the group exists is asked first.
    for topics in [&[(absent.as_str(), &[0][..])][..], &[]] {
        let request = offset_delete(&group, topics);
        assert_eq!(removals(&mut client, &request), (69, vec![]), "{topics:?}");
    }
    assert_eq!(client.commit_alone(&group, &topic.name, 5), 0);
    let request = offset_delete(&group, &[(&absent, &[0]), (&topic.name, &[3])]);
    let (error, got) = removals(&mut client, &request);
    let mut expected = vec![(absent, 0, 3), (topic.name.clone(), 3, 3)];
    expected.sort();
    assert_eq!((error, got), (0, expected));
    let request = offset_delete(&group, &[]);
    assert_eq!(removals(&mut client, &request), (0, vec![]));
}
