//! From one generation to the next: who is waited for, for how long, and what happens when
//! patience ends (Kafka: GroupMetadataManager.prepareRebalance, completeClassicGroupJoin).

use std::sync::Arc;

use bytes::Bytes;

use super::{ClassicGroup, InitialDelay, State};
use crate::error::ResponseError;
use crate::faults::is_planted;
use crate::group::Turn;
use crate::group::command::{Joined, Reply};
use crate::types::Millis;

/// Between two looks for static members that have not come back, whatever they ask for.
const SHORTEST_WAIT_MS: Millis = 100;

/// What was due; judged again when its turn comes, since what came before may have changed it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Session(Arc<str>),
    PendingJoin(Arc<str>),
    JoinPhase,
    SyncPhase,
}

impl ClassicGroup {
    pub(super) fn prepare_rebalance_or_complete_join(&mut self, reason: &str, turn: &mut Turn) {
        match self.state {
            State::PreparingRebalance => self.maybe_complete_join(turn),
            _ => self.prepare_rebalance(reason, turn),
        }
    }

    pub(super) fn prepare_rebalance(&mut self, reason: &str, turn: &mut Turn) {
        if self.state == State::CompletingRebalance {
            self.refuse_syncs(ResponseError::RebalanceInProgress, turn);
        }
        self.pending_syncs.clear();
        self.sync_ends = None;
        let is_initial = self.is_empty();
        self.turn_to(State::PreparingRebalance, turn);
        tracing::info!(group = %self.id.escape_debug(), generation = self.generation,
            reason = %reason.escape_debug(), "rebalance begins");
        if is_initial {
            let delay_ms = turn.settings.initial_rebalance_delay_ms;
            let remaining_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
            self.delay_first_rebalance(delay_ms, remaining_ms, turn);
        } else if self.have_all_joined() {
            self.complete_join(turn);
        } else {
            self.join_phase_ends_in(self.rebalance_timeout_ms(), turn);
        }
    }

    /// The group is new: more members are on their way.
    fn delay_first_rebalance(&mut self, delay_ms: Millis, remaining_ms: Millis, turn: &mut Turn) {
        if delay_ms <= 0 {
            return self.complete_join(turn);
        }
        self.initial_delay = Some(InitialDelay {
            delay_ms,
            remaining_ms,
            new_member_added: false,
        });
        self.join_phase_ends_in(delay_ms, turn);
    }

    fn join_phase_ends_in(&mut self, ms: Millis, turn: &Turn) {
        let ends = turn.now.steady + ms;
        self.join_ends = Some(ends);
        self.due_at(ends);
    }

    /// Somebody came or went while members join. The delay of a first rebalance is waited out.
    pub(super) fn maybe_complete_join(&mut self, turn: &mut Turn) {
        if self.state == State::PreparingRebalance
            && self.initial_delay.is_none()
            && self.have_all_joined()
        {
            self.complete_join(turn);
        }
    }

    fn join_phase_ended(&mut self, turn: &mut Turn) {
        match self.initial_delay.take() {
            Some(delay) if delay.new_member_added && delay.remaining_ms != 0 => {
                let next = turn
                    .settings
                    .initial_rebalance_delay_ms
                    .min(delay.remaining_ms);
                let remaining_ms = (delay.remaining_ms - delay.delay_ms).max(0);
                self.delay_first_rebalance(next, remaining_ms, turn);
            }
            _ => self.complete_join(turn),
        }
    }

    /// The next generation begins with those who have joined. Static members may come later.
    fn complete_join(&mut self, turn: &mut Turn) {
        self.initial_delay = None;
        self.join_ends = None;
        let missing = |member: &&super::Member| {
            member.awaiting_join.is_none() && member.instance_id.is_none()
        };
        let missing: Vec<Arc<str>> = self
            .members
            .values()
            .filter(missing)
            .map(|member| member.id.clone())
            .collect();
        missing.iter().for_each(|id| drop(self.take(id)));
        if !self.members.is_empty() && !self.elect_joined_leader() {
            // Static members that have not come back: their sessions decide.
            let patience_ms = self.rebalance_timeout_ms().max(SHORTEST_WAIT_MS);
            return self.join_phase_ends_in(patience_ms, turn);
        }
        self.generation += i32::from(!is_planted("group.generation-kept"));
        self.pending_syncs.clear();
        self.protocol_name = self.select_protocol();
        self.note_subscriptions();
        tracing::info!(group = %self.id.escape_debug(), generation = self.generation,
            members = self.members.len(), gone = missing.len(),
            protocol = ?self.protocol_name, "generation begins");
        if self.members.is_empty() {
            self.turn_to(State::Empty, turn);
            let record = self.record(|_| Bytes::new());
            return turn.write(record);
        }
        self.turn_to(State::CompletingRebalance, turn);
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            if let Some(ticket) = self.take_awaiting_join(&id) {
                let joined = self.joined(&id);
                turn.reply(ticket, Reply::Join(joined));
            }
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
            self.renew(&id, turn);
            self.pending_syncs.insert(id);
        }
        let ends = turn.now.steady + self.rebalance_timeout_ms();
        self.sync_ends = Some(ends);
        self.due_at(ends);
    }

    /// The leader stays if it has joined, else any that has. False if nobody has.
    fn elect_joined_leader(&mut self) -> bool {
        let joined = |member: &super::Member| member.awaiting_join.is_some();
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leader.is_some_and(joined) {
            return true;
        }
        let next = self.members.values().find(|member| joined(member));
        let next = next.map(|member| member.id.clone());
        match next {
            Some(next) => {
                self.leader = Some(next);
                true
            }
            None => false,
        }
    }

    pub(super) fn take_awaiting_join(
        &mut self,
        id: &str,
    ) -> Option<crate::coordinator::machine::Ticket> {
        let ticket = self.members.get_mut(id)?.awaiting_join.take()?;
        self.awaiting_joins -= 1;
        Some(ticket)
    }

    /// A member is gone, by its own word or by its silence. Who still waits under its name is told
    /// so, and joins anew if it lives.
    pub(super) fn remove(&mut self, id: &str, turn: &mut Turn) {
        let Some(member) = self.take(id) else {
            return;
        };
        if let Some(ticket) = member.awaiting_join {
            let refusal = Joined::refused(ResponseError::UnknownMemberId, "");
            turn.reply(ticket, Reply::Join(refusal));
        }
        if let Some(ticket) = member.awaiting_sync {
            turn.reply(ticket, Reply::Sync(Err(ResponseError::UnknownMemberId)));
        }
    }

    /// A freshly loaded group that has become too large shrinks by a rebalance.
    pub fn shrink_to_fit(&mut self, turn: &mut Turn) {
        if self.members.len() > turn.settings.max_size && !self.is_empty() {
            self.prepare_rebalance("the group is over capacity", turn);
        }
    }

    /// Does what is due, in the order it fell due.
    pub fn expire(&mut self, turn: &mut Turn) {
        let now = turn.now.steady;
        let sessions = self.members.values();
        let sessions = sessions.map(|m| (m.session_ends, Due::Session(m.id.clone())));
        let pending = self.pending_joins.iter();
        let pending = pending.map(|(id, until)| (*until, Due::PendingJoin(id.clone())));
        let join = self.join_ends.map(|ends| (ends, Due::JoinPhase));
        let sync = self.sync_ends.map(|ends| (ends, Due::SyncPhase));
        let all = sessions.chain(pending).chain(join).chain(sync);
        let mut due: Vec<(Millis, Due)> = all.filter(|(at, _)| *at <= now).collect();
        due.sort();
        for (_, due) in due {
            match due {
                Due::Session(id) => self.session_ended(&id, turn),
                Due::PendingJoin(id) => {
                    if self.unname(&id) {
                        self.maybe_complete_join(turn);
                    }
                }
                Due::JoinPhase if self.join_ends.is_some_and(|ends| ends <= now) => {
                    self.join_phase_ended(turn);
                }
                Due::SyncPhase if self.sync_ends.is_some_and(|ends| ends <= now) => {
                    self.sync_phase_ended(turn);
                }
                Due::JoinPhase | Due::SyncPhase => {}
            }
        }
        self.find_next_deadline();
    }

    fn session_ended(&mut self, id: &str, turn: &mut Turn) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        if member.session_ends > turn.now.steady {
            return;
        }
        if member.is_excused() {
            // It begins anew with the answer it waits for.
            member.session_ends = Millis::MAX;
            return;
        }
        tracing::info!(group = %self.id.escape_debug(), member = %id.escape_debug(),
            "the session of a member has ended");
        self.remove(id, turn);
        self.after_removal("the session of a member has ended", turn);
    }

    pub(super) fn after_removal(&mut self, reason: &str, turn: &mut Turn) {
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(reason, turn),
            State::PreparingRebalance => self.maybe_complete_join(turn),
            State::Empty => {}
        }
    }

    /// R110: who has joined and does not ask for its share is removed, although it heartbeats.
    fn sync_phase_ended(&mut self, turn: &mut Turn) {
        self.sync_ends = None;
        let late = std::mem::take(&mut self.pending_syncs);
        if late.is_empty() {
            return;
        }
        late.iter().for_each(|id| self.remove(id, turn));
        self.prepare_rebalance("members joined and did not sync", turn);
    }
}
