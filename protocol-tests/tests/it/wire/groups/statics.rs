//! Static members (R113).

use kafka_protocol::messages::JoinGroupRequest;

use super::super::calls::{poll, text, unused_name};
use super::member::{Member, join_together, share_of, stabilise};
use super::requests::{
    COMMIT, HEARTBEAT, JOIN, SOON_MS, SYNC, at, commit, heartbeat, leave, plain_join, sync,
};
use super::{Subject, subject};

/// A stable group of a static leader `a` and a static follower `b`, generation 2.
#[track_caller]
fn pair(subject: &Subject, group: &str) -> Vec<Member> {
    let mut members = vec![
        Member::new(subject, group).instance("a"),
        Member::new(subject, group).instance("b"),
    ];
    stabilise(&mut members);
    members
}

/// The process of an instance has been started again: it knows its instance id only.
fn restarted(subject: &Subject, member: &Member) -> Member {
    let mut again = Member::new(subject, &member.group);
    again.instance = member.instance.clone();
    again
}

#[test]
fn r113_a_follower_returns_under_a_new_member_id_without_a_rebalance() {
    let subject = subject();
    let group = unused_name("r113");
    let mut members = pair(&subject, &group);
    let mut again = restarted(&subject, &members[1]);
    let answer = again.join();
    assert_eq!((answer.error_code, answer.generation_id), (0, 2));
    assert_ne!(again.id, members[1].id);
    assert!(again.id.starts_with("b-"));
    assert_eq!(&*answer.leader, members[0].id);
    assert!(answer.members.is_empty());
    assert!(!answer.skip_assignment);
    let synced = again.sync(&[]);
    assert_eq!((synced.error_code, &*synced.assignment), (0, &*share_of(1)));
    assert_eq!(members[0].heartbeat(), 0);
    let described = again.aside.described(&group);
    assert_eq!(&*described.group_state, "Stable");
    let ids: Vec<&str> = described.members.iter().map(|it| &*it.member_id).collect();
    assert!(ids.contains(&&*again.id) && !ids.contains(&&*members[1].id));
}

#[test]
fn r113_the_old_member_id_is_fenced_everywhere() {
    let subject = subject();
    let group = unused_name("r113");
    let mut members = pair(&subject, &group);
    let mut again = restarted(&subject, &members[1]);
    again.join();
    let old = &mut members[1];
    assert_eq!(old.heartbeat(), 82);
    assert_eq!(old.sync(&[]).error_code, 82);
    let topic = subject.topic("r113");
    assert_eq!(old.commit(&topic.name, 1), 82);
    let answer = old.join();
    assert_eq!(answer.error_code, 82);
    assert_eq!(answer.member_id, text(&old.id));
    assert_eq!(answer.generation_id, -1);
    assert_eq!(old.leave(), 82);
    // In the older versions that know instances.
    let mut client = subject.connect();
    for version in 5..=9 {
        let request = plain_join(version, &group, &old.id).with_group_instance_id(Some(text("b")));
        assert_eq!(client.call(version, &request).error_code, 82, "v{version}");
    }
    for version in 3..=4 {
        let request = heartbeat(&group, &old.id, 2).with_group_instance_id(Some(text("b")));
        assert_eq!(client.call(version, &request).error_code, 82, "v{version}");
    }
    for version in 3..=5 {
        let request =
            sync(version, &group, &old.id, 2, &[]).with_group_instance_id(Some(text("b")));
        assert_eq!(client.call(version, &request).error_code, 82, "v{version}");
        let request = leave(version, &group, &[(&old.id, Some("b"))]);
        let answer = client.call(version, &request);
        assert_eq!(answer.members[0].error_code, 82, "v{version}");
    }
    for version in 7..=9 {
        let request = commit(version, &group, &topic.name, &[at(0, 1)])
            .with_member_id(text(&old.id))
            .with_generation_id_or_member_epoch(2)
            .with_group_instance_id(Some(text("b")));
        let answer = client.call(version, &request);
        assert_eq!(answer.topics[0].partitions[0].error_code, 82, "v{version}");
    }
    // Without its instance id it is only unknown.
    let answer = client.call(HEARTBEAT, &heartbeat(&group, &old.id, 2));
    assert_eq!(answer.error_code, 25);
    assert_eq!(again.heartbeat(), 0);
}

#[test]
fn r113_an_instance_that_nobody_knows_is_an_unknown_member() {
    let subject = subject();
    let group = unused_name("r113");
    let members = pair(&subject, &group);
    let id = &members[0].id;
    let mut client = subject.connect();
    let nobody = || Some(text("nobody"));
    let request = plain_join(JOIN, &group, id).with_group_instance_id(nobody());
    assert_eq!(client.call(JOIN, &request).error_code, 25);
    let request = sync(SYNC, &group, id, 2, &[]).with_group_instance_id(nobody());
    assert_eq!(client.call(SYNC, &request).error_code, 25);
    let request = heartbeat(&group, id, 2).with_group_instance_id(nobody());
    assert_eq!(client.call(HEARTBEAT, &request).error_code, 25);
    let topic = subject.topic("r113");
    let request = commit(COMMIT, &group, &topic.name, &[at(0, 1)])
        .with_member_id(text(id))
        .with_generation_id_or_member_epoch(2)
        .with_group_instance_id(nobody());
    let answer = client.call(COMMIT, &request);
    assert_eq!(answer.topics[0].partitions[0].error_code, 25);
}

#[test]
fn r113_v9_tells_a_leader_that_returns_to_skip_the_assignment() {
    let subject = subject();
    let group = unused_name("r113");
    let mut members = pair(&subject, &group);
    let mut again = restarted(&subject, &members[0]);
    let answer = again.join();
    assert_eq!((answer.error_code, answer.generation_id), (0, 2));
    assert!(answer.skip_assignment);
    assert_eq!(answer.leader, answer.member_id);
    let mut listed: Vec<&str> = answer.members.iter().map(|it| &*it.member_id).collect();
    listed.sort_unstable();
    let mut expected = [&*again.id, &*members[1].id];
    expected.sort_unstable();
    assert_eq!(listed, expected);
    let synced = again.sync(&[]);
    assert_eq!((synced.error_code, &*synced.assignment), (0, &*share_of(0)));
    assert_eq!(members[1].heartbeat(), 0);
}

#[test]
fn r113_v5_to_v8_tell_a_leader_that_returns_of_its_old_id_and_no_members() {
    let subject = subject();
    for version in 5..=8 {
        let group = unused_name("r113");
        let members = pair(&subject, &group);
        let request = plain_join(version, &group, "").with_group_instance_id(Some(text("a")));
        let answer = subject.connect().call(version, &request);
        assert_eq!(
            (answer.error_code, answer.generation_id),
            (0, 2),
            "v{version}"
        );
        assert_eq!(&*answer.leader, members[0].id, "v{version}");
        assert_ne!(&*answer.member_id, members[0].id, "v{version}");
        assert!(answer.members.is_empty(), "v{version}");
    }
}

#[test]
fn r113_changed_metadata_that_keeps_the_protocol_is_taken_without_a_rebalance() {
    let subject = subject();
    let group = unused_name("r113");
    let mut members = pair(&subject, &group);
    let mut again = restarted(&subject, &members[1]);
    again.offer(&[("range", b"other")]);
    let answer = again.join();
    assert_eq!((answer.error_code, answer.generation_id), (0, 2));
    assert_eq!(members[0].heartbeat(), 0);
    let described = again.aside.described(&group);
    let mine = described
        .members
        .iter()
        .find(|it| *it.member_id == again.id);
    let mine = mine.expect("the instance");
    assert_eq!(&*mine.member_metadata, b"other");
    assert_eq!(mine.group_instance_id.as_deref(), Some("b"));
}

#[test]
fn r113_a_return_that_changes_the_protocol_begins_a_rebalance() {
    let subject = subject();
    let group = unused_name("r113");
    let both: &[(&str, &[u8])] = &[("range", b"r"), ("roundrobin", b"rr")];
    let mut members = vec![
        Member::new(&subject, &group)
            .instance("a")
            .speaking("consumer", both),
        Member::new(&subject, &group)
            .instance("b")
            .speaking("consumer", both),
    ];
    stabilise(&mut members);
    let mut again = restarted(&subject, &members[1]);
    again.offer(&[("roundrobin", b"rr")]);
    let sent = again.send_join();
    again.aside.await_state(&group, "PreparingRebalance");
    let answer = members[0].join();
    assert_eq!(answer.generation_id, 3);
    assert_eq!(answer.protocol_name.as_deref(), Some("roundrobin"));
    assert_eq!(again.joined(sent).generation_id, 3);
}

#[test]
fn r113_a_return_while_joins_are_parked_takes_the_place_of_the_old_one() {
    let subject = subject();
    let group = unused_name("r113");
    let mut members = pair(&subject, &group);
    let mut third = Member::new(&subject, &group);
    let sent_third = third.send_join();
    third.aside.await_state(&group, "PreparingRebalance");
    let parked = members[1].send_join();
    members[1].client.expect_silence();
    let mut again = restarted(&subject, &members[1]);
    let sent = again.send_join();
    // The join of the old process is answered: it is fenced.
    let answer = members[1].joined(parked);
    assert_eq!(answer.error_code, 82, "{answer:?}");
    let answer = members[0].join();
    assert_eq!((answer.generation_id, answer.members.len()), (3, 3));
    assert_eq!(again.joined(sent).generation_id, 3);
    assert_eq!(third.joined(sent_third).generation_id, 3);
}

#[test]
fn r113_a_return_between_join_and_sync_begins_a_rebalance() {
    let subject = subject();
    let group = unused_name("r113");
    let mut members = vec![
        Member::new(&subject, &group).instance("a"),
        Member::new(&subject, &group).instance("b"),
    ];
    join_together(&mut members);
    let parked = members[1].send_sync(&[]);
    members[1].client.expect_silence();
    let mut again = restarted(&subject, &members[1]);
    let sent = again.send_join();
    let answer = members[1].synced(parked);
    assert_eq!(answer.error_code, 82, "{answer:?}");
    again.aside.await_state(&group, "PreparingRebalance");
    let answer = members[0].join();
    assert_eq!((answer.generation_id, answer.members.len()), (3, 2));
    assert_eq!(again.joined(sent).generation_id, 3);
}

#[test]
fn r113_a_static_member_that_says_nothing_is_removed_when_its_session_ends() {
    let subject = subject();
    let group = unused_name("r113");
    let mut members = vec![
        Member::new(&subject, &group),
        Member::new(&subject, &group)
            .instance("b")
            .with_timeouts(SOON_MS, SOON_MS),
    ];
    stabilise(&mut members);
    poll("the session to end", || {
        (members[0].heartbeat() == 27).then_some(())
    });
    assert_eq!(members[1].heartbeat(), 25);
    let answer = members[0].join();
    assert_eq!(answer.members.len(), 1);
    let request = plain_join(JOIN, &group, "").with_group_instance_id(Some(text("b")));
    let sent = members[1].client.send(JOIN, &request);
    members[0].aside.await_members(&group, 2);
    let answer = members[0].join();
    assert_eq!(answer.members.len(), 2);
    let answer = members[1].client.receive::<JoinGroupRequest>(JOIN, sent);
    assert_eq!(answer.error_code, 0);
}
