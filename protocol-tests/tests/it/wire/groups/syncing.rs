//! SyncGroup and the heartbeats around it (R109–R111).

use kafka_protocol::messages::SyncGroupResponse;
use protocol_tests::stopwatch::Stopwatch;

use super::super::calls::{poll, text, unused_name};
use super::member::{Member, join_together, share_of, stabilise, stable};
use super::requests::{PAST_SOON, PATIENCE_MS, SOON_MS, SYNC, heartbeat, sync};
use super::subject;

#[track_caller]
fn assert_refused(version: i16, answer: &SyncGroupResponse, error_code: i16) {
    assert_eq!(answer.error_code, error_code, "v{version}");
    assert!(answer.assignment.is_empty(), "v{version}");
    assert_eq!(answer.protocol_type, None, "v{version}");
    assert_eq!(answer.protocol_name, None, "v{version}");
    assert_eq!(answer.throttle_time_ms, 0, "v{version}");
}

#[test]
fn r110_every_member_gets_the_leaders_bytes_whole() {
    let subject = subject();
    for version in 0..=5 {
        let group = unused_name("r110");
        let mut members: Vec<Member> = (0..3).map(|_| Member::new(&subject, &group)).collect();
        join_together(&mut members);
        let large = vec![0xab; 100_000];
        let (second, third) = (members[1].id.clone(), members[2].id.clone());
        let follower = members[2]
            .client
            .send(version, &sync(version, &group, &third, 2, &[]));
        let assignments: &[(&str, &[u8])] = &[(&second, b""), (&third, &large)];
        let leader = members[0].id.clone();
        let request = sync(version, &group, &leader, 2, assignments);
        let answer = members[0].client.call(version, &request);
        assert_eq!(answer.error_code, 0, "v{version}");
        assert!(answer.assignment.is_empty(), "the leader gave itself none");
        if version >= 5 {
            assert_eq!(answer.protocol_type.as_deref(), Some("consumer"));
            assert_eq!(answer.protocol_name.as_deref(), Some("range"));
        }
        let got = members[2]
            .client
            .receive::<kafka_protocol::messages::SyncGroupRequest>(version, follower);
        assert_eq!((got.error_code, got.assignment.len()), (0, large.len()));
        assert_eq!(got.assignment, large, "v{version}");
        // Who syncs late is not late.
        let answer = members[1]
            .client
            .call(version, &sync(version, &group, &second, 2, &[]));
        assert_eq!((answer.error_code, answer.assignment.len()), (0, 0));
    }
}

#[test]
fn r110_a_repeated_sync_of_a_stable_group_answers_the_assignment_again() {
    let subject = subject();
    let group = unused_name("r110");
    let mut members = stable(&subject, &group, 2);
    for _ in 0..2 {
        for (n, member) in members.iter_mut().enumerate() {
            // What a leader sends now changes nothing.
            let answer = member.sync(&[("anybody", b"else")]);
            assert_eq!(answer.error_code, 0);
            assert_eq!(answer.assignment, share_of(n));
        }
    }
}

#[test]
fn r110_wrong_generations_members_and_groups_are_refused() {
    let subject = subject();
    let group = unused_name("r110");
    let members = stable(&subject, &group, 1);
    let id = &members[0].id;
    let mut client = subject.connect();
    for version in 0..=5 {
        for generation in [-1, 0, 2, i32::MAX] {
            let answer = client.call(version, &sync(version, &group, id, generation, &[]));
            assert_refused(version, &answer, 22);
        }
        let answer = client.call(version, &sync(version, &group, "stranger", 1, &[]));
        assert_refused(version, &answer, 25);
        // The member is judged before the generation.
        let answer = client.call(version, &sync(version, &group, "stranger", 7, &[]));
        assert_refused(version, &answer, 25);
        let answer = client.call(version, &sync(version, &unused_name("no"), id, 1, &[]));
        assert_refused(version, &answer, 25);
        let answer = client.call(version, &sync(version, "", id, 1, &[]));
        assert_refused(version, &answer, 24);
    }
}

#[test]
fn r110_v5_has_to_name_the_protocol() {
    let subject = subject();
    let group = unused_name("r110");
    let members = stable(&subject, &group, 1);
    let mut client = subject.connect();
    let right = sync(SYNC, &group, &members[0].id, 1, &[]);
    for (kind, name) in [
        (None, None),
        (None, Some("range")),
        (Some("consumer"), None),
        (Some("connect"), Some("range")),
        (Some("consumer"), Some("roundrobin")),
    ] {
        let request = right
            .clone()
            .with_protocol_type(kind.map(text))
            .with_protocol_name(name.map(text));
        let answer = client.call(SYNC, &request);
        assert_refused(SYNC, &answer, 23);
    }
    assert_eq!(client.call(SYNC, &right).error_code, 0);
}

#[test]
fn r110_a_sync_into_a_rebalance_is_told_so_parked_or_not() {
    let subject = subject();
    let group = unused_name("r110");
    let mut members: Vec<Member> = (0..2).map(|_| Member::new(&subject, &group)).collect();
    join_together(&mut members);
    let parked = members[1].send_sync(&[]);
    // The leader comes with other metadata instead of an assignment: a new rebalance.
    members[0].offer(&[("range", b"new")]);
    let leader = members[0].send_join();
    let answer = members[1].synced(parked);
    assert_refused(SYNC, &answer, 27);
    let answer = members[1].sync(&[]);
    assert_refused(SYNC, &answer, 27);
    assert_eq!(members[1].heartbeat(), 27);
    assert_eq!(members[1].join().generation_id, 3);
    assert_eq!(members[0].joined(leader).generation_id, 3);
}

#[test]
fn r110_a_stable_leader_that_rejoins_begins_a_generation_and_a_follower_gets_its_own_back() {
    let subject = subject();
    let group = unused_name("r110");
    let mut members = stable(&subject, &group, 2);
    let answer = members[1].join();
    assert_eq!((answer.error_code, answer.generation_id), (0, 2));
    assert_eq!(&*answer.leader, members[0].id);
    assert!(answer.members.is_empty());
    assert_eq!(answer.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(answer.protocol_name.as_deref(), Some("range"));
    members[0].aside.await_state(&group, "Stable");

    let leader = members[0].send_join();
    members[1].aside.await_state(&group, "PreparingRebalance");
    assert_eq!(members[1].join().generation_id, 3);
    assert_eq!(members[0].joined(leader).generation_id, 3);
    // The rejoin of the leader in the middle is answered the same again.
    let answer = members[0].join();
    assert_eq!((answer.generation_id, answer.members.len()), (3, 2));
}

#[test]
fn r110_a_follower_with_changed_metadata_begins_a_generation() {
    let subject = subject();
    let group = unused_name("r110");
    let mut members = stable(&subject, &group, 2);
    members[1].offer(&[("range", b"more")]);
    let follower = members[1].send_join();
    members[0].aside.await_state(&group, "PreparingRebalance");
    assert_eq!(members[0].heartbeat(), 27);
    let answer = members[0].join();
    assert_eq!(answer.generation_id, 3);
    let changed = answer
        .members
        .iter()
        .find(|it| *it.member_id == members[1].id);
    assert_eq!(&*changed.expect("the follower").metadata, b"more");
    assert_eq!(members[1].joined(follower).generation_id, 3);
}

#[test]
fn r110_a_member_that_does_not_sync_in_time_is_removed_although_it_beats() {
    let subject = subject();
    let group = unused_name("r110");
    let mut members: Vec<Member> = (0..2)
        .map(|_| Member::new(&subject, &group).with_timeouts(PATIENCE_MS, SOON_MS))
        .collect();
    join_together(&mut members);
    let ids: Vec<String> = members.iter().map(|it| it.id.clone()).collect();
    // The leader has synced, so that the group is stable; the other one only beats.
    let answer = members[0].sync(&[(&ids[0], b"mine"), (&ids[1], b"yours")]);
    assert_eq!(answer.error_code, 0);
    assert_eq!(members[1].heartbeat(), 0);
    poll("the removal", || {
        (members[1].heartbeat() == 25).then_some(())
    });
    assert_eq!(members[0].heartbeat(), 27);
    let answer = members[0].join();
    assert_eq!((answer.generation_id, answer.members.len()), (3, 1));
}

#[test]
fn r110_a_leader_that_does_not_sync_in_time_is_removed_and_another_leads() {
    let subject = subject();
    let group = unused_name("r110");
    let mut members: Vec<Member> = (0..2)
        .map(|_| Member::new(&subject, &group).with_timeouts(PATIENCE_MS, SOON_MS))
        .collect();
    join_together(&mut members);
    let parked = members[1].send_sync(&[]);
    let answer = members[1].synced(parked);
    assert_refused(SYNC, &answer, 27);
    let answer = members[1].join();
    assert_eq!((answer.error_code, answer.generation_id), (0, 3));
    assert_eq!(answer.leader, answer.member_id);
    assert_eq!(members[0].heartbeat(), 25);
}

#[test]
fn r111_what_a_heartbeat_is_told_in_each_state() {
    let subject = subject();
    for version in 0..=4 {
        let group = unused_name("r111");
        let mut client = subject.connect();
        let beat = |client: &mut crate::wire::client::Client, member: &str, generation: i32| {
            let answer = client.call(version, &heartbeat(&group, member, generation));
            assert_eq!(answer.throttle_time_ms, 0);
            answer.error_code
        };
        assert_eq!(beat(&mut client, "m", 1), 25, "no such group");
        let answer = client.call(version, &heartbeat("", "m", 1));
        assert_eq!(answer.error_code, 24);

        let mut leader = Member::new(&subject, &group);
        leader.join();
        let id = leader.id.clone();
        assert_eq!(beat(&mut client, &id, 1), 0, "CompletingRebalance");
        leader.sync(&[]);
        assert_eq!(beat(&mut client, &id, 1), 0, "Stable");
        for generation in [-1, 0, 2] {
            assert_eq!(beat(&mut client, &id, generation), 22);
        }
        assert_eq!(beat(&mut client, "stranger", 1), 25);

        let mut other = Member::new(&subject, &group);
        let sent = other.send_join();
        client.await_state(&group, "PreparingRebalance");
        assert_eq!(beat(&mut client, &id, 1), 27);
        assert_eq!(beat(&mut client, &id, 2), 22, "before the state");
        leader.join();
        other.joined(sent);
        assert_eq!(leader.leave(), 0);
        assert_eq!(other.leave(), 0);
        client.await_state(&group, "Empty");
        assert_eq!(beat(&mut client, &id, 3), 25, "Empty");
    }
}

#[test]
fn r109_a_member_that_rejoins_in_any_state_stays_known() {
    let subject = subject();
    let group = unused_name("r109");
    let mut members = stable(&subject, &group, 2);
    // Stable.
    assert_eq!(members[1].join().error_code, 0);
    // PreparingRebalance, twice: a second join, over another connection.
    let mut third = Member::new(&subject, &group);
    let sent = third.send_join();
    third.aside.await_state(&group, "PreparingRebalance");
    let _parked = members[1].send_join();
    members[1].client.expect_silence();
    members[1].client = subject.connect();
    let second = members[1].send_join();
    members[1].client.expect_silence();
    assert_eq!(members[0].join().error_code, 0);
    let answer = members[1].joined(second);
    assert_eq!((answer.error_code, answer.generation_id), (0, 3));
    assert_eq!(third.joined(sent).error_code, 0);
    // CompletingRebalance.
    let answer = members[1].join();
    assert_eq!((answer.error_code, answer.generation_id), (0, 3));
    assert_eq!(members[1].heartbeat(), 0);
}

#[test]
fn r109_a_parked_join_keeps_a_member_beyond_its_session() {
    let subject = subject();
    let group = unused_name("r109");
    let mut members = vec![
        Member::new(&subject, &group).with_timeouts(PATIENCE_MS, 2 * SOON_MS),
        Member::new(&subject, &group).with_timeouts(SOON_MS, 2 * SOON_MS),
    ];
    stabilise(&mut members);
    members[1].offer(&[("range", b"new")]);
    let parked = members[1].send_join();
    // The first one never comes back; until its rebalance timeout the other one waits for two
    // sessions.
    let answer = members[1].joined(parked);
    assert_eq!((answer.error_code, answer.generation_id), (0, 3));
    assert_eq!(answer.members.len(), 1);
    assert_eq!(members[0].heartbeat(), 25);
}

#[test]
fn r109_a_parked_sync_keeps_a_member_beyond_its_session() {
    let subject = subject();
    let group = unused_name("r109");
    let mut members = vec![
        Member::new(&subject, &group),
        Member::new(&subject, &group).with_timeouts(SOON_MS, PATIENCE_MS),
    ];
    join_together(&mut members);
    let parked = members[1].send_sync(&[]);
    members[1].client.expect_silence_for(PAST_SOON);
    let id = members[1].id.clone();
    assert_eq!(members[0].sync(&[(&id, b"yours")]).error_code, 0);
    let answer = members[1].synced(parked);
    assert_eq!((answer.error_code, &*answer.assignment), (0, &b"yours"[..]));
}

#[test]
fn r109_r111_heartbeats_and_commits_keep_a_member_and_silence_does_not() {
    let subject = subject();
    let topic = subject.topic("r109");
    let group = unused_name("r109");
    let mut members: Vec<Member> = (0..3)
        .map(|_| Member::new(&subject, &group).with_timeouts(SOON_MS, PATIENCE_MS))
        .collect();
    stabilise(&mut members);
    // Two sessions long; the third one says nothing.
    let since = Stopwatch::start();
    while since.elapsed() < 2 * PAST_SOON {
        members[0].heartbeat();
        members[1].commit(&topic.name, 1);
        members[0].client.expect_silence();
    }
    assert_eq!(members[0].heartbeat(), 27);
    assert_eq!(members[2].heartbeat(), 25);
    assert_eq!(members[1].heartbeat(), 27);
}
