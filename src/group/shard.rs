//! All groups of one partition of `__consumer_offsets`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::classic::ClassicGroup;
use super::command::{
    Command, Commit, CommittedTopic, DeleteOffsets, DeletedTopic, FetchOffsets, FetchedTopic,
    Heartbeat, Join, Joined, Leave, Left, Reply, Sync,
};
use super::memory::{self, GroupMemory};
use super::offsets::{self, Offsets};
use super::records::{Committed, GroupRecord};
use super::turn::batch_size;
use super::{Settings, Turn};
use crate::coordinator::machine::{Machine, Now, Outcome, Ticket};
use crate::error::ResponseError;
use crate::types::Millis;

/// See the module.
pub struct GroupShard {
    settings: Settings,
    memory: GroupMemory,
    /// What its groups take of that.
    bytes: usize,
    groups: HashMap<Arc<str>, Group>,
    /// When something may be due in a group, by steady time.
    deadlines: BTreeSet<(Millis, Arc<str>)>,
    /// Steady time of the next look at old offsets.
    next_cleanup: Millis,
}

struct Group {
    classic: ClassicGroup,
    offsets: Offsets,
    /// Its place in `deadlines`.
    deadline: Millis,
    /// Its part of the shard's bytes.
    bytes: usize,
}

impl Group {
    fn new(classic: ClassicGroup) -> Group {
        Group {
            classic,
            offsets: Offsets::default(),
            deadline: Millis::MAX,
            bytes: 0,
        }
    }
}

impl GroupShard {
    pub fn new(settings: Settings, memory: GroupMemory) -> GroupShard {
        GroupShard {
            settings,
            memory,
            bytes: 0,
            groups: HashMap::new(),
            deadlines: BTreeSet::new(),
            next_cleanup: Millis::MAX,
        }
    }
}

impl Drop for GroupShard {
    fn drop(&mut self) {
        self.memory.changed(self.bytes, 0);
    }
}

impl Machine for GroupShard {
    type Command = Command;
    type Record = GroupRecord;
    type Reply = Reply;

    fn may_write(command: &Command) -> bool {
        match command {
            Command::Join(_)
            | Command::Sync(_)
            | Command::Leave(_)
            | Command::Commit(_)
            | Command::DeleteOffsets(_)
            | Command::DeleteGroup(_)
            | Command::TopicsDeleted(_) => true,
            Command::Heartbeat(_) | Command::Fetch(_) | Command::Describe(_) | Command::List => {
                false
            }
        }
    }

    fn set_max_batch_bytes(&mut self, bytes: usize) {
        self.settings.max_batch_bytes = bytes;
    }

    fn decide(&mut self, command: Command, ticket: Ticket, now: Now) -> Outcome<Self> {
        let settings = self.settings;
        let mut turn = Turn::new(now, &settings);
        let reply = match command {
            Command::Join(join) => {
                self.join(join, ticket, &mut turn);
                None
            }
            Command::Sync(sync) => {
                self.sync(sync, ticket, &mut turn);
                None
            }
            Command::Heartbeat(beat) => Some(Reply::Heartbeat(self.heartbeat(&beat, &turn))),
            Command::Leave(leave) => Some(Reply::Leave(self.leave(leave, &mut turn))),
            Command::Commit(commit) => Some(Reply::Commit(self.commit(commit, &mut turn))),
            Command::Fetch(fetch) => Some(Reply::Fetch(self.fetch(fetch))),
            Command::DeleteOffsets(delete) => {
                Some(Reply::DeleteOffsets(self.delete_offsets(delete, &mut turn)))
            }
            Command::DeleteGroup(id) => Some(Reply::DeleteGroup(self.delete_group(&id, &mut turn))),
            Command::Describe(id) => {
                let group = self.groups.get(&id);
                Some(Reply::Describe(group.map(|g| g.classic.describe())))
            }
            Command::List => {
                let groups = self.groups.values();
                Some(Reply::List(groups.map(|g| g.classic.list()).collect()))
            }
            Command::TopicsDeleted(topics) => {
                self.topics_deleted(&topics, &mut turn);
                Some(Reply::TopicsDeleted)
            }
        };
        if let Some(reply) = reply {
            turn.reply(ticket, reply);
        }
        turn.outcome
    }

    fn apply(&mut self, record: GroupRecord) {
        match record {
            GroupRecord::Offset {
                group,
                topic,
                partition,
                committed: Some(committed),
            } => self.put_offset(group, topic, partition, committed),
            GroupRecord::Offset {
                group,
                topic,
                partition,
                committed: None,
            } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.offsets.remove(&topic, partition);
                }
                self.count(&group);
            }
            GroupRecord::Group {
                group: id,
                value: Some(value),
            } => {
                match self.groups.get_mut(&id) {
                    Some(group) => group.classic.apply(value),
                    None => {
                        let group = Group::new(ClassicGroup::of_value(id.clone(), value));
                        self.groups.insert(id.clone(), group);
                    }
                }
                self.count(&id);
            }
            GroupRecord::Group { group, value: None } => self.forget(&group),
        }
    }

    fn loaded(&mut self, now: Now) -> Outcome<Self> {
        let settings = self.settings;
        let mut turn = Turn::new(now, &settings);
        self.next_cleanup = now
            .steady
            .saturating_add(settings.offsets_retention_check_interval_ms);
        let ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            if let Some(group) = self.groups.get_mut(&id) {
                group.classic.start_sessions(&turn);
                group.classic.shrink_to_fit(&mut turn);
            }
            self.settle(&id);
        }
        turn.outcome
    }

    fn next_deadline(&self) -> Option<Millis> {
        let group = self.deadlines.first().map(|(at, _)| *at);
        let next = group.unwrap_or(Millis::MAX).min(self.next_cleanup);
        (next != Millis::MAX).then_some(next)
    }

    fn expire(&mut self, now: Now) -> Outcome<Self> {
        let settings = self.settings;
        let mut turn = Turn::new(now, &settings);
        while let Some((at, id)) = self.deadlines.first().cloned()
            && at <= now.steady
        {
            self.deadlines.pop_first();
            if let Some(group) = self.groups.get_mut(&id) {
                group.deadline = Millis::MAX;
                group.classic.expire(&mut turn);
            }
            self.settle(&id);
        }
        if now.steady >= self.next_cleanup {
            self.next_cleanup = now
                .steady
                .saturating_add(settings.offsets_retention_check_interval_ms);
            self.remove_expired(&mut turn);
        }
        turn.outcome
    }
}

/// Membership.
impl GroupShard {
    fn join(&mut self, join: Join, ticket: Ticket, turn: &mut Turn) {
        let id = join.group.clone();
        let is_new = !self.groups.contains_key(&id);
        if is_new && !join.member_id.is_empty() {
            let refusal = Joined::refused(ResponseError::UnknownMemberId, join.member_id);
            return turn.reply(ticket, Reply::Join(refusal));
        }
        let known = self.groups.get(&id);
        let returns = known.is_some_and(|known| known.classic.knows(&join));
        if !returns && self.memory.is_exhausted() {
            let error = ResponseError::CoordinatorNotAvailable;
            return turn.reply(ticket, Reply::Join(Joined::refused(error, "")));
        }
        let group = self.groups.entry(id.clone());
        let group =
            group.or_insert_with(|| Group::new(ClassicGroup::new(id.clone(), Some(turn.now.wall))));
        group.classic.join(join, ticket, turn);
        if is_new && turn.outcome.records.is_empty() {
            // So that the group is known after a restart too, as in Kafka.
            let record = group.classic.creation_record();
            turn.write(record);
        }
        self.settle(&id);
    }

    fn sync(&mut self, sync: Sync, ticket: Ticket, turn: &mut Turn) {
        let id = sync.group.clone();
        match self.groups.get_mut(&id).filter(|g| !g.classic.is_empty()) {
            Some(group) => group.classic.sync(sync, ticket, turn),
            None => turn.reply(ticket, Reply::Sync(Err(ResponseError::UnknownMemberId))),
        }
        self.settle(&id);
    }

    fn heartbeat(&mut self, beat: &Heartbeat, turn: &Turn) -> Result<(), ResponseError> {
        match self.groups.get_mut(&beat.group) {
            // It only pushes deadlines away: nothing to note.
            Some(group) => group.classic.heartbeat(beat, turn),
            None => Err(ResponseError::UnknownMemberId),
        }
    }

    fn leave(&mut self, leave: Leave, turn: &mut Turn) -> Vec<Left> {
        let left = match self.groups.get_mut(&leave.group) {
            Some(group) => group.classic.leave(leave.members, turn),
            None => {
                let unknown = leave.members.into_iter().map(|leaver| Left {
                    member_id: leaver.member_id,
                    instance_id: leaver.instance_id,
                    error: Some(ResponseError::UnknownMemberId),
                });
                unknown.collect()
            }
        };
        self.settle(&leave.group);
        left
    }

    fn delete_group(&mut self, id: &Arc<str>, turn: &mut Turn) -> Result<(), ResponseError> {
        let group = self.groups.get(id).ok_or(ResponseError::GroupIdNotFound)?;
        if !group.classic.is_empty() {
            return Err(ResponseError::NonEmptyGroup);
        }
        let offsets = group.offsets.tombstones(id, |_, _| true);
        turn.outcome.records.extend(offsets);
        turn.write(GroupRecord::Group {
            group: id.clone(),
            value: None,
        });
        Ok(())
    }

    /// The group's tombstone was written. Offsets have their own, which came before.
    fn forget(&mut self, id: &Arc<str>) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        self.deadlines.remove(&(group.deadline, id.clone()));
        if group.offsets.is_empty() {
            self.memory.changed(group.bytes, 0);
            self.bytes -= group.bytes;
            self.groups.remove(id);
        } else {
            group.deadline = Millis::MAX;
            group.classic = ClassicGroup::new(id.clone(), None);
            self.count(id);
        }
    }

    /// What the group takes in memory has changed.
    fn count(&mut self, id: &Arc<str>) {
        if let Some(group) = self.groups.get_mut(id) {
            let now = memory::GROUP + group.classic.bytes() + group.offsets.bytes();
            let before = std::mem::replace(&mut group.bytes, now);
            self.memory.changed(before, now);
            self.bytes += now;
            self.bytes -= before;
        }
    }

    /// After every change: moves the group to where its next deadline stands, if that has come
    /// nearer, and counts it.
    fn settle(&mut self, id: &Arc<str>) {
        self.count(id);
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        let next = group.classic.idle_until();
        if next < group.deadline {
            self.deadlines.remove(&(group.deadline, id.clone()));
            group.deadline = next;
            self.deadlines.insert((next, id.clone()));
        }
    }
}

/// Offsets.
impl GroupShard {
    fn put_offset(
        &mut self,
        group: Arc<str>,
        topic: Arc<str>,
        partition: i32,
        committed: Committed,
    ) {
        let known = self.groups.entry(group.clone()).or_insert_with_key(|id| {
            Group::new(ClassicGroup::new(id.clone(), Some(committed.committed_at)))
        });
        known.offsets.put(topic, partition, committed);
        self.count(&group);
    }

    fn commit(
        &mut self,
        commit: Commit,
        turn: &mut Turn,
    ) -> Result<Vec<CommittedTopic>, ResponseError> {
        match self.groups.get_mut(&commit.group) {
            Some(group) => group.classic.check_commit(&commit, turn)?,
            None if commit.generation < 0 && self.memory.is_exhausted() => {
                return Err(ResponseError::CoordinatorNotAvailable);
            }
            None if commit.generation < 0 => {}
            None if commit.knows_group_id_not_found => return Err(ResponseError::GroupIdNotFound),
            None => return Err(ResponseError::IllegalGeneration),
        }
        let now = turn.now.wall;
        let (records, answers) = offsets::commit(
            &commit.group,
            commit.topics,
            turn.settings.offset_metadata_max_bytes,
            now,
            commit.retention_ms.map(|ms| now.saturating_add(ms)),
        );
        if batch_size(&records) > turn.settings.max_batch_bytes {
            // Kafka: CoordinatorOperationExceptionHelper, of the append's MESSAGE_TOO_LARGE.
            return Err(ResponseError::UnknownServerError);
        }
        turn.outcome.records = records;
        Ok(answers)
    }

    /// R100: what is not known is not committed, and no error.
    fn fetch(&self, fetch: FetchOffsets) -> Vec<FetchedTopic> {
        let none = Offsets::default();
        let group = self.groups.get(&fetch.group);
        let offsets = group.map_or(&none, |group| &group.offsets);
        match fetch.topics {
            Some(asked) => offsets.of(asked),
            None => offsets.all(),
        }
    }

    fn delete_offsets(
        &mut self,
        delete: DeleteOffsets,
        turn: &mut Turn,
    ) -> Result<Vec<DeletedTopic>, ResponseError> {
        let id = delete.group;
        let group = self.groups.get(&id).ok_or(ResponseError::GroupIdNotFound)?;
        group.classic.check_offset_delete()?;
        let answers = delete.topics.into_iter().map(|(topic, partitions)| {
            let subscribed = group.classic.is_subscribed_to(&topic);
            let error = subscribed.then_some(ResponseError::GroupSubscribedToTopic);
            for partition in &partitions {
                if error.is_none() && group.offsets.contains(&topic, *partition) {
                    turn.write(offsets::tombstone(&id, &topic, *partition));
                }
            }
            let partitions = partitions.into_iter().map(|p| (p, error)).collect();
            DeletedTopic { topic, partitions }
        });
        Ok(answers.collect())
    }

    fn topics_deleted(&mut self, topics: &[Arc<str>], turn: &mut Turn) {
        for (id, group) in &self.groups {
            for topic in topics {
                let gone = group.offsets.tombstones_of(id, topic);
                turn.outcome.records.extend(gone);
            }
        }
    }

    /// R103: offsets that nobody has used for long go, and with the last of them the group.
    fn remove_expired(&mut self, turn: &mut Turn) {
        let (now, retention_ms) = (turn.now.wall, turn.settings.offsets_retention_ms);
        for (id, group) in &self.groups {
            let classic = &group.classic;
            let is_gone = |topic: &str, committed: &Committed| {
                if classic.is_subscribed_to(topic) {
                    return false;
                }
                match classic.offsets_idle_since(committed.committed_at) {
                    // An expiry of its own counts whether or not it is in use, once it may expire.
                    Some(idle_since) => match committed.expires_at {
                        Some(expires_at) => now >= expires_at,
                        None => now.saturating_sub(idle_since) >= retention_ms,
                    },
                    None => false,
                }
            };
            let before = turn.outcome.records.len();
            let gone = group.offsets.tombstones(id, is_gone);
            turn.outcome.records.extend(gone);
            let all_gone = turn.outcome.records.len() - before == group.offsets.len();
            if all_gone && classic.is_empty() && !classic.has_pending_joins() {
                turn.write(GroupRecord::Group {
                    group: id.clone(),
                    value: None,
                });
            }
        }
    }
}
