//! The classic rebalance protocol: members join, the leader shares out, everybody syncs. The state
//! of one group and what keeps it consistent; the transitions are in the files beside this one.
//!
//! ```text
//! Empty ──join──▶ PreparingRebalance ──all joined, or patience ends──▶ CompletingRebalance
//!   ▲                    │      ▲                                            │
//!   └──nobody is left────┘      └──join, leave, silence── Stable ◀──leader syncs
//! ```
//!
//! A group that does not exist is what Kafka calls Dead. (Kafka: ClassicGroup, ClassicGroupState,
//! GroupMetadataManager; R106–R113.)

mod checks;
mod join;
mod leave;
mod member;
mod rebalance;
mod sync;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
pub use member::Member;

use super::Turn;
use super::command::{Description, Listed, Protocol};
use super::memory;
use super::records::{GroupRecord, GroupValue};
use super::subscription;
use crate::types::Millis;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl State {
    /// As Kafka's answers spell it.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct ClassicGroup {
    pub id: Arc<str>,
    state: State,
    /// Wall time in ms; `None` where an old record does not say.
    state_since: Option<Millis>,
    /// `None` until somebody joins: a group of committed offsets alone has none.
    protocol_type: Option<String>,
    protocol_name: Option<String>,
    generation: i32,
    leader: Option<Arc<str>>,
    /// In a fixed order, so that the same story has the same outcome.
    members: BTreeMap<Arc<str>, Member>,
    /// Member ids by instance id.
    static_members: HashMap<Arc<str>, Arc<str>>,
    /// Ids handed out whose owners have not come back, and until when (steady) they may.
    pending_joins: BTreeMap<Arc<str>, Millis>,
    /// Members of this generation that have not asked for their share.
    pending_syncs: BTreeSet<Arc<str>>,
    /// Members with a parked JoinGroup.
    awaiting_joins: usize,
    /// What the members take in memory.
    member_bytes: usize,
    /// What the ids in `pending_joins` take in memory.
    pending_bytes: usize,
    /// How many members name a protocol.
    votes: HashMap<String, usize>,
    /// Of protocol type `consumer`, where every member's metadata could be read.
    subscribed: Option<BTreeSet<Arc<str>>>,
    /// What those take in memory.
    subscribed_bytes: usize,
    /// The first rebalance of a new group waits for more members.
    initial_delay: Option<InitialDelay>,
    /// Steady time at which the join phase ends without the missing.
    join_ends: Option<Millis>,
    /// Steady time at which members without a SyncGroup are removed.
    sync_ends: Option<Millis>,
    /// Nothing is due before this steady time.
    idle_until: Millis,
}

#[derive(Clone, Copy, Debug)]
struct InitialDelay {
    /// The part that is running.
    delay_ms: Millis,
    /// What may be added while members keep coming.
    remaining_ms: Millis,
    new_member_added: bool,
}

impl ClassicGroup {
    pub fn new(id: Arc<str>, state_since: Option<Millis>) -> ClassicGroup {
        ClassicGroup {
            id,
            state: State::Empty,
            state_since,
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            static_members: HashMap::new(),
            pending_joins: BTreeMap::new(),
            pending_syncs: BTreeSet::new(),
            awaiting_joins: 0,
            member_bytes: 0,
            pending_bytes: 0,
            votes: HashMap::new(),
            subscribed: None,
            subscribed_bytes: 0,
            initial_delay: None,
            join_ends: None,
            sync_ends: None,
            idle_until: Millis::MAX,
        }
    }

    /// The group as it was written; timers run once [`ClassicGroup::start_sessions`] is called.
    pub fn of_value(id: Arc<str>, value: GroupValue) -> ClassicGroup {
        let since = Some(value.state_since).filter(|since| *since >= 0);
        let mut group = ClassicGroup::new(id, since);
        group.protocol_type = Some(value.protocol_type).filter(|kind| !kind.is_empty());
        group.protocol_name = value.protocol_name;
        group.generation = value.generation;
        group.leader = value.leader;
        for member in value.members {
            group.state = State::Stable;
            if group.members.contains_key(&member.id) {
                // Nobody writes it; whoever comes first counts.
                continue;
            }
            group.put(Member::of_value(member, group.protocol_name.as_deref()));
        }
        group.note_subscriptions();
        group
    }

    /// The record of what has just been decided about this group has been written: a generation's
    /// assignments are in force. A record of another generation makes the group anew; one that says
    /// that there is nobody in a generation which has been decided says nothing new.
    pub fn apply(&mut self, value: GroupValue) {
        let is_past = value.generation < self.generation;
        if is_past || (value.generation == self.generation && value.members.is_empty()) {
            return;
        }
        let is_this = self.generation == value.generation
            && self.members.len() == value.members.len()
            && value
                .members
                .iter()
                .all(|m| self.members.contains_key(&m.id));
        if !is_this {
            *self = ClassicGroup::of_value(self.id.clone(), value);
            return;
        }
        for written in value.members {
            if let Some(member) = self.members.get_mut(&written.id) {
                self.member_bytes += written.assignment.len();
                self.member_bytes -= member.assignment.len();
                member.assignment = written.assignment;
            }
        }
    }

    /// What is stored of the group, with these assignments.
    fn record(&self, mut assignment: impl FnMut(&Member) -> Bytes) -> GroupRecord {
        let protocol = self.protocol_name.as_deref();
        let members = self.members.values();
        let value = GroupValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone(),
            state_since: self.state_since.unwrap_or(-1),
            members: members
                .map(|member| member.to_value(protocol, assignment(member)))
                .collect(),
        };
        GroupRecord::Group {
            group: self.id.clone(),
            value: Some(value),
        }
    }

    /// What makes a new group known, whoever is about to join it: it is stored before its first
    /// generation (Kafka: newEmptyGroupMetadataRecord).
    pub fn creation_record(&self) -> GroupRecord {
        ClassicGroup::new(self.id.clone(), self.state_since).record(|_| Bytes::new())
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// What the group takes in memory, about; of members those that are in a generation at rest and
    /// those that join count alike.
    pub fn bytes(&self) -> usize {
        let kind = self.protocol_type.as_ref().map_or(0, String::len);
        self.id.len() + kind + self.member_bytes + self.pending_bytes + self.subscribed_bytes
    }

    pub fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Whether ids have been handed out whose owners may still come back.
    pub fn has_pending_joins(&self) -> bool {
        !self.pending_joins.is_empty()
    }

    fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    fn turn_to(&mut self, state: State, turn: &Turn) {
        self.state = state;
        self.state_since = Some(turn.now.wall);
    }

    /// Whether the group has committed offsets and nothing else.
    pub fn is_simple(&self) -> bool {
        self.protocol_type.is_none() && self.is_empty() && self.pending_joins.is_empty()
    }

    /// Since when offsets without an expiry of their own are out of use; `None` while they are in
    /// use (R103; Kafka: ClassicGroup.offsetExpirationCondition).
    pub fn offsets_idle_since(&self, committed_at: Millis) -> Option<Millis> {
        match (&self.protocol_type, self.state) {
            (None, _) => Some(committed_at),
            (Some(_), State::Empty) => Some(self.state_since.unwrap_or(committed_at)),
            (Some(kind), State::Stable)
                if kind == subscription::CONSUMER && self.subscribed.is_some() =>
            {
                Some(committed_at)
            }
            (Some(_), _) => None,
        }
    }

    /// Unreadable subscriptions of consumers count as all topics (R115).
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(subscription::CONSUMER)
    }

    fn note_subscriptions(&mut self) {
        self.subscribed = self.read_subscriptions();
        let topics = self.subscribed.iter().flatten();
        self.subscribed_bytes = topics.map(|topic| memory::TOPIC + topic.len()).sum();
    }

    fn read_subscriptions(&self) -> Option<BTreeSet<Arc<str>>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = Some(self.protocol_name.as_deref()?);
        let mut all = BTreeSet::new();
        for member in self.members.values() {
            all.extend(subscription::topics(&member.metadata(protocol))?);
        }
        Some(all)
    }

    pub fn describe(&self) -> Description {
        let protocol = match self.state {
            State::Stable => self.protocol_name.as_deref(),
            _ => None,
        };
        let members = self.members.values();
        Description {
            state: self.state.name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol_name: protocol.unwrap_or_default().to_owned(),
            members: members.map(|member| member.described(protocol)).collect(),
        }
    }

    pub fn list(&self) -> Listed {
        Listed {
            group: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            state: self.state.name(),
        }
    }
}

/// The members and what is counted about them.
impl ClassicGroup {
    fn put(&mut self, member: Member) {
        if let Some(instance) = &member.instance_id {
            self.static_members
                .insert(instance.clone(), member.id.clone());
        }
        self.count_votes(&member.protocols, 1);
        self.member_bytes += member.bytes();
        self.awaiting_joins += usize::from(member.awaiting_join.is_some());
        self.unname(&member.id);
        self.leader.get_or_insert_with(|| member.id.clone());
        let replaced = self.members.insert(member.id.clone(), member);
        assert!(replaced.is_none(), "a member came twice: {replaced:?}");
    }

    /// An id is given whose owner has to come back with it.
    fn name(&mut self, id: Arc<str>, until: Millis) {
        self.pending_bytes += memory::PENDING + id.len();
        let before = self.pending_joins.insert(id, until);
        assert!(before.is_none(), "an id was given twice");
        self.due_at(until);
    }

    /// Whether the id had been given and not used.
    fn unname(&mut self, id: &str) -> bool {
        let was_named = self.pending_joins.remove(id).is_some();
        if was_named {
            self.pending_bytes -= memory::PENDING + id.len();
        }
        was_named
    }

    /// Takes the member out, whatever it waits for. Another becomes leader if need be.
    fn take(&mut self, id: &str) -> Option<Member> {
        self.unname(id);
        self.pending_syncs.remove(id);
        let member = self.members.remove(id)?;
        self.count_votes(&member.protocols, -1);
        self.member_bytes -= member.bytes();
        self.awaiting_joins -= usize::from(member.awaiting_join.is_some());
        if let Some(instance) = &member.instance_id {
            self.static_members.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    fn count_votes(&mut self, protocols: &[Protocol], change: isize) {
        for protocol in protocols {
            let count = self.votes.entry(protocol.name.clone()).or_insert(0);
            *count = count.saturating_add_signed(change);
            if *count == 0 {
                self.votes.remove(&protocol.name);
            }
        }
    }

    /// All may be nobody: the last member has left, and somebody who was named is waited for.
    fn is_supported_by_all(&self, protocol: &str) -> bool {
        self.votes.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// Whether a member of this kind fits to those that are there (R106).
    fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let mut named = protocols.iter();
        self.protocol_type.as_deref() == Some(protocol_type)
            && named.any(|protocol| self.is_supported_by_all(&protocol.name))
    }

    /// Each member votes for the first of its protocols that all support. Among equals the one that
    /// comes first in the leader's list wins.
    fn select_protocol(&self) -> Option<String> {
        let choice = |member: &Member| {
            let mut named = member.protocols.iter().map(|p| p.name.clone());
            named.find(|name| self.is_supported_by_all(name))
        };
        let mut votes: HashMap<String, usize> = HashMap::new();
        for name in self.members.values().filter_map(choice) {
            *votes.entry(name).or_default() += 1;
        }
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        let rank = |name: &String| {
            let list = leader.map(|leader| &leader.protocols)?;
            list.iter().position(|protocol| protocol.name == *name)
        };
        let most = votes
            .iter()
            .max_by_key(|(name, count)| (**count, std::cmp::Reverse(rank(name))));
        most.map(|(name, _)| name.clone())
    }

    fn rebalance_timeout_ms(&self) -> Millis {
        let longest = self.members.values().map(|m| m.rebalance_timeout_ms).max();
        Millis::from(longest.unwrap_or(0).max(0))
    }

    fn have_all_joined(&self) -> bool {
        self.members.len() == self.awaiting_joins && self.pending_joins.is_empty()
    }
}

/// The timers.
impl ClassicGroup {
    /// Nothing is due before this steady time; it may be early, never late.
    pub fn idle_until(&self) -> Millis {
        self.idle_until
    }

    fn due_at(&mut self, deadline: Millis) {
        self.idle_until = self.idle_until.min(deadline);
    }

    /// After everything that was due has been done.
    fn find_next_deadline(&mut self) {
        let sessions = self.members.values().map(|member| member.session_ends);
        let pending = self.pending_joins.values().copied();
        let phases = self.join_ends.into_iter().chain(self.sync_ends);
        let all = sessions.chain(pending).chain(phases);
        self.idle_until = all.min().unwrap_or(Millis::MAX);
    }

    /// The member's session begins anew.
    fn renew(&mut self, member: &str, turn: &Turn) {
        if let Some(member) = self.members.get_mut(member) {
            member.session_ends = turn.now.steady + Millis::from(member.session_timeout_ms);
            let ends = member.session_ends;
            self.due_at(ends);
        }
    }

    /// After a replay sessions run in full (replication.md G1).
    pub fn start_sessions(&mut self, turn: &Turn) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        ids.iter().for_each(|id| self.renew(id, turn));
    }
}
