//! SyncGroup (R110): the leader's word becomes everybody's share.

use std::collections::HashMap;
use std::sync::Arc;

use super::{ClassicGroup, State};
use crate::coordinator::machine::Ticket;
use crate::error::ResponseError;
use crate::group::Turn;
use crate::group::command::{Reply, Sync, Synced};
use bytes::Bytes;

impl ClassicGroup {
    /// The reply may leave now or when the leader has spoken.
    pub fn sync(&mut self, sync: Sync, ticket: Ticket, turn: &mut Turn) {
        let error = self.check_sync(&sync).err();
        let error = error.or(match self.state {
            State::PreparingRebalance => Some(ResponseError::RebalanceInProgress),
            _ => None,
        });
        if let Some(error) = error {
            return turn.reply(ticket, Reply::Sync(Err(error)));
        }
        let id = sync.member_id.as_str();
        self.pending_syncs.remove(id);
        if self.state == State::Stable {
            let assignment = self.members[id].assignment.clone();
            return turn.reply(ticket, Reply::Sync(Ok(self.synced(assignment))));
        }
        self.park_sync(id, ticket, turn);
        if self.is_leader(id) {
            self.assign(sync.assignments, turn);
        }
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), ResponseError> {
        self.check_member(&sync.member_id, sync.instance_id.as_deref())?;
        if sync.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let differs = |asked: &Option<String>, own: &Option<String>| {
            asked.is_some() && own.is_some() && asked != own
        };
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol_name, &self.protocol_name)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn park_sync(&mut self, id: &str, ticket: Ticket, turn: &mut Turn) {
        if let Some(member) = self.members.get_mut(id)
            && let Some(overtaken) = member.awaiting_sync.replace(ticket)
        {
            // The same member asked again on another connection.
            let refusal = Reply::Sync(Err(ResponseError::RebalanceInProgress));
            turn.reply(overtaken, refusal);
        }
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment,
        }
    }

    /// The leader has shared out; whom it forgot gets nothing. Too large to be stored, nobody gets
    /// anything and the group rebalances, as in Kafka.
    fn assign(&mut self, assignments: Vec<(String, Bytes)>, turn: &mut Turn) {
        let shares: HashMap<String, Bytes> = assignments
            .into_iter()
            // Copied out of the request, which would stay in memory as long as the group does.
            .map(|(id, share)| (id, Bytes::copy_from_slice(&share)))
            .collect();
        let record = self.record(|member| shares.get(&*member.id).cloned().unwrap_or_default());
        if let Err(error) = turn.check_size(&record) {
            tracing::warn!(group = %self.id.escape_debug(), generation = self.generation,
                "the group is larger than a record may be");
            self.refuse_syncs(error, turn);
            return self.prepare_rebalance("the assignment could not be stored", turn);
        }
        turn.write(record);
        self.turn_to(State::Stable, turn);
        let waiting: Vec<(Arc<str>, Ticket)> = self.take_awaiting_syncs();
        for (id, ticket) in waiting {
            let share = shares.get(&*id).cloned().unwrap_or_default();
            turn.reply(ticket, Reply::Sync(Ok(self.synced(share))));
            self.renew(&id, turn);
        }
        tracing::info!(group = %self.id.escape_debug(), generation = self.generation,
            members = self.members.len(), "the group is stable");
    }

    /// Who waits for its share hears that there is none.
    pub(super) fn refuse_syncs(&mut self, error: ResponseError, turn: &mut Turn) {
        for (id, ticket) in self.take_awaiting_syncs() {
            turn.reply(ticket, Reply::Sync(Err(error)));
            self.renew(&id, turn);
        }
        for member in self.members.values_mut() {
            self.member_bytes -= member.assignment.len();
            member.assignment = Bytes::new();
        }
    }

    fn take_awaiting_syncs(&mut self) -> Vec<(Arc<str>, Ticket)> {
        let members = self.members.values_mut();
        members
            .filter_map(|member| Some((member.id.clone(), member.awaiting_sync.take()?)))
            .collect()
    }
}
