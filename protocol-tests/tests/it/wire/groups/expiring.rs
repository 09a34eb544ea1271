//! Offsets that go: by retention, by the deletion of their topic (R53, R99, R103).

use std::time::Duration;

use protocol_tests::stopwatch::Stopwatch;

use super::super::calls::{poll, text, unused_name};
use super::member::{Member, stabilise, stable, subscription};
use super::requests::{
    DESCRIBE, JOIN, LIST, Position, at, commit, commit_topics, describe, fetch, list, plain_join,
};
use super::{EXPIRING, subject, subject_with};
use crate::wire::client::Client;

#[track_caller]
fn await_no_offset(client: &mut Client, group: &str, topic: &str) {
    poll("the offset to go", || {
        (client.committed(group, topic, 0) == -1).then_some(())
    });
}

/// A group is known to nobody.
#[track_caller]
fn await_no_group(client: &mut Client, group: &str) {
    poll("the group to go", || {
        let described = client.call(DESCRIBE, &describe(&[group]));
        (described.groups[0].error_code == 69).then_some(())
    });
    let listed = client.call(LIST, &list(&[], &[]));
    assert!(listed.groups.iter().all(|it| *it.group_id.0 != *group));
}

#[test]
fn r99_the_retention_that_v2_to_v4_ask_for_expires_the_offset_and_its_group() {
    let Some(subject) = subject_with(EXPIRING) else {
        return;
    };
    let topic = subject.topic("r99");
    let mut client = subject.connect();
    for version in 2..=4 {
        let (short, long, default) = (unused_name("s"), unused_name("l"), unused_name("d"));
        for (group, retention) in [(&short, 1), (&long, 86_400_000), (&default, -1)] {
            let request =
                commit(version, group, &topic.name, &[at(0, 5)]).with_retention_time_ms(retention);
            let answer = client.call(version, &request);
            assert_eq!(answer.topics[0].partitions[0].error_code, 0, "v{version}");
        }
        await_no_offset(&mut client, &short, &topic.name);
        await_no_group(&mut client, &short);
        for group in [&long, &default] {
            assert_eq!(client.committed(group, &topic.name, 0), 5, "v{version}");
        }
    }
}

#[test]
fn r103_offsets_expire_while_members_are_there_but_for_the_topics_they_subscribe_to() {
    let Some(subject) = subject_with(EXPIRING) else {
        return;
    };
    let (read, unread) = (subject.topic("read"), subject.topic("unread"));
    let group = unused_name("r103");
    let metadata = subscription(&[&read.name]);
    let mut members =
        vec![Member::new(&subject, &group).speaking("consumer", &[("range", &metadata)])];
    stabilise(&mut members);
    let id = members[0].id.clone();
    let positions: &[Position<'_>] = &[at(0, 5)];
    let topics = [(&*read.name, positions), (&*unread.name, positions)];
    let request = commit_topics(4, &group, &topics)
        .with_retention_time_ms(1)
        .with_member_id(text(&id))
        .with_generation_id_or_member_epoch(1);
    let answer = members[0].aside.call(4, &request);
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    await_no_offset(&mut members[0].aside, &group, &unread.name);
    assert_eq!(members[0].aside.committed(&group, &read.name, 0), 5);
    assert_eq!(
        members[0].heartbeat(),
        0,
        "the group has a member and stays"
    );
    // Once nobody reads it, it goes as well, and the group with it.
    assert_eq!(members[0].leave(), 0);
    await_no_offset(&mut members[0].aside, &group, &read.name);
    await_no_group(&mut members[0].aside, &group);
}

#[test]
fn r103_subscriptions_that_cannot_be_read_keep_all_offsets() {
    let Some(subject) = subject_with(EXPIRING) else {
        return;
    };
    let topic = subject.topic("r103");
    let (group, other) = (unused_name("r103"), unused_name("r103"));
    let mut members = stable(&subject, &group, 1);
    let id = members[0].id.clone();
    let request = commit(4, &group, &topic.name, &[at(0, 5)])
        .with_retention_time_ms(1)
        .with_member_id(text(&id))
        .with_generation_id_or_member_epoch(1);
    let answer = members[0].aside.call(4, &request);
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    // By the time one that was committed later has gone, it would have gone.
    let request = commit(4, &other, &topic.name, &[at(0, 5)]).with_retention_time_ms(1);
    members[0].aside.call(4, &request);
    await_no_offset(&mut members[0].aside, &other, &topic.name);
    assert_eq!(members[0].aside.committed(&group, &topic.name, 0), 5);
}

#[test]
fn r103_offsets_expire_a_while_after_the_group_became_empty_and_not_while_it_has_members() {
    let settings = [EXPIRING, &["offsets.retention.minutes=1"]].concat();
    let Some(subject) = subject_with(&settings) else {
        return;
    };
    let topic = subject.topic("r103");
    let mut client = subject.connect();
    let (alone, empty, full) = (unused_name("a"), unused_name("e"), unused_name("f"));
    poll("the coordinator", || {
        (client.commit_alone(&alone, &topic.name, 1) == 0).then_some(())
    });
    let mut members = [stable(&subject, &empty, 1), stable(&subject, &full, 1)];
    for members in &mut members {
        assert_eq!(members[0].commit(&topic.name, 2), 0);
    }
    assert_eq!(members[0][0].leave(), 0);
    let gone = |client: &mut Client, group: &str| client.committed(group, &topic.name, 0) == -1;
    let since = Stopwatch::start();
    while !(gone(&mut client, &alone) && gone(&mut client, &empty)) {
        assert!(
            since.elapsed() < Duration::from_secs(120),
            "they do not expire"
        );
        assert_eq!(members[1][0].heartbeat(), 0);
        members[1][0].client.expect_silence(); // a pause
    }
    assert!(
        since.elapsed() > Duration::from_secs(50),
        "they expired too early"
    );
    await_no_group(&mut client, &alone);
    await_no_group(&mut client, &empty);
    assert_eq!(client.committed(&full, &topic.name, 0), 2);
}

#[test]
fn r103_groups_without_members_and_offsets_go_at_the_next_look() {
    let Some(subject) = subject_with(EXPIRING) else {
        return;
    };
    let (left, named) = (unused_name("left"), unused_name("named"));
    let mut members = stable(&subject, &left, 1);
    assert_eq!(members[0].leave(), 0);
    await_no_group(&mut members[0].aside, &left);
    // Kafka takes the group away from somebody who was only named as well, and does not know them
    // any more; ours waits for their session to end (deliberate).
    let mut client = subject.connect();
    let request = plain_join(JOIN, &named, "").with_session_timeout_ms(6_000);
    let id = client.call(JOIN, &request).member_id;
    client.await_state(&named, "Empty");
    await_no_group(&mut client, &named);
    let answer = client.call(JOIN, &plain_join(JOIN, &named, &id));
    assert_eq!(answer.error_code, 25);
}

#[test]
fn r53_r103_a_topic_that_is_deleted_takes_its_offsets_along() {
    let subject = subject();
    let (gone, kept) = (subject.topic("r103"), subject.topic("r103"));
    let mut client = subject.connect();
    let (both, only) = (unused_name("r103"), unused_name("r103"));
    let full = unused_name("r103");
    let mut members = stable(&subject, &full, 1);
    assert_eq!(members[0].commit(&gone.name, 4), 0);
    assert_eq!(client.commit_alone(&both, &gone.name, 5), 0);
    assert_eq!(client.commit_alone(&both, &kept.name, 6), 0);
    assert_eq!(client.commit_alone(&only, &gone.name, 7), 0);
    assert_eq!(client.delete_topic(&gone.name).error_code, 0);
    for group in [&both, &only, &full] {
        await_no_offset(&mut client, group, &gone.name);
        let all = client.call(9, &fetch(9, group, None));
        let names: Vec<&str> = all.groups[0].topics.iter().map(|it| &*it.name.0).collect();
        assert!(!names.contains(&&*gone.name), "{names:?}");
    }
    assert_eq!(client.committed(&both, &kept.name, 0), 6);
    // Made anew, it begins without offsets.
    let again = client.create_topic(super::super::calls::new_topic(&gone.name));
    assert_eq!(again.error_code, 0);
    assert_eq!(client.committed(&both, &gone.name, 0), -1);
}
