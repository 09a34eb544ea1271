//! LeaveGroup (R112).

use kafka_protocol::messages::LeaveGroupResponse;

use super::super::calls::unused_name;
use super::member::{Member, join_together, stable};
use super::requests::{LEAVE, leave};
use super::subject;

/// Member id, instance id and error of each.
fn fates(answer: &LeaveGroupResponse) -> Vec<(&str, Option<&str>, i16)> {
    let members = answer.members.iter();
    members
        .map(|it| {
            (
                &*it.member_id,
                it.group_instance_id.as_deref(),
                it.error_code,
            )
        })
        .collect()
}

#[test]
fn r112_one_member_leaves_and_the_rebalance_begins_at_once() {
    let subject = subject();
    for version in 0..=5 {
        let group = unused_name("r112");
        let mut members = stable(&subject, &group, 2);
        let gone = members[1].id.clone();
        let request = leave(version, &group, &[(&gone, None)]);
        let answer = members[1].client.call(version, &request);
        assert_eq!(
            (answer.error_code, answer.throttle_time_ms),
            (0, 0),
            "v{version}"
        );
        if version >= 3 {
            assert_eq!(fates(&answer), [(&*gone, None, 0)], "v{version}");
        }
        assert_eq!(members[0].heartbeat(), 27, "v{version}");
        assert_eq!(members[1].heartbeat(), 25, "v{version}");
        let answer = members[0].join();
        assert_eq!((answer.generation_id, answer.members.len()), (3, 1));
    }
}

#[test]
fn r112_the_last_one_leaves_an_empty_group() {
    let subject = subject();
    let group = unused_name("r112");
    let mut members = stable(&subject, &group, 1);
    assert_eq!(members[0].leave(), 0);
    let described = members[0].aside.described(&group);
    assert_eq!(&*described.group_state, "Empty");
    assert_eq!(&*described.protocol_type, "consumer");
    assert_eq!(&*described.protocol_data, "");
    assert!(described.members.is_empty());
    // Nobody is known there now.
    assert_eq!(members[0].leave(), 25);
}

#[test]
fn r112_who_is_not_known_cannot_leave() {
    let subject = subject();
    let group = unused_name("r112");
    let _members = stable(&subject, &group, 1);
    let absent = unused_name("r112");
    let mut client = subject.connect();
    for version in 0..=5 {
        for group in [&group, &absent] {
            let answer = client.call(version, &leave(version, group, &[("stranger", None)]));
            if version >= 3 {
                assert_eq!(answer.error_code, 0, "v{version}");
                assert_eq!(fates(&answer), [("stranger", None, 25)], "v{version}");
            } else {
                assert_eq!(answer.error_code, 25, "v{version}");
            }
        }
        let answer = client.call(version, &leave(version, "", &[("stranger", None)]));
        assert_eq!(answer.error_code, 24, "v{version}");
        assert!(answer.members.is_empty(), "v{version}");
    }
}

#[test]
fn r112_many_leave_at_once_each_with_an_answer_of_its_own() {
    let subject = subject();
    for version in 3..=5 {
        let group = unused_name("r112");
        let mut members = vec![
            Member::new(&subject, &group),
            Member::new(&subject, &group),
            Member::new(&subject, &group).instance("by-instance"),
            Member::new(&subject, &group).instance("by-both"),
            Member::new(&subject, &group).instance("stays"),
        ];
        join_together(&mut members);
        let (dynamic, both) = (members[1].id.clone(), members[3].id.clone());
        let request = leave(
            version,
            &group,
            &[
                (&dynamic, None),
                ("stranger", None),
                ("", Some("by-instance")),
                (&both, Some("by-both")),
                ("not its id", Some("stays")),
                ("", Some("no such instance")),
            ],
        );
        let answer = members[0].aside.call(version, &request);
        assert_eq!(answer.error_code, 0, "v{version}");
        assert_eq!(
            fates(&answer),
            [
                (&*dynamic, None, 0),
                ("stranger", None, 25),
                ("", Some("by-instance"), 0),
                (&*both, Some("by-both"), 0),
                ("not its id", Some("stays"), 82),
                ("", Some("no such instance"), 25),
            ],
            "v{version}"
        );
        let left = members[0].aside.described(&group).members.len();
        assert_eq!(left, 2, "v{version}");
    }
}

#[test]
fn r112_a_member_that_was_only_named_can_leave() {
    let subject = subject();
    let group = unused_name("r112");
    let mut members = stable(&subject, &group, 1);
    let mut named = Member::new(&subject, &group);
    named.be_named();
    assert_eq!(named.leave(), 0);
    assert_eq!(named.leave(), 25);
    assert_eq!(members[0].heartbeat(), 27, "as if it had been one of them");
    let answer = named.join();
    assert_eq!(answer.error_code, 25);
}

#[test]
fn r112_a_leave_while_others_are_parked_lets_them_go_on() {
    let subject = subject();
    let group = unused_name("r112");
    let mut members = stable(&subject, &group, 3);
    // Two of three have come back; the third one leaves instead.
    members[1].offer(&[("range", b"new")]);
    let first = members[1].send_join();
    members[0].aside.await_state(&group, "PreparingRebalance");
    let second = members[0].send_join();
    members[0].client.expect_silence();
    assert_eq!(members[2].leave(), 0);
    let leader = members[0].joined(second);
    let follower = members[1].joined(first);
    assert_eq!((leader.generation_id, follower.generation_id), (3, 3));
    assert_eq!(leader.members.len(), 2);
}

#[test]
fn r112_a_leave_while_a_join_of_the_same_member_is_parked_answers_that_join() {
    let subject = subject();
    let group = unused_name("r112");
    let mut members = stable(&subject, &group, 2);
    members[1].offer(&[("range", b"new")]);
    let parked = members[1].send_join();
    members[0].aside.await_state(&group, "PreparingRebalance");
    assert_eq!(members[1].leave(), 0);
    let answer = members[1].joined(parked);
    assert_eq!(answer.error_code, 25, "{answer:?}");
    let answer = members[0].join();
    assert_eq!((answer.generation_id, answer.members.len()), (3, 1));
}

#[test]
fn r112_a_leave_while_a_sync_of_the_same_member_is_parked_answers_that_sync() {
    let subject = subject();
    let group = unused_name("r112");
    let mut members: Vec<Member> = (0..2).map(|_| Member::new(&subject, &group)).collect();
    join_together(&mut members);
    let parked = members[1].send_sync(&[]);
    members[1].client.expect_silence();
    assert_eq!(members[1].leave(), 0);
    // Kafka forgets it (deliberate).
    if subject.differs(true, false) {
        assert_eq!(members[1].synced(parked).error_code, 25);
    } else {
        members[1].client.expect_silence();
    }
    assert_eq!(members[0].heartbeat(), 27);
}

#[test]
fn r112_v5_takes_a_reason() {
    let subject = subject();
    let group = unused_name("r112");
    let mut members = stable(&subject, &group, 1);
    let mut request = members[0].leave_request();
    request.members[0].reason = Some(super::super::calls::text("the consumer is being closed"));
    let answer = members[0].aside.call(LEAVE, &request);
    assert_eq!(fates(&answer), [(&*members[0].id, None, 0)]);
}
