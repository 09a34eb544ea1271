//! JoinGroup: who is let in, and what an answer carries (R106, R107).

use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::super::calls::{text, unused_name};
use super::super::client::{CLIENT_ID, LONG_WAIT_MS};
use super::member::{Member, join_together, stable};
use super::requests::{DESCRIBE, JOIN, SOON_MS, describe, join, plain_join};
use super::{subject, subject_with};

/// Everything a refused member is told.
#[track_caller]
fn assert_refused(version: i16, answer: &JoinGroupResponse, error_code: i16, member_id: &str) {
    assert_eq!(answer.error_code, error_code, "v{version}");
    assert_eq!(answer.generation_id, -1, "v{version}");
    assert_eq!(&*answer.leader, "", "v{version}");
    assert_eq!(&*answer.member_id, member_id, "v{version}");
    let name = if version >= 7 { None } else { Some("") };
    assert_eq!(answer.protocol_name.as_deref(), name, "v{version}");
    assert_eq!(answer.protocol_type, None, "v{version}");
    assert!(answer.members.is_empty(), "v{version}");
    assert!(!answer.skip_assignment, "v{version}");
    assert_eq!(answer.throttle_time_ms, 0, "v{version}");
}

#[test]
fn r106_a_join_without_member_id_is_taken_at_once_before_v4_and_named_first_from_then_on() {
    let subject = subject();
    for version in 0..=9 {
        let mut client = subject.connect();
        let group = unused_name("r106");
        let mut answer = client.call(version, &plain_join(version, &group, ""));
        let id = answer.member_id.to_string();
        let (name, uuid) = id.split_at(CLIENT_ID.len());
        assert_eq!(name, CLIENT_ID, "v{version}");
        assert!(uuid.starts_with('-') && uuid[1..].parse::<uuid::Uuid>().is_ok());
        if version >= 4 {
            assert_refused(version, &answer, 79, &id);
            answer = client.call(version, &plain_join(version, &group, &id));
        }
        assert_eq!(answer.error_code, 0, "v{version}");
        assert_eq!(answer.generation_id, 1, "v{version}");
        assert_eq!(answer.member_id, answer.leader, "v{version}");
        assert_eq!(&*answer.member_id, id, "v{version}");
        assert_eq!(answer.protocol_name.as_deref(), Some("range"));
        let kind = (version >= 7).then_some("consumer");
        assert_eq!(answer.protocol_type.as_deref(), kind, "v{version}");
        assert_eq!(answer.members.len(), 1, "v{version}");
        assert_eq!(&*answer.members[0].metadata, b"meta", "v{version}");
        assert_eq!(answer.members[0].group_instance_id, None, "v{version}");
        assert!(!answer.skip_assignment);
    }
}

#[test]
fn r106_an_instance_id_joins_at_once_and_makes_the_member_id() {
    let subject = subject();
    for version in 5..=9 {
        let group = unused_name("r106");
        let request = plain_join(version, &group, "").with_group_instance_id(Some(text("inst")));
        let answer = subject.connect().call(version, &request);
        assert_eq!(answer.error_code, 0, "v{version}");
        let uuid = answer
            .member_id
            .strip_prefix("inst-")
            .expect("the instance");
        assert!(uuid.parse::<uuid::Uuid>().is_ok(), "{}", answer.member_id);
        let member = &answer.members[0];
        assert_eq!(member.group_instance_id.as_deref(), Some("inst"));
    }
}

#[test]
fn r106_a_client_without_a_name_gets_a_member_id_that_begins_with_a_dash() {
    let subject = subject();
    for client_id in [None, Some("")] {
        let mut client = subject.connect().called(client_id);
        let answer = client.call(JOIN, &plain_join(JOIN, &unused_name("r106"), ""));
        assert_eq!(answer.error_code, 79);
        assert!(answer.member_id.starts_with('-'), "{}", answer.member_id);
    }
}

#[test]
fn r106_a_group_without_a_name_is_refused() {
    let mut client = subject().connect();
    for version in 0..=9 {
        let answer = client.call(version, &plain_join(version, "", ""));
        assert_refused(version, &answer, 24, "");
        let answer = client.call(version, &plain_join(version, "", "somebody"));
        assert_refused(version, &answer, 24, "somebody");
    }
}

#[test]
fn r106_a_session_timeout_out_of_range_is_refused() {
    let subject = subject();
    let mut client = subject.connect();
    for version in 0..=9 {
        let group = unused_name("r106");
        for timeout in [i32::MIN, -1, 0, 499, 1_800_001, i32::MAX] {
            let request = plain_join(version, &group, "who").with_session_timeout_ms(timeout);
            let answer = client.call(version, &request);
            assert_refused(version, &answer, 26, "who");
        }
        for timeout in [500, 1_800_000] {
            let group = unused_name("r106");
            let request = plain_join(version, &group, "").with_session_timeout_ms(timeout);
            let answer = client.call(version, &request);
            let accepted = if version >= 4 { 79 } else { 0 };
            assert_eq!(answer.error_code, accepted, "v{version}");
        }
    }
}

#[test]
fn r106_sessions_last_six_seconds_to_half_an_hour_by_default() {
    let Some(subject) = subject_with(&["group.initial.rebalance.delay.ms=1"]) else {
        return;
    };
    let mut client = subject.connect();
    for (timeout, error) in [(5_999, 26), (6_000, 79), (1_800_000, 79), (1_800_001, 26)] {
        let request = plain_join(JOIN, "r106", "").with_session_timeout_ms(timeout);
        let answer = client.call(JOIN, &request);
        assert_eq!(answer.error_code, error, "{timeout} ms");
    }
}

#[test]
fn r106_a_member_that_nobody_knows_is_unknown() {
    let subject = subject();
    let mut client = subject.connect();
    let known = unused_name("r106");
    let _members = stable(&subject, &known, 1);
    for version in 0..=9 {
        for group in [&known, &unused_name("r106")] {
            let answer = client.call(version, &plain_join(version, group, "stranger"));
            assert_refused(version, &answer, 25, "stranger");
        }
    }
    // Asking so makes no group.
    let unknown = unused_name("r106");
    client.call(JOIN, &plain_join(JOIN, &unknown, "stranger"));
    let described = client.call(DESCRIBE, &describe(&[&unknown]));
    assert_eq!(described.groups[0].error_code, 69);
}

#[test]
fn r106_a_member_without_a_protocol_of_the_group_is_refused() {
    let subject = subject();
    let mut client = subject.connect();
    let group = unused_name("r106");
    let members = stable(&subject, &group, 1);
    for version in 0..=9 {
        for request in [
            join(version, &group, "", "consumer", &[("other", b"m")]),
            join(version, &group, "", "connect", &[("range", b"m")]),
        ] {
            let answer = client.call(version, &request);
            assert_refused(version, &answer, 23, "");
        }
        // Of a known member, too.
        let request = join(
            version,
            &group,
            &members[0].id,
            "connect",
            &[("range", b"m")],
        );
        let answer = client.call(version, &request);
        assert_refused(version, &answer, 23, &members[0].id);
    }
}

#[test]
fn r106_no_protocols_or_no_protocol_type_are_refused_also_by_a_new_group() {
    let mut client = subject().connect();
    for version in 0..=9 {
        let group = unused_name("r106");
        for request in [
            join(version, &group, "", "consumer", &[]),
            join(version, &group, "", "", &[("range", b"m")]),
        ] {
            let answer = client.call(version, &request);
            assert_refused(version, &answer, 23, "");
        }
    }
}

#[test]
fn r106_a_full_group_takes_no_more_members() {
    let subject = subject();
    let group = unused_name("r106");
    let mut members: Vec<Member> = (0..20).map(|_| Member::new(&subject, &group)).collect();
    join_together(&mut members);
    for version in 0..=9 {
        let mut client = subject.connect();
        let answer = client.call(version, &plain_join(version, &group, ""));
        assert_refused(version, &answer, 81, "");
        let answer = client.call(version, &plain_join(version, &group, "stranger"));
        assert_refused(version, &answer, 81, "");
    }
    // Those who are in stay in.
    assert_eq!(members[19].heartbeat(), 0);
    assert_eq!(members[19].join().error_code, 0);
    // Once one has left there is room for one.
    assert_eq!(members[19].leave(), 0);
    let mut late = Member::new(&subject, &group);
    late.be_named();
    late.send_join();
    late.aside.await_members(&group, 20);
}

#[test]
fn r106_who_was_named_and_does_not_come_holds_a_rebalance_up_for_a_session_only() {
    let subject = subject();
    let group = unused_name("r106");
    let mut members = stable(&subject, &group, 1);
    let mut named = Member::new(&subject, &group).with_timeouts(SOON_MS, SOON_MS);
    named.be_named();
    // It has no generation to beat for.
    assert_eq!(named.heartbeat(), 25);
    let sent = members[0].send_join();
    members[0].client.expect_silence();
    let answer = members[0].joined(sent);
    assert_eq!((answer.generation_id, answer.members.len()), (2, 1));
    assert_eq!(named.join().error_code, 25);
}

#[test]
fn r106_a_rebalance_that_waits_for_somebody_who_was_named_alone_takes_newcomers() {
    let subject = subject();
    let group = unused_name("r106");
    let mut members = stable(&subject, &group, 1);
    let mut named = Member::new(&subject, &group);
    named.be_named();
    let parked = members[0].send_join();
    named.aside.await_state(&group, "PreparingRebalance");
    // With its only member leaves everybody whose protocols a newcomer would have to fit to.
    assert_eq!(members[0].leave(), 0);
    assert_eq!(members[0].joined(parked).error_code, 25);
    let mut newcomer = Member::new(&subject, &group).speaking("consumer", &[("other", b"m")]);
    let first = newcomer.send_join();
    newcomer.client.expect_silence();
    named.offer(&[("other", b"m")]);
    let answer = named.join();
    assert_eq!((answer.error_code, answer.generation_id), (0, 2));
    let answer = newcomer.joined(first);
    assert_eq!((answer.error_code, answer.generation_id), (0, 2));
}

#[test]
fn r107_only_the_leader_gets_the_member_list() {
    let subject = subject();
    for version in 0..=9 {
        let group = unused_name("r107");
        let mut leader = Member::new(&subject, &group);
        leader.join();
        let mut client = subject.connect();
        let mut id = String::new();
        if version >= 4 {
            let named = client.call(version, &plain_join(version, &group, ""));
            id = named.member_id.to_string();
        }
        let sent = client.send(version, &plain_join(version, &group, &id));
        leader.aside.await_members(&group, 2);
        let answer = leader.join();
        assert_eq!(answer.generation_id, 2, "v{version}");
        assert_eq!(answer.leader, answer.member_id, "v{version}");
        let mut listed: Vec<&str> = answer.members.iter().map(|it| &*it.member_id).collect();
        let follower = client.receive::<JoinGroupRequest>(version, sent);
        assert_eq!(follower.error_code, 0, "v{version}");
        assert_eq!(follower.generation_id, 2, "v{version}");
        assert_eq!(follower.leader, answer.member_id, "v{version}");
        assert!(follower.members.is_empty(), "v{version}");
        assert_eq!(follower.protocol_name.as_deref(), Some("range"));
        let mut expected = [&*leader.id, &*follower.member_id];
        listed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(listed, expected, "v{version}");
    }
}

#[test]
fn r107_protocol_types_and_their_bytes_are_not_looked_into() {
    let subject = subject();
    for kind in ["consumer", "connect", "sr", "what-ever 1 🦀"] {
        let group = unused_name("r107");
        let odd: &[u8] = &[0xff, 0x00, 0x80];
        let mut member = Member::new(&subject, &group).speaking(kind, &[("π", odd)]);
        let answer = member.join();
        assert_eq!(answer.error_code, 0, "{kind}");
        assert_eq!(answer.protocol_type.as_deref(), Some(kind));
        assert_eq!(answer.protocol_name.as_deref(), Some("π"));
        assert_eq!(&*answer.members[0].metadata, odd);
        let id = member.id.clone();
        let answer = member.sync(&[(&id, odd)]);
        assert_eq!(answer.error_code, 0, "{kind}");
        assert_eq!(&*answer.assignment, odd);
        let described = member.aside.described(&group);
        assert_eq!(&*described.protocol_type, kind);
        assert_eq!(&*described.protocol_data, "π");
        assert_eq!(&*described.members[0].member_metadata, odd);
        assert_eq!(&*described.members[0].member_assignment, odd);
    }
}

#[test]
fn r107_the_protocol_that_most_prefer_among_those_of_all_is_chosen() {
    let subject = subject();
    let group = unused_name("r107");
    let kind = "consumer";
    let mut members = vec![
        Member::new(&subject, &group).speaking(kind, &[("a", b"a1"), ("b", b"b1"), ("c", b"c1")]),
        Member::new(&subject, &group).speaking(kind, &[("d", b"d2"), ("b", b"b2"), ("c", b"c2")]),
        Member::new(&subject, &group).speaking(kind, &[("c", b"c3"), ("b", b"b3")]),
    ];
    let answers = join_together(&mut members);
    for answer in &answers {
        // a and d are not everybody's; two of three put b first among the others.
        assert_eq!(answer.protocol_name.as_deref(), Some("b"));
    }
    let mut metadata: Vec<&[u8]> = answers[0].members.iter().map(|it| &*it.metadata).collect();
    metadata.sort_unstable();
    assert_eq!(
        metadata,
        [b"b1", b"b2", b"b3"],
        "that of the chosen protocol"
    );
}

#[test]
fn r107_a_new_group_waits_for_others_for_the_initial_delay_and_only_then() {
    let settings = [
        "group.initial.rebalance.delay.ms=3000",
        "group.min.session.timeout.ms=500",
    ];
    let Some(subject) = subject_with(&settings) else {
        return;
    };
    let mut find = subject.connect();
    let group = unused_name("r107");
    let mut members: Vec<Member> = (0..3).map(|_| Member::new(&subject, &group)).collect();
    // The joins that count follow each other within the delay.
    members.iter_mut().for_each(Member::be_named);
    let sent: Vec<i32> = members.iter_mut().map(Member::send_join).collect();
    let joined = |members: &mut [Member], sent: Vec<i32>| {
        let pairs = members.iter_mut().zip(sent);
        let answers = pairs.map(|(member, sent)| member.joined(sent));
        let generations: Vec<i32> = answers.map(|it| it.generation_id).collect();
        generations
    };
    assert_eq!(
        joined(&mut members, sent),
        [1, 1, 1],
        "one rebalance for all"
    );

    // The group has members: a fourth one waits for those, not for a delay.
    let mut fourth = Member::new(&subject, &group).with_timeouts(SOON_MS, LONG_WAIT_MS);
    let late = fourth.send_join();
    fourth.aside.await_members(&group, 4);
    let sent: Vec<i32> = members.iter_mut().map(Member::send_join).collect();
    assert_eq!(joined(&mut members, sent), [2, 2, 2]);
    assert_eq!(fourth.joined(late).generation_id, 2);

    // Empty again: it waits again.
    for member in members.iter_mut().chain([&mut fourth]) {
        assert_eq!(member.leave(), 0);
    }
    find.await_state(&group, "Empty");
    let mut pair: Vec<Member> = (0..2).map(|_| Member::new(&subject, &group)).collect();
    pair.iter_mut().for_each(Member::be_named);
    let sent: Vec<i32> = pair.iter_mut().map(Member::send_join).collect();
    assert_eq!(joined(&mut pair, sent), [4, 4], "3 was the empty one");
}
