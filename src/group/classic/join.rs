//! JoinGroup (R106, R109, R113; Kafka: GroupMetadataManager.classicGroupJoin…).

use std::sync::Arc;

use bytes::Bytes;

use super::{ClassicGroup, Member, State};
use crate::coordinator::machine::Ticket;
use crate::error::ResponseError;
use crate::group::Turn;
use crate::group::command::{Join, Joined, Reply};
use crate::types::Millis;

/// How long a newcomer's JoinGroup may stay parked: it cannot heartbeat, and a client that gave up
/// leaves a member behind (Kafka: group.new.member.join.timeout, 5 minutes).
const NEW_MEMBER_JOIN_TIMEOUT_MS: Millis = 5 * 60 * 1000;

impl ClassicGroup {
    /// The reply may leave now or when the join phase ends.
    pub fn join(&mut self, join: Join, ticket: Ticket, turn: &mut Turn) {
        if !self.has_room_for(&join.member_id, turn.settings.max_size) {
            self.take(&join.member_id);
            let error = ResponseError::GroupMaxSizeReached;
            turn.reply(ticket, Reply::Join(Joined::refused(error, "")));
            // Those who have joined need not wait for it.
            return self.maybe_complete_join(turn);
        }
        if !self.supports(&join.protocol_type, &join.protocols) {
            let error = ResponseError::InconsistentGroupProtocol;
            return turn.reply(ticket, Reply::Join(Joined::refused(error, join.member_id)));
        }
        if join.member_id.is_empty() {
            self.join_newcomer(join, ticket, turn);
        } else if self.pending_joins.contains_key(&*join.member_id) {
            let id = join.member_id.as_str().into();
            self.add(join, id, ticket, turn);
        } else {
            self.rejoin(join, ticket, turn);
        }
    }

    /// Whether a member comes back, under its id or its instance id.
    pub fn knows(&self, join: &Join) -> bool {
        let instance_id = join.instance_id.as_deref();
        self.members.contains_key(&*join.member_id)
            || instance_id.is_some_and(|id| self.static_members.contains_key(id))
    }

    /// R106: who waits already may stay. While members join, those count that have joined, so that
    /// the last to come back are the ones who find no room.
    fn has_room_for(&self, member_id: &str, max_size: usize) -> bool {
        let known = self.members.get(member_id);
        match self.state {
            State::Empty => true,
            State::PreparingRebalance => {
                known.is_some_and(|member| member.awaiting_join.is_some())
                    || self.awaiting_joins < max_size
            }
            State::CompletingRebalance | State::Stable => {
                known.is_some() || self.members.len() < max_size
            }
        }
    }

    fn join_newcomer(&mut self, join: Join, ticket: Ticket, turn: &mut Turn) {
        let prefix = join.instance_id.as_ref().unwrap_or(&join.client_id);
        let id: Arc<str> = format!("{prefix}-{}", join.new_id_suffix).into();
        if let Some(instance_id) = &join.instance_id {
            return match self.static_members.get(instance_id.as_str()).cloned() {
                Some(old_id) => self.join_static_again(join, &old_id, id, ticket, turn),
                None => self.add(join, id, ticket, turn),
            };
        }
        if !join.requires_known_member_id {
            return self.add(join, id, ticket, turn);
        }
        let until = turn.now.steady + Millis::from(join.session_timeout_ms);
        self.name(id.clone(), until);
        let refusal = Joined::refused(ResponseError::MemberIdRequired, &*id);
        turn.reply(ticket, Reply::Join(refusal));
    }

    fn rejoin(&mut self, join: Join, ticket: Ticket, turn: &mut Turn) {
        if let Err(error) = self.check_member(&join.member_id, join.instance_id.as_deref()) {
            return turn.reply(ticket, Reply::Join(Joined::refused(error, join.member_id)));
        }
        let id = &*join.member_id;
        let is_unchanged = self.members[id].protocols == join.protocols;
        match self.state {
            // The answer was lost, or nothing of importance has changed: the generation stands.
            State::CompletingRebalance if is_unchanged => {
                let joined = self.joined(id);
                turn.reply(ticket, Reply::Join(joined));
            }
            State::Stable if is_unchanged && !self.is_leader(id) => {
                let joined = self.joined(id);
                turn.reply(ticket, Reply::Join(joined));
            }
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                let reason = format!("{id} rejoins: {}", join.reason);
                let id: Arc<str> = id.into();
                self.update(&id, join, Some(ticket), turn);
                self.prepare_rebalance_or_complete_join(&reason, turn);
            }
            State::Empty => {
                let refusal = Joined::refused(ResponseError::UnknownMemberId, id);
                turn.reply(ticket, Reply::Join(refusal));
            }
        }
    }

    /// What the answer to a join of this generation says.
    pub(super) fn joined(&self, id: &str) -> Joined {
        let protocol = self.protocol_name.as_deref();
        let all = self.members.values();
        Joined {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.as_deref().unwrap_or("").to_owned(),
            skip_assignment: false,
            member_id: id.to_owned(),
            members: match self.is_leader(id) {
                true => all.map(|member| member.joined(protocol)).collect(),
                false => Vec::new(),
            },
        }
    }

    fn add(&mut self, join: Join, id: Arc<str>, ticket: Ticket, turn: &mut Turn) {
        if self.pending_joins.contains_key(&id) && join.instance_id.is_some() {
            // No client does: an id that was handed out is of a dynamic member.
            let refusal = Joined::refused(ResponseError::UnknownServerError, &*id);
            return turn.reply(ticket, Reply::Join(refusal));
        }
        if let Some(delay) = &mut self.initial_delay {
            delay.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type);
        }
        let session_ends = turn.now.steady + NEW_MEMBER_JOIN_TIMEOUT_MS;
        let reason = format!("{id} joins: {}", join.reason);
        self.put(Member {
            id,
            instance_id: join.instance_id.map(Arc::from),
            client_id: join.client_id,
            client_host: join.client_host,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols,
            assignment: Bytes::new(),
            is_new: true,
            awaiting_join: Some(ticket),
            awaiting_sync: None,
            session_ends,
        });
        self.due_at(session_ends);
        self.prepare_rebalance_or_complete_join(&reason, turn);
    }

    /// The member's new wishes; `parked` is its JoinGroup that waits from now on.
    fn update(&mut self, id: &str, join: Join, parked: Option<Ticket>, turn: &mut Turn) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        self.member_bytes -= member.bytes();
        let old = std::mem::replace(&mut member.protocols, join.protocols.clone());
        self.member_bytes += member.bytes();
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.session_timeout_ms = join.session_timeout_ms;
        let overtaken = std::mem::replace(&mut member.awaiting_join, parked);
        self.count_votes(&join.protocols, 1);
        self.count_votes(&old, -1);
        self.awaiting_joins += usize::from(parked.is_some());
        if let Some(overtaken) = overtaken {
            // The same member asked again on another connection: one of the two is answered later.
            self.awaiting_joins -= 1;
            let refusal = Joined::refused(ResponseError::RebalanceInProgress, id);
            turn.reply(overtaken, Reply::Join(refusal));
        }
    }

    /// R113: a static member is back under a new id. If nothing else has changed its old share is
    /// its own again, without a rebalance.
    fn join_static_again(
        &mut self,
        join: Join,
        old_id: &Arc<str>,
        new_id: Arc<str>,
        ticket: Ticket,
        turn: &mut Turn,
    ) {
        let leader_before = self.leader.clone();
        let skips = join.supports_skipping_assignment;
        let reason = format!("{new_id} takes the place of {old_id}: {}", join.reason);
        let Some(before) = self.replace_static(old_id, new_id.clone(), turn) else {
            return self.add(join, new_id, ticket, turn);
        };
        self.renew(&new_id, turn);
        if self.state != State::Stable {
            self.update(&new_id, join, Some(ticket), turn);
            return match self.state {
                // The leader may already share out for the old id.
                State::CompletingRebalance => self.prepare_rebalance(&reason, turn),
                _ => self.maybe_complete_join(turn),
            };
        }
        self.update(&new_id, join, None, turn);
        if self.select_protocol() != self.protocol_name {
            self.set_awaiting_join(&new_id, ticket);
            return self.prepare_rebalance_or_complete_join(&reason, turn);
        }
        let record = self.record(|member| member.assignment.clone());
        if let Err(error) = turn.check_size(&record) {
            self.replace_back(&new_id, before);
            let leader = leader_before.as_deref().unwrap_or("").to_owned();
            let refusal = Joined {
                error: Some(error),
                leader,
                members: Vec::new(),
                ..self.joined("")
            };
            return turn.reply(ticket, Reply::Join(refusal));
        }
        turn.write(record);
        let mut joined = self.joined(&new_id);
        match skips {
            true => joined.skip_assignment = self.is_leader(&new_id),
            // An old client that finds itself leader would share out anew.
            false => {
                joined.leader = leader_before.as_deref().unwrap_or("").to_owned();
                joined.members = Vec::new();
            }
        }
        turn.reply(ticket, Reply::Join(joined));
    }

    fn set_awaiting_join(&mut self, id: &str, ticket: Ticket) {
        if let Some(member) = self.members.get_mut(id) {
            self.awaiting_joins += usize::from(member.awaiting_join.is_none());
            member.awaiting_join = Some(ticket);
        }
    }

    /// What waits under the old id is told that it is fenced. Returns the member as it was.
    fn replace_static(
        &mut self,
        old_id: &str,
        new_id: Arc<str>,
        turn: &mut Turn,
    ) -> Option<Member> {
        let was_leader = self.is_leader(old_id);
        let mut member = self.take(old_id)?;
        if let Some(ticket) = member.awaiting_join.take() {
            let refusal = Joined::refused(ResponseError::FencedInstanceId, old_id);
            turn.reply(ticket, Reply::Join(refusal));
        }
        if let Some(ticket) = member.awaiting_sync.take() {
            turn.reply(ticket, Reply::Sync(Err(ResponseError::FencedInstanceId)));
        }
        let before = member.clone();
        member.id = new_id.clone();
        member.is_new = false;
        self.put(member);
        if was_leader {
            self.leader = Some(new_id);
        }
        Some(before)
    }

    fn replace_back(&mut self, new_id: &str, before: Member) {
        let was_leader = self.is_leader(new_id);
        let (id, session_ends) = (before.id.clone(), before.session_ends);
        self.take(new_id);
        self.put(before);
        self.due_at(session_ends);
        if was_leader {
            self.leader = Some(id);
        }
    }
}
