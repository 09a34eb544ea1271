//! A coordinator that begins again from its log (R117). On a real Kafka these run alone, as
//! `OTTLA_TEST_ALONE=1` promises: they kill it.

use std::process::Command;

use protocol_tests::torture::{Broker, Site, newest_build};
use tempfile::TempDir;

use super::super::calls::{poll, unused_name};
use super::SETTINGS;
use super::member::{Member, join_together, share_of, stabilise, stable};
use super::requests::{SOON_MS, SYNC, sync};
use crate::wire::Subject;

enum Restartable {
    Ottla {
        _directory: TempDir,
        site: Box<Site>,
        /// None only while it is down.
        running: Option<Broker>,
        subject: Subject,
    },
    Kafka {
        subject: Subject,
        command: String,
    },
}

impl Restartable {
    fn start() -> Option<Restartable> {
        if let Some(subject) = crate::wire::real_kafka() {
            let command = std::env::var("OTTLA_TEST_RESTART").ok();
            let alone = std::env::var("OTTLA_TEST_ALONE").is_ok();
            let Some(command) = command.filter(|_| alone) else {
                eprintln!("skipped on Kafka: others use it (OTTLA_TEST_RESTART, OTTLA_TEST_ALONE)");
                return None;
            };
            subject.await_coordinator();
            return Some(Restartable::Kafka { subject, command });
        }
        let directory = tempfile::tempdir().expect("a directory");
        let build = newest_build().expect("a build");
        let arguments: Vec<&str> = SETTINGS.iter().flat_map(|it| ["--override", it]).collect();
        let site = Site::new(&build, directory.path()).expect("a site");
        let mut site = site.with_arguments(&arguments);
        let running = Some(site.start().expect("it starts"));
        let subject = Subject {
            bootstrap: site.bootstrap.clone(),
            ottla: None,
        };
        subject.await_coordinator();
        Some(Restartable::Ottla {
            _directory: directory,
            site: Box::new(site),
            running,
            subject,
        })
    }

    fn subject(&self) -> &Subject {
        match self {
            Restartable::Ottla { subject, .. } | Restartable::Kafka { subject, .. } => subject,
        }
    }

    /// kill -9, start, and wait until the coordinator has loaded.
    fn kill_and_start(&mut self) {
        match self {
            Restartable::Ottla { site, running, .. } => {
                let broker = running.take().expect("it runs");
                broker.kill().expect("it is killed");
                *running = Some(site.start().expect("it starts again"));
            }
            Restartable::Kafka { command, .. } => {
                let mut words = command.split_whitespace();
                let program = words.next().expect("a program");
                let status = Command::new(program).args(words).status();
                assert!(status.expect("it runs").success());
            }
        }
        self.subject().await_coordinator();
    }

    /// The connections of a member after a restart.
    fn reconnect(&self, member: &mut Member) {
        member.client = self.subject().connect();
        member.aside = self.subject().connect();
    }
}

#[test]
fn r117_a_stable_group_survives_a_kill_without_a_rebalance() {
    let Some(mut broker) = Restartable::start() else {
        return;
    };
    let topic = broker.subject().topic("r117");
    let group = unused_name("r117");
    let mut members = vec![
        Member::new(broker.subject(), &group),
        Member::new(broker.subject(), &group),
        Member::new(broker.subject(), &group).instance("static"),
    ];
    stabilise(&mut members);
    assert_eq!(members[1].commit(&topic.name, 42), 0);
    for _ in 0..2 {
        broker.kill_and_start();
        for (n, member) in members.iter_mut().enumerate() {
            broker.reconnect(member);
            assert_eq!(member.heartbeat(), 0);
            let answer = member.sync(&[]);
            assert_eq!((answer.error_code, &*answer.assignment), (0, &*share_of(n)));
        }
        let described = members[0].aside.described(&group);
        assert_eq!(&*described.group_state, "Stable");
        assert_eq!(&*described.protocol_data, "range");
        assert_eq!(described.members.len(), 3);
        assert_eq!(members[0].aside.committed(&group, &topic.name, 0), 42);
    }
    // Followers get their generation back, the static one under a new id.
    assert_eq!(members[1].join().generation_id, 2);
    let mut again = Member::new(broker.subject(), &group).instance("static");
    assert_eq!(again.join().generation_id, 2);
    assert_eq!(members[2].heartbeat(), 82);
    assert_eq!(members[0].heartbeat(), 0);
    assert_eq!(members[1].commit(&topic.name, 43), 0);
}

#[test]
fn r117_a_member_that_does_not_return_loses_its_session_in_full_only() {
    let Some(mut broker) = Restartable::start() else {
        return;
    };
    let group = unused_name("r117");
    let mut members = vec![
        Member::new(broker.subject(), &group),
        Member::new(broker.subject(), &group).with_timeouts(SOON_MS, SOON_MS),
    ];
    stabilise(&mut members);
    broker.kill_and_start();
    broker.reconnect(&mut members[0]);
    assert_eq!(members[0].heartbeat(), 0, "nobody is missing yet");
    poll("the session to end", || {
        (members[0].heartbeat() == 27).then_some(())
    });
    let answer = members[0].join();
    assert_eq!((answer.generation_id, answer.members.len()), (3, 1));
}

#[test]
fn r117_a_rebalance_that_was_under_way_begins_again_from_the_last_generation() {
    let Some(mut broker) = Restartable::start() else {
        return;
    };
    let group = unused_name("r117");
    let mut members = stable(broker.subject(), &group, 2);
    // Killed while one has joined again and the other one has not.
    let _parked = members[0].send_join();
    members[1].aside.await_state(&group, "PreparingRebalance");
    broker.kill_and_start();
    for member in &mut members {
        broker.reconnect(member);
        assert_eq!(member.heartbeat(), 0, "what was not written did not happen");
    }
    // Killed between joins and syncs.
    let sent = members[0].send_join();
    members[1].aside.await_state(&group, "PreparingRebalance");
    assert_eq!(members[1].join().generation_id, 3);
    assert_eq!(members[0].joined(sent).generation_id, 3);
    broker.kill_and_start();
    for member in &mut members {
        broker.reconnect(member);
        assert_eq!(member.heartbeat(), 22, "generation 3 was never written");
        assert_eq!(member.commit("r117", 1), 3, "the topic is judged first");
    }
    // They are known, rejoin and go on.
    let sent = members[0].send_join();
    members[1].aside.await_state(&group, "PreparingRebalance");
    assert_eq!(members[1].join().generation_id, 3);
    assert_eq!(members[0].joined(sent).generation_id, 3);
    let leader = members[0].id.clone();
    super::member::sync_together(&mut members, &leader);
}

#[test]
fn r117_members_of_a_generation_that_was_never_written_are_unknown() {
    let Some(mut broker) = Restartable::start() else {
        return;
    };
    let group = unused_name("r117");
    let mut members: Vec<Member> = (0..2)
        .map(|_| Member::new(broker.subject(), &group))
        .collect();
    join_together(&mut members);
    let mut named = Member::new(broker.subject(), &group);
    named.be_named();
    broker.kill_and_start();
    for member in &mut members {
        broker.reconnect(member);
        assert_eq!(member.heartbeat(), 25);
        assert_eq!(member.join().error_code, 25);
        let request = sync(SYNC, &group, &member.id, 2, &[]);
        assert_eq!(member.client.call(SYNC, &request).error_code, 25);
    }
    broker.reconnect(&mut named);
    assert_eq!(named.join().error_code, 25);
    // The group itself was written when it was made.
    let described = named.aside.described(&group);
    assert_eq!(&*described.group_state, "Empty");
}

#[test]
fn r117_offsets_groups_and_deletions_are_what_they_were() {
    let Some(mut broker) = Restartable::start() else {
        return;
    };
    let topic = broker.subject().topic_with("r117", 3, &[]);
    let groups: Vec<String> = (0..20).map(|_| unused_name("r117")).collect();
    let mut client = broker.subject().connect();
    for (n, group) in (0..).zip(&groups) {
        for offset in [n, n + 100] {
            assert_eq!(client.commit_alone(group, &topic.name, offset), 0);
        }
    }
    let gone: Vec<&str> = groups.iter().step_by(2).map(|it| &**it).collect();
    client.call(2, &super::requests::delete(&gone));
    broker.kill_and_start();
    let mut client = broker.subject().connect();
    for (n, group) in (0..).zip(&groups) {
        let expected = if n % 2 == 0 { -1 } else { n + 100 };
        assert_eq!(client.committed(group, &topic.name, 0), expected);
    }
    let listed = client.call(5, &super::requests::list(&[], &[]));
    let mine = listed
        .groups
        .iter()
        .filter(|it| groups.iter().any(|g| **g == *it.group_id.0));
    assert_eq!(mine.count(), 10);
}
