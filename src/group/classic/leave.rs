//! LeaveGroup (R112): one or many members go, static ones by their instance ids.

use super::ClassicGroup;
use crate::error::ResponseError;
use crate::group::Turn;
use crate::group::command::{Leaver, Left};

impl ClassicGroup {
    /// One answer per member, in order. What is left rebalances at once.
    pub fn leave(&mut self, members: Vec<Leaver>, turn: &mut Turn) -> Vec<Left> {
        let leave = |leaver: Leaver| {
            let error = self.leave_one(&leaver, turn).err();
            Left {
                member_id: leaver.member_id,
                instance_id: leaver.instance_id,
                error,
            }
        };
        let left: Vec<Left> = members.into_iter().map(leave).collect();
        if left.iter().any(|left| left.error.is_none()) {
            self.after_removal("members leave", turn);
        }
        left
    }

    fn leave_one(&mut self, leaver: &Leaver, turn: &mut Turn) -> Result<(), ResponseError> {
        let instance_id = leaver.instance_id.as_deref();
        let id = match leaver.member_id.as_str() {
            "" => {
                let owner = instance_id.and_then(|id| self.static_members.get(id));
                owner.cloned().ok_or(ResponseError::UnknownMemberId)?
            }
            id if self.unname(id) => return Ok(()),
            id => {
                self.check_member(id, instance_id)?;
                id.into()
            }
        };
        let reason = leaver.reason.as_deref().unwrap_or("not provided");
        tracing::info!(group = %self.id.escape_debug(), member = %id.escape_debug(),
            reason = %reason.escape_debug(), "a member leaves");
        self.remove(&id, turn);
        Ok(())
    }
}
