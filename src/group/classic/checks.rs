//! Who may do what in which state: heartbeats and commits, and the checks that all requests share.

use super::{ClassicGroup, State};
use crate::error::ResponseError;
use crate::faults::is_planted;
use crate::group::Turn;
use crate::group::command::{Commit, Heartbeat};

impl ClassicGroup {
    /// R113: the owner of an instance id alone may speak for it. Kafka: ClassicGroup.validateMember.
    pub(super) fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ResponseError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(owner) if **owner != *member_id => {
                    return Err(ResponseError::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        match self.members.contains_key(member_id) {
            true => Ok(()),
            false => Err(ResponseError::UnknownMemberId),
        }
    }

    /// R111.
    pub fn heartbeat(&mut self, heartbeat: &Heartbeat, turn: &Turn) -> Result<(), ResponseError> {
        let Heartbeat {
            generation,
            member_id,
            instance_id,
            ..
        } = heartbeat;
        self.check_member(member_id, instance_id.as_deref())?;
        if *generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        match self.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => {
                self.renew(member_id, turn);
                Err(ResponseError::RebalanceInProgress)
            }
            State::CompletingRebalance | State::Stable => {
                self.renew(member_id, turn);
                Ok(())
            }
        }
    }

    /// R114. A commit in time is a sign of life too.
    pub fn check_commit(&mut self, commit: &Commit, turn: &Turn) -> Result<(), ResponseError> {
        let Commit {
            generation,
            member_id,
            instance_id,
            ..
        } = commit;
        if *generation < 0 && self.is_empty() || is_planted("group.commits-unfenced") {
            return Ok(());
        }
        if *generation < 0 && member_id.is_empty() && instance_id.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        self.check_member(member_id, instance_id.as_deref())?;
        if *generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if self.state == State::CompletingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        self.renew(member_id, turn);
        Ok(())
    }

    /// OffsetDelete works on groups without members, and on consumers' other topics (R115).
    pub fn check_offset_delete(&self) -> Result<(), ResponseError> {
        match self.is_empty() || self.is_of_consumers() {
            true => Ok(()),
            false => Err(ResponseError::NonEmptyGroup),
        }
    }
}
