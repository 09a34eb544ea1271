//! A member of a tortured group. It joins, leads or follows, reads its share, commits what it has
//! read and waits for the answer, and now and then leaves, dies without a word, stalls beyond its
//! session, or wants to join again. It lives on when the broker is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use kafka_protocol::messages::{
    JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use ottla::protocol::batch::BatchHeader;

use super::PARTITIONS;
use super::calls::{self, COMMIT, HEARTBEAT, Identity, JOIN, LEAVE, OFFSETS, SYNC, TOPIC};
use super::stage::{Phase, Stage};
use crate::client::Connection;
use crate::random::Random;

const SESSION_MS: i32 = 400;
const REBALANCE_MS: i32 = 600;
/// Longer than a session.
const STALL_MS: u64 = 600;
const PAUSE: Duration = Duration::from_millis(5);
/// A member that waits for the end of its broker in a phase.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

/// What codes mean to a member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Fine,
    /// Join again as the one you are: 22, 27.
    Rejoin,
    /// Nobody knows you: 25, 82.
    Begin,
    /// Ask again later; a write may have come to pass: 14, 15, 16.
    Wait,
    Violation,
}

fn told(code: i16) -> Told {
    match code {
        0 => Told::Fine,
        22 | 27 => Told::Rejoin,
        25 | 82 => Told::Begin,
        14..=16 => Told::Wait,
        _ => Told::Violation,
    }
}

pub struct Member<'a> {
    stage: &'a Stage,
    /// A static member has an instance id.
    instance: Option<String>,
    random: Random,
    id: String,
    generation: i32,
    /// Where it reads on, by partition; None outside of a generation.
    positions: Option<BTreeMap<i32, i64>>,
    /// What it has read and tried to commit, as long as there is no answer: partition, first record,
    /// the one behind the last.
    unanswered: Vec<(i32, i64, i64)>,
}

impl<'a> Member<'a> {
    pub fn new(stage: &'a Stage, instance: Option<String>, seed: u64) -> Member<'a> {
        Member {
            stage,
            instance,
            random: Random::new(seed),
            id: String::new(),
            generation: -1,
            positions: None,
            unanswered: Vec::new(),
        }
    }

    /// Until the stage is over.
    pub fn live(mut self) {
        while !self.stage.is_over() {
            let served = Connection::open(&self.stage.bootstrap)
                .and_then(|mut connection| self.serve(&mut connection));
            if let Err(error) = served {
                super::forgive(&error, self.stage);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Until the stage is over, the member gives its connection up, or the connection breaks, which
    /// is an error.
    fn serve(&mut self, connection: &mut Connection) -> Result<()> {
        while !self.stage.is_over() {
            if self.positions.is_none() && !self.enter(connection)? {
                std::thread::sleep(PAUSE);
                continue;
            }
            self.work(connection)?;
            if self.stage.is_calm() {
                continue;
            }
            match self.random.below(1_500) {
                0..=4 => self.leave(connection)?,
                // Without a word, and as somebody else afterwards.
                5..=6 => {
                    self.forget();
                    return Ok(());
                }
                7..=8 => std::thread::sleep(Duration::from_millis(STALL_MS)),
                9..=13 => self.positions = None,
                _ => {}
            }
        }
        Ok(())
    }

    fn identity(&self) -> Identity<'_> {
        Identity {
            id: &self.id,
            instance: self.instance.as_deref(),
            generation: self.generation,
        }
    }

    /// As the ledger knows it.
    fn owner(&self) -> String {
        self.instance.clone().unwrap_or_else(|| self.id.clone())
    }

    fn forget(&mut self) {
        self.id.clear();
        self.positions = None;
    }

    /// Does what a code says; true for 0.
    fn heed(&mut self, call: &str, code: i16) -> bool {
        match told(code) {
            Told::Fine => return true,
            Told::Rejoin => self.positions = None,
            Told::Begin => self.forget(),
            Told::Wait => std::thread::sleep(PAUSE),
            Told::Violation => {
                let sentence = format!("{call} was answered {code}");
                self.stage.ledger().findings.say(sentence);
                self.forget();
            }
        }
        false
    }

    /// Joins, syncs and learns where to read; false if that has to be tried again.
    fn enter(&mut self, connection: &mut Connection) -> Result<bool> {
        let Some(joined) = self.join(connection)? else {
            return Ok(false);
        };
        self.generation = joined.generation_id;
        let Some(share) = self.sync(connection, &joined)? else {
            return Ok(false);
        };
        let owner = self.owner();
        self.stage
            .ledger()
            .assigned(self.generation, &owner, &share);
        if self.stage.at(Phase::Assigned) {
            self.stage.await_kill(KILLED_WITHIN);
        }
        self.unanswered.clear();
        self.positions = self.committed(connection, &share)?;
        Ok(self.positions.is_some())
    }

    fn join(&mut self, connection: &mut Connection) -> Result<Option<JoinGroupResponse>> {
        // What a leader says does not matter, a follower that has something new to say begins a
        // generation.
        let word = match self.stage.is_calm() {
            true => 0,
            false => self.random.below(2),
        };
        let request = calls::join(&self.identity(), SESSION_MS, REBALANCE_MS, word);
        connection.send(&request, JOIN)?;
        if !self.id.is_empty() {
            self.stage.at(Phase::Joining);
        }
        let answer = connection.receive::<JoinGroupRequest>(JOIN)?;
        if answer.error_code == 79 {
            self.id = answer.member_id.to_string();
            if self.stage.at(Phase::Named) {
                self.stage.await_kill(KILLED_WITHIN);
            }
            return self.join(connection);
        }
        if !self.heed("JoinGroup", answer.error_code) {
            return Ok(None);
        }
        self.id = answer.member_id.to_string();
        Ok(Some(answer))
    }

    /// The partitions it is given.
    fn sync(
        &mut self,
        connection: &mut Connection,
        joined: &JoinGroupResponse,
    ) -> Result<Option<Vec<i32>>> {
        let leads = joined.leader == joined.member_id && !joined.skip_assignment;
        let shares = match leads {
            true => self.shares(joined),
            false => Vec::new(),
        };
        if leads && self.stage.at(Phase::Leading) {
            self.stage.await_kill(KILLED_WITHIN);
        }
        connection.send(&calls::sync(&self.identity(), &shares), SYNC)?;
        self.stage.at(match leads {
            true => Phase::Assigning,
            false => Phase::Following,
        });
        let answer = connection.receive::<SyncGroupRequest>(SYNC)?;
        if !self.heed("SyncGroup", answer.error_code) {
            return Ok(None);
        }
        let share = answer.assignment.iter().map(|it| i32::from(*it));
        Ok(Some(share.collect()))
    }

    /// Every partition to somebody, to another one each time.
    fn shares(&mut self, joined: &JoinGroupResponse) -> Vec<(StrBytes, Vec<u8>)> {
        let members = joined.members.iter();
        let mut shares: Vec<(StrBytes, Vec<u8>)> = members
            .map(|it| (it.member_id.clone(), Vec::new()))
            .collect();
        let first = self.random.next() as usize;
        for partition in 0..PARTITIONS {
            let at = first.wrapping_add(partition) % shares.len();
            shares[at].1.push(partition as u8);
        }
        shares
    }

    fn committed(
        &mut self,
        connection: &mut Connection,
        share: &[i32],
    ) -> Result<Option<BTreeMap<i32, i64>>> {
        let floors: Vec<i64> = {
            let ledger = self.stage.ledger();
            share.iter().map(|it| ledger.floor(*it)).collect()
        };
        let answer = connection.call(&calls::offsets(share), OFFSETS)?;
        let offsets = match calls::committed(&answer)? {
            Ok(offsets) => offsets,
            Err(code) => {
                self.heed("OffsetFetch", code);
                return Ok(None);
            }
        };
        let offsets: BTreeMap<i32, i64> = offsets.into_iter().collect();
        let mut ledger = self.stage.ledger();
        for (partition, floor) in share.iter().zip(floors) {
            let offset = offsets.get(partition).context("a partition is missing")?;
            ledger.committed(*partition, floor, *offset);
        }
        Ok(Some(offsets))
    }

    /// One look at each of its partitions, one commit, one heartbeat.
    fn work(&mut self, connection: &mut Connection) -> Result<()> {
        // Where the broker was killed with a commit, that may or may not have come to pass.
        if self.unanswered.is_empty() {
            self.read(connection)?;
        }
        if !self.unanswered.is_empty() {
            self.commit(connection)?;
            self.unanswered.clear();
        }
        if self.positions.is_some() {
            let request = calls::heartbeat(&self.identity());
            let code = connection.call(&request, HEARTBEAT)?.error_code;
            self.heed("Heartbeat", code);
        }
        Ok(())
    }

    /// What it reads has to be committed, also if the connection breaks before it has read everything:
    /// it goes on at its positions.
    fn read(&mut self, connection: &mut Connection) -> Result<()> {
        for (&partition, position) in self.positions.iter_mut().flatten() {
            let Ok(mut records) = connection.fetch(TOPIC, partition, *position, 1)? else {
                continue;
            };
            let from = *position;
            while let Some(header) = BatchHeader::read(&records) {
                if records.len() < header.total_size() {
                    break;
                }
                let _ = records.split_to(header.total_size());
                *position = header.next_offset();
            }
            if *position > from {
                self.stage.ledger().read(partition, from, *position);
                self.unanswered.push((partition, from, *position));
            }
        }
        Ok(())
    }

    fn commit(&mut self, connection: &mut Connection) -> Result<()> {
        let moved = self.unanswered.clone();
        {
            let mut ledger = self.stage.ledger();
            moved.iter().for_each(|&(it, _, to)| ledger.tries(it, to));
            ledger.in_doubt += 1;
        }
        let offsets: Vec<(i32, i64)> = moved.iter().map(|&(it, _, to)| (it, to)).collect();
        connection.send(&calls::commit(&self.identity(), &offsets), COMMIT)?;
        self.stage.at(Phase::Committing);
        let answer = connection.receive::<OffsetCommitRequest>(COMMIT)?;
        let topic = answer.topics.first().context("no topic in the answer")?;
        let mut code = 0;
        for it in &topic.partitions {
            let known = moved.iter().find(|moved| moved.0 == it.partition_index);
            let (partition, from, to) = known.context("a partition nobody asked for")?;
            match it.error_code {
                0 => self.stage.ledger().acknowledged(*partition, *from, *to),
                refused => code = refused,
            }
        }
        // It was answered after all.
        self.stage.ledger().in_doubt -= u64::from(told(code) != Told::Wait);
        self.heed("OffsetCommit", code);
        // Whether it came to pass is found out by asking.
        if told(code) == Told::Wait {
            self.positions = None;
        }
        Ok(())
    }

    fn leave(&mut self, connection: &mut Connection) -> Result<()> {
        connection.send(&calls::leave(&self.identity()), LEAVE)?;
        self.stage.at(Phase::Leaving);
        let answer = connection.receive::<kafka_protocol::messages::LeaveGroupRequest>(LEAVE)?;
        let member = answer.members.first();
        let code = member.map_or(answer.error_code, |it| it.error_code);
        if self.heed("LeaveGroup", code) {
            self.forget();
        }
        Ok(())
    }
}
