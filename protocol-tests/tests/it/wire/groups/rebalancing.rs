//! Scenarios of whole rebalances: leaders that fail in each phase, members that come back while
//! others wait, cooperative rebalancing, groups that outgrow the internal topic.

use super::super::calls::{poll, unused_name};
use super::member::{Member, join_together, stabilise, stable, sync_together};
use super::requests::{PAST_SOON, PATIENCE_MS, SOON_MS};
use super::{Subject, subject, subject_with};

fn short_lived(subject: &Subject, group: &str) -> Member {
    Member::new(subject, group).with_timeouts(SOON_MS, SOON_MS)
}

#[test]
fn a_leader_that_dies_when_the_group_is_stable_is_followed_by_another() {
    let subject = subject();
    let group = unused_name("leader");
    let mut members = vec![short_lived(&subject, &group), Member::new(&subject, &group)];
    stabilise(&mut members);
    poll("the end of the session", || {
        (members[1].heartbeat() == 27).then_some(())
    });
    let answer = members[1].join();
    assert_eq!((answer.generation_id, answer.members.len()), (3, 1));
    assert_eq!(answer.leader, answer.member_id);
    assert_eq!(members[0].heartbeat(), 25);
}

#[test]
fn a_leader_that_does_not_come_back_to_a_rebalance_is_followed_by_one_who_did() {
    let subject = subject();
    let group = unused_name("leader");
    let mut members: Vec<Member> = (0..3)
        .map(|_| Member::new(&subject, &group).with_timeouts(PATIENCE_MS, SOON_MS))
        .collect();
    stabilise(&mut members);
    // It is alive by its heartbeats, but never joins.
    members[1].offer(&[("range", b"new")]);
    let first = members[1].send_join();
    members[0].aside.await_state(&group, "PreparingRebalance");
    let second = members[2].send_join();
    assert_eq!(members[0].heartbeat(), 27);
    let (first, second) = (members[1].joined(first), members[2].joined(second));
    assert_eq!((first.generation_id, second.generation_id), (3, 3));
    assert_eq!(first.leader, second.leader);
    assert_eq!(first.members.len() + second.members.len(), 2);
    assert_ne!(&*first.leader, members[0].id);
    assert_eq!(members[0].heartbeat(), 25);
}

#[test]
fn a_leader_that_dies_between_join_and_sync_is_followed_by_another() {
    let subject = subject();
    let group = unused_name("leader");
    let mut members = vec![short_lived(&subject, &group), Member::new(&subject, &group)];
    join_together(&mut members);
    let parked = members[1].send_sync(&[]);
    let answer = members[1].synced(parked);
    assert_eq!(answer.error_code, 27);
    let answer = members[1].join();
    assert_eq!((answer.error_code, answer.generation_id), (0, 3));
    assert_eq!(answer.leader, answer.member_id);
    let mine = members[1].id.clone();
    assert_eq!(&*members[1].sync(&[(&mine, b"all")]).assignment, b"all");
}

#[test]
fn a_leader_that_leaves_between_join_and_sync_wakes_those_who_wait_for_it() {
    let subject = subject();
    let group = unused_name("leader");
    let mut members: Vec<Member> = (0..2).map(|_| Member::new(&subject, &group)).collect();
    join_together(&mut members);
    let parked = members[1].send_sync(&[]);
    members[1].client.expect_silence();
    assert_eq!(members[0].leave(), 0);
    assert_eq!(members[1].synced(parked).error_code, 27);
    assert_eq!(members[1].join().generation_id, 3);
}

#[test]
fn a_leader_whose_connection_breaks_while_it_waits_is_still_a_member() {
    let subject = subject();
    let group = unused_name("leader");
    let mut members = stable(&subject, &group, 2);
    let _parked = members[0].send_join();
    members[1].aside.await_state(&group, "PreparingRebalance");
    // A new connection takes the place of the broken one.
    members[0].client = subject.connect();
    let sent = members[0].send_join();
    members[0].client.expect_silence();
    assert_eq!(members[1].join().generation_id, 3);
    let answer = members[0].joined(sent);
    assert_eq!((answer.generation_id, answer.members.len()), (3, 2));
    sync_together(&mut members, &answer.leader);
}

#[test]
fn members_join_and_rejoin_while_others_are_parked() {
    let subject = subject();
    let group = unused_name("parked");
    let mut members = stable(&subject, &group, 2);
    let mut third = Member::new(&subject, &group);
    let sent_third = third.send_join();
    third.aside.await_members(&group, 3);
    // One who was only named holds the rebalance up, and joins it.
    let mut fourth = Member::new(&subject, &group);
    fourth.be_named();
    let follower = members[1].send_join();
    let leader = members[0].send_join();
    members[0].client.expect_silence();
    let sent_fourth = fourth.send_join();
    let answer = members[0].joined(leader);
    assert_eq!((answer.generation_id, answer.members.len()), (3, 4));
    for (member, sent) in [
        (&mut members[1], follower),
        (&mut third, sent_third),
        (&mut fourth, sent_fourth),
    ] {
        let answer = member.joined(sent);
        assert_eq!((answer.error_code, answer.generation_id), (0, 3));
    }
    members.push(third);
    members.push(fourth);
    let leader = answer.leader.to_string();
    sync_together(&mut members, &leader);
}

#[test]
fn those_who_come_back_in_time_go_on_without_those_who_do_not() {
    let subject = subject();
    let group = unused_name("timeout");
    let mut members: Vec<Member> = (0..3)
        .map(|_| Member::new(&subject, &group).with_timeouts(PATIENCE_MS, SOON_MS))
        .collect();
    stabilise(&mut members);
    let leader = members[0].send_join();
    members[1].aside.await_state(&group, "PreparingRebalance");
    let follower = members[1].send_join();
    let answer = members[0].joined(leader);
    assert_eq!((answer.generation_id, answer.members.len()), (3, 2));
    assert_eq!(&*answer.leader, members[0].id, "it stays the leader");
    assert_eq!(members[1].joined(follower).generation_id, 3);
    // The late one begins anew.
    let answer = members[2].join();
    assert_eq!(answer.error_code, 25);
}

#[test]
fn the_longest_rebalance_timeout_of_the_members_counts() {
    let subject = subject();
    let group = unused_name("timeout");
    let mut members = vec![
        Member::new(&subject, &group).with_timeouts(PATIENCE_MS, SOON_MS),
        Member::new(&subject, &group).with_timeouts(PATIENCE_MS, PATIENCE_MS),
    ];
    stabilise(&mut members);
    let leader = members[0].send_join();
    members[1].aside.await_state(&group, "PreparingRebalance");
    members[0].client.expect_silence_for(PAST_SOON);
    assert_eq!(members[1].join().generation_id, 3);
    assert_eq!(members[0].joined(leader).members.len(), 2);
}

#[test]
fn v0_takes_the_session_timeout_for_the_rebalance_timeout() {
    let subject = subject();
    let group = unused_name("timeout");
    let mut client = subject.connect();
    let request = super::requests::plain_join(0, &group, "").with_session_timeout_ms(1_500);
    let answer = client.call(0, &request);
    assert_eq!(answer.error_code, 0);
    let mut other = Member::new(&subject, &group).with_timeouts(120_000, 500);
    let sent = other.send_join();
    // The first one, of v0, does not come back; its session is its rebalance timeout.
    let answer = other.joined(sent);
    assert_eq!((answer.error_code, answer.members.len()), (0, 1));
}

#[test]
fn a_cooperative_rebalance_takes_two_generations_of_the_same_members() {
    let subject = subject();
    let group = unused_name("cooperative");
    let member = |owned: &[u8]| {
        Member::new(&subject, &group).speaking("consumer", &[("cooperative-sticky", owned)])
    };
    let mut members = vec![member(b"-")];
    join_together(&mut members);
    let first = members[0].id.clone();
    let answer = members[0].sync(&[(&first, b"p0 p1")]);
    assert_eq!(&*answer.assignment, b"p0 p1");

    // Another one comes. The first one rejoins with what it owns and is told to give up p1, which
    // nobody gets in this generation.
    members.push(member(b"-"));
    let sent = members[1].send_join();
    members[0].aside.await_members(&group, 2);
    assert_eq!(members[0].heartbeat(), 27);
    members[0].offer(&[("cooperative-sticky", b"p0 p1")]);
    let answer = members[0].join();
    assert_eq!(answer.generation_id, 2);
    let owners: Vec<&[u8]> = answer.members.iter().map(|it| &*it.metadata).collect();
    assert!(owners.contains(&&b"p0 p1"[..]));
    assert_eq!(members[1].joined(sent).generation_id, 2);
    let second = members[1].id.clone();
    let parked = members[1].send_sync(&[]);
    let answer = members[0].sync(&[(&first, b"p0"), (&second, b"")]);
    assert_eq!(&*answer.assignment, b"p0");
    assert_eq!(&*members[1].synced(parked).assignment, b"");

    // It gives p1 up and rejoins by itself with less: the same members, the next generation.
    members[0].offer(&[("cooperative-sticky", b"p0")]);
    let sent = members[0].send_join();
    members[1].aside.await_state(&group, "PreparingRebalance");
    assert_eq!(members[1].heartbeat(), 27);
    assert_eq!(members[1].join().generation_id, 3);
    let answer = members[0].joined(sent);
    assert_eq!((answer.generation_id, answer.members.len()), (3, 2));
    let parked = members[1].send_sync(&[]);
    let answer = members[0].sync(&[(&first, b"p0"), (&second, b"p1")]);
    assert_eq!(&*answer.assignment, b"p0");
    assert_eq!(&*members[1].synced(parked).assignment, b"p1");
    assert_eq!(members[0].heartbeat(), 0);
}

#[test]
fn a_group_larger_than_a_batch_of_the_internal_topic_is_refused_and_stays_usable() {
    let subject = subject();
    let group = unused_name("large");
    let large = vec![b'm'; 1_200_000];
    let mut member = Member::new(&subject, &group).speaking("bulk", &[("range", &large)]);
    assert_eq!(member.join().error_code, 0);
    let id = member.id.clone();
    let answer = member.sync(&[(&id, b"all")]);
    assert_eq!(answer.error_code, -1, "{answer:?}");
    assert!(answer.assignment.is_empty());
    assert_eq!(answer.protocol_name, None);
    // The group waits for its members; with less to say it goes on.
    assert_eq!(member.heartbeat(), 27);
    member.offer(&[("range", b"small")]);
    let answer = member.join();
    assert_eq!((answer.error_code, answer.generation_id), (0, 2));
    let answer = member.sync(&[(&id, b"all")]);
    assert_eq!((answer.error_code, &*answer.assignment), (0, &b"all"[..]));
    assert_eq!(member.heartbeat(), 0);
}

#[test]
fn a_thousand_members_rebalance_together() {
    let settings = [
        "group.initial.rebalance.delay.ms=3000",
        "group.min.session.timeout.ms=500",
    ];
    let Some(subject) = subject_with(&settings) else {
        return;
    };
    let group = unused_name("crowd");
    let mut members: Vec<Member> = (0..1_000).map(|_| Member::new(&subject, &group)).collect();
    // The joins that count follow each other within the delay.
    members.iter_mut().for_each(Member::be_named);
    let sent: Vec<i32> = members.iter_mut().map(Member::send_join).collect();
    let answers: Vec<_> = members
        .iter_mut()
        .zip(sent)
        .map(|(member, sent)| member.joined(sent))
        .collect();
    let leader = answers[0].leader.to_string();
    for answer in &answers {
        assert_eq!((answer.error_code, answer.generation_id), (0, 1));
        assert_eq!(answer.leader, answers[0].leader);
        let listed = if *answer.member_id == leader {
            1_000
        } else {
            0
        };
        assert_eq!(answer.members.len(), listed);
    }
    sync_together(&mut members, &leader);
    for member in &mut members {
        assert_eq!(member.heartbeat(), 0);
    }
    let described = members[0].aside.described(&group);
    assert_eq!(
        (&*described.group_state, described.members.len()),
        ("Stable", 1_000)
    );
    // Every second one leaves; the others are one generation on.
    for member in members.iter_mut().skip(1).step_by(2) {
        assert_eq!(member.leave(), 0);
    }
    let mut stay: Vec<Member> = members.into_iter().step_by(2).collect();
    let sent: Vec<i32> = stay.iter_mut().map(Member::send_join).collect();
    let generations = stay.iter_mut().zip(sent);
    for (member, sent) in generations {
        let answer = member.joined(sent);
        assert_eq!((answer.error_code, answer.generation_id), (0, 2));
    }
}
