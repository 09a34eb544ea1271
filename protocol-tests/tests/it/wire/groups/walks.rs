//! Random walks through a group: three slots for members do one thing after another, some of it
//! wrong, in random versions. What a real Kafka answered to each step is kept in `walks/`, and Ottla
//! has to answer the same. `UPDATE_EXPECT=1` on a Kafka writes them anew: an answer that does not come
//! for a while counts as parked. `OTTLA_WALKS=FROM..TO` writes others into `OTTLA_WALKS_INTO`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka_protocol::messages::{
    JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use protocol_tests::random::Random;

use super::member::subscription;
use super::requests::{
    at, commit, delete, describe, fetch, heartbeat, join, leave, list, offset_delete, sync,
};
use super::subject;
use crate::wire::Subject;
use crate::wire::calls::{Topic, text, unused_name};
use crate::wire::client::Client;

const STEPS: usize = 60;
const SLOTS: [&str; 3] = ["a", "b", "c"];

enum Waiting {
    Join(i16, i32),
    Sync(i16, i32),
}

/// A place for a member.
struct Slot {
    name: &'static str,
    client: Client,
    waiting: Option<Waiting>,
    id: String,
    generation: i32,
    instance: Option<&'static str>,
}

struct Walk {
    group: String,
    topic: Topic,
    aside: Client,
    /// After which nothing more is thought to come.
    soon: Duration,
    settling: Duration,
    random: Random,
    slots: Vec<Slot>,
    /// As the last join told.
    leader: String,
    /// Every id that was ever given, with the name that stands for it.
    ids: Vec<(String, String)>,
    story: String,
    /// What is to come, line by line; none where it is found out.
    expected: Option<Vec<String>>,
}

#[test]
fn walks_are_answered_as_kafka_answered_them() {
    let subject = subject();
    let explored = std::env::var("OTTLA_WALKS").ok();
    if let Some(range) = explored {
        let (from, to) = range.split_once("..").expect("FROM..TO");
        let to: u64 = to.parse().expect("a number");
        let into = std::env::var("OTTLA_WALKS_INTO").expect("a directory");
        for seed in from.parse().expect("a number")..to {
            let story = Walk::new(&subject, seed, None).take();
            std::fs::write(Path::new(&into).join(format!("{seed}.txt")), story).expect("written");
        }
        return;
    }
    let is_update = std::env::var("UPDATE_EXPECT").is_ok();
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/wire/groups/walks");
    for seed in 0..WALKS {
        let path = directory.join(format!("{seed}.txt"));
        if is_update {
            let story = Walk::new(&subject, seed, None).take();
            std::fs::write(&path, story).expect("written");
            continue;
        }
        let kept = std::fs::read_to_string(&path).expect("a walk");
        let lines = kept.lines().map(str::to_owned).collect();
        let story = Walk::new(&subject, seed, Some(lines)).take();
        assert_eq!(story, kept, "walk {seed}");
    }
}

const WALKS: u64 = 12;

impl Walk {
    fn new(subject: &Subject, seed: u64, expected: Option<Vec<String>>) -> Walk {
        let mut random = Random::new(seed);
        let statics = random.below(3);
        let slots = SLOTS.iter().enumerate().map(|(n, name)| Slot {
            name,
            client: subject.connect(),
            waiting: None,
            id: String::new(),
            generation: -1,
            instance: (n < statics as usize).then_some(*name),
        });
        Walk {
            group: unused_name("walk"),
            topic: subject.topic("walk"),
            aside: subject.connect(),
            soon: Duration::from_millis(subject.differs(15, 100)),
            settling: Duration::from_millis(subject.differs(1, 30)),
            random,
            slots: slots.collect(),
            leader: String::new(),
            ids: Vec::new(),
            story: String::new(),
            expected,
        }
    }

    fn take(mut self) -> String {
        for step in 0..STEPS {
            let line = self.step(step);
            let _ = writeln!(self.story, "{line}"); // writing to a String cannot fail
        }
        self.story
    }

    fn step(&mut self, step: usize) -> String {
        let at = self.random.below(SLOTS.len() as u64) as usize;
        let choice = self.random.below(100);
        let version_seed = self.random.next();
        let version = |from: i16, to: i16| from + (version_seed % (to - from + 1) as u64) as i16;
        let detail = self.random.next();
        let slot = &self.slots[at];
        let name = slot.name;
        let mut said = match choice {
            0..=34 if slot.waiting.is_none() => self.join(at, version, detail),
            35..=54 if slot.waiting.is_none() => self.sync(at, version(0, 5), detail),
            55..=64 => {
                let version = version(if slot.instance.is_some() { 3 } else { 0 }, 4);
                let generation = odd(slot.generation, detail);
                let request = heartbeat(&self.group, &slot.id, generation)
                    .with_group_instance_id(slot.instance.map(text));
                let answer = self.aside.call(version, &request);
                format!(
                    "heartbeat v{version} {name} g{generation} -> {}",
                    answer.error_code
                )
            }
            65..=69 if !self.would_choose_any_leader(at) && !self.would_leave_a_sync(at) => {
                self.leave(at, version(0, 5))
            }
            70..=79 => self.commit(at, version(2, 9), detail),
            80..=83 => {
                let version = version(1, 9);
                let topics: &[(&str, &[i32])] = &[(&self.topic.name, &[0, 1])];
                let answer = self
                    .aside
                    .call(version, &fetch(version, &self.group, Some(topics)));
                let offsets: Vec<(i64, i16)> = match version {
                    8.. => answer.groups[0].topics[0]
                        .partitions
                        .iter()
                        .map(|it| (it.committed_offset, it.error_code))
                        .collect(),
                    _ => answer.topics[0]
                        .partitions
                        .iter()
                        .map(|it| (it.committed_offset, it.error_code))
                        .collect(),
                };
                format!("offsets v{version} -> {offsets:?}")
            }
            84..=91 => self.describe(version(0, 6)),
            92..=94 => {
                let version = version(0, 5);
                let answer = self.aside.call(version, &list(&[], &[]));
                let mine = answer
                    .groups
                    .iter()
                    .find(|it| *it.group_id.0 == *self.group);
                let mine = mine.map(|it| {
                    (
                        it.protocol_type.to_string(),
                        it.group_state.to_string(),
                        it.group_type.to_string(),
                    )
                });
                format!("list v{version} -> {} {mine:?}", answer.error_code)
            }
            95..=96 => {
                let version = version(0, 2);
                let answer = self.aside.call(version, &delete(&[&self.group]));
                format!("delete v{version} -> {}", answer.results[0].error_code)
            }
            _ => {
                let request = offset_delete(&self.group, &[(&self.topic.name, &[0, 3])]);
                let answer = self.aside.call(0, &request);
                let partitions = answer.topics.iter().flat_map(|it| &it.partitions);
                let mut codes: Vec<(i32, i16)> = partitions
                    .map(|it| (it.partition_index, it.error_code))
                    .collect();
                codes.sort_unstable();
                format!("offset-delete -> {} {codes:?}", answer.error_code)
            }
        };
        self.arrivals(step, &mut said);
        said
    }

    fn join(&mut self, at: usize, version: impl Fn(i16, i16) -> i16, detail: u64) -> String {
        let slot = &self.slots[at];
        let version = version(if slot.instance.is_some() { 5 } else { 0 }, 9);
        let metadata = [subscription(&[&self.topic.name]), subscription(&["other"])];
        let metadata = &metadata[usize::from(detail.is_multiple_of(4))];
        let both: &[(&str, &[u8])] = &[("range", metadata), ("rr", metadata)];
        let protocols = match detail / 4 % 8 {
            0 => &both[1..],
            1..=3 => &both[..1],
            _ => both,
        };
        let kind = if (detail / 32).is_multiple_of(20) {
            "connect"
        } else {
            "consumer"
        };
        let id = if (detail / 640).is_multiple_of(20) {
            "stranger"
        } else {
            &slot.id
        };
        let request = join(version, &self.group, id, kind, protocols)
            .with_group_instance_id(slot.instance.map(text));
        let names: Vec<&str> = protocols.iter().map(|it| it.0).collect();
        let said = format!(
            "join v{version} {} {} {kind} {names:?} {}",
            slot.name,
            self.named(id),
            self.shown(metadata),
        );
        let slot = &mut self.slots[at];
        slot.waiting = Some(Waiting::Join(version, slot.client.send(version, &request)));
        said
    }

    fn sync(&mut self, at: usize, version: i16, detail: u64) -> String {
        let slot = &self.slots[at];
        let version = if slot.instance.is_some() {
            version.max(3)
        } else {
            version
        };
        let generation = odd(slot.generation, detail);
        let shares: Vec<(String, Vec<u8>)> = match slot.id == self.leader {
            true => self
                .slots
                .iter()
                .filter(|it| !it.id.is_empty())
                .map(|it| (it.id.clone(), it.name.as_bytes().to_vec()))
                .collect(),
            false => Vec::new(),
        };
        let shares: Vec<(&str, &[u8])> =
            shares.iter().map(|(id, share)| (&**id, &**share)).collect();
        let mut request = sync(version, &self.group, &slot.id, generation, &shares)
            .with_group_instance_id(slot.instance.map(text));
        if version >= 5 && (detail / 64).is_multiple_of(4) {
            request.protocol_name = Some(text("rr"));
        }
        let protocol = request.protocol_name.as_ref().map(ToString::to_string);
        let said = format!(
            "sync v{version} {} g{generation} {protocol:?} {} shares",
            slot.name,
            shares.len()
        );
        let slot = &mut self.slots[at];
        slot.waiting = Some(Waiting::Sync(version, slot.client.send(version, &request)));
        said
    }

    /// Kafka takes any of those who are left.
    fn would_choose_any_leader(&self, at: usize) -> bool {
        let others = self
            .slots
            .iter()
            .enumerate()
            .filter(|(n, it)| *n != at && !it.id.is_empty());
        self.slots[at].id == self.leader && others.count() > 1
    }

    /// Kafka never answers the sync of a member that leaves; ours says 25 (deliberate).
    fn would_leave_a_sync(&self, at: usize) -> bool {
        matches!(self.slots[at].waiting, Some(Waiting::Sync(..)))
    }

    fn leave(&mut self, at: usize, version: i16) -> String {
        let slot = &mut self.slots[at];
        let instance = slot.instance.filter(|_| version >= 3);
        let answer = self.aside.call(
            version,
            &leave(version, &self.group, &[(&slot.id, instance)]),
        );
        let code = answer.members.first().map(|it| it.error_code);
        slot.id.clear();
        format!(
            "leave v{version} {} -> {} {code:?}",
            slot.name, answer.error_code
        )
    }

    fn commit(&mut self, at_slot: usize, version: i16, detail: u64) -> String {
        let slot = &self.slots[at_slot];
        let outsider = detail.is_multiple_of(5);
        let (id, generation) = match outsider {
            true => ("", -1),
            false => (&*slot.id, odd(slot.generation, detail / 5)),
        };
        let offset = (detail % 1000) as i64;
        let mut request = commit(version, &self.group, &self.topic.name, &[at(0, offset)])
            .with_member_id(text(id))
            .with_generation_id_or_member_epoch(generation);
        if version >= 7 && !outsider {
            request.group_instance_id = slot.instance.map(text);
        }
        let answer = self.aside.call(version, &request);
        let code = answer.topics[0].partitions[0].error_code;
        format!(
            "commit v{version} {} {} g{generation} {offset} -> {code}",
            slot.name,
            self.named(id)
        )
    }

    fn describe(&mut self, version: i16) -> String {
        let answer = self.aside.call(version, &describe(&[&self.group]));
        let it = &answer.groups[0];
        let mut members: Vec<String> = it
            .members
            .iter()
            .map(|it| {
                let share = String::from_utf8_lossy(&it.member_assignment).into_owned();
                let metadata = self.shown(&it.member_metadata);
                format!("{} {metadata} {share:?}", self.named(&it.member_id))
            })
            .collect();
        members.sort();
        format!(
            "describe v{version} -> {} {} {:?} {:?} {members:?}",
            it.error_code, it.group_state, &*it.protocol_type, &*it.protocol_data
        )
    }

    fn named(&self, id: &str) -> String {
        let known = self.ids.iter().find(|it| it.0 == id);
        match known {
            Some((_, name)) => name.clone(),
            // Of a join that is parked.
            None if id.contains('-') => "new".to_owned(),
            None => format!("{id:?}"),
        }
    }

    /// What a subscription is to.
    fn shown(&self, metadata: &[u8]) -> &'static str {
        let topics = [(&*self.topic.name, "topic"), ("other", "other")];
        let known = topics.iter().find(|it| *metadata == subscription(&[it.0]));
        known.map_or(
            if metadata.is_empty() {
                "none"
            } else {
                "garbled"
            },
            |it| it.1,
        )
    }

    fn learn(&mut self, at: usize, id: &str) {
        if !id.is_empty() && !self.ids.iter().any(|it| it.0 == id) && id != "stranger" {
            let slot = self.slots[at].name;
            let count = self.ids.iter().filter(|it| it.1.starts_with(slot)).count();
            self.ids
                .push((id.to_owned(), format!("{slot}{}", count + 1)));
        }
    }

    /// Adds the answers that a step has let come: those that are expected, or all that come soon.
    fn arrivals(&mut self, step: usize, said: &mut String) {
        let expected = self
            .expected
            .as_ref()
            .map(|lines| lines.get(step).cloned().unwrap_or_default());
        let mut come = Vec::new();
        loop {
            let mut any = false;
            for at in 0..self.slots.len() {
                let slot = &mut self.slots[at];
                if slot.waiting.is_none() || come.iter().any(|(n, _)| *n == at) {
                    continue;
                }
                let due = match &expected {
                    Some(line) => line.contains(&format!("; {}:", slot.name)),
                    None => slot.client.answers_within(self.soon),
                };
                if due {
                    come.push((at, self.arrived(at)));
                    any = true;
                }
            }
            if !any {
                break;
            }
        }
        // Kafka tells of some of it before it has written it.
        self.aside.answers_within(self.settling);
        // What they tell must not depend on who is asked first.
        for (at, answer) in &come {
            if let Arrived::Joined(answer) = answer {
                self.learn(*at, &answer.member_id);
            }
        }
        come.sort_by_key(|(at, _)| *at);
        for (at, answer) in come {
            let told = self.tell(at, answer);
            let _ = write!(said, "; {}: {told}", self.slots[at].name);
        }
    }

    fn arrived(&mut self, at: usize) -> Arrived {
        let slot = &mut self.slots[at];
        match slot.waiting.take().expect("somebody waits") {
            Waiting::Join(version, sent) => {
                Arrived::Joined(slot.client.receive::<JoinGroupRequest>(version, sent))
            }
            Waiting::Sync(version, sent) => {
                Arrived::Synced(slot.client.receive::<SyncGroupRequest>(version, sent))
            }
        }
    }

    fn tell(&mut self, at: usize, answer: Arrived) -> String {
        match answer {
            Arrived::Joined(answer) => {
                let slot = &mut self.slots[at];
                match answer.error_code {
                    0 => {
                        slot.id = answer.member_id.to_string();
                        slot.generation = answer.generation_id;
                        self.leader = answer.leader.to_string();
                    }
                    79 => slot.id = answer.member_id.to_string(),
                    25 | 82 if *answer.member_id == *slot.id => slot.id.clear(),
                    _ => {}
                }
                let mut members: Vec<String> = answer
                    .members
                    .iter()
                    .map(|it| format!("{} {}", self.named(&it.member_id), self.shown(&it.metadata)))
                    .collect();
                members.sort();
                format!(
                    "{} g{} {:?} leader {} {} {members:?}{}",
                    answer.error_code,
                    answer.generation_id,
                    answer.protocol_name.as_deref(),
                    self.named(&answer.leader),
                    self.named(&answer.member_id),
                    if answer.skip_assignment { " skip" } else { "" },
                )
            }
            Arrived::Synced(answer) => {
                let share = String::from_utf8_lossy(&answer.assignment).into_owned();
                format!(
                    "{} {:?} {share:?}",
                    answer.error_code,
                    answer.protocol_name.as_deref()
                )
            }
        }
    }
}

enum Arrived {
    Joined(JoinGroupResponse),
    Synced(SyncGroupResponse),
}

/// Mostly the right generation.
fn odd(generation: i32, detail: u64) -> i32 {
    match detail % 16 {
        0 => generation + 1,
        1 => generation - 1,
        2 => -1,
        _ => generation,
    }
}
