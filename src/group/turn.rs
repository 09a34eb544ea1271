//! What one decision has at hand, and where it leaves what it decided.

use super::GroupShard;
use super::command::{Join, Reply};
use super::records::GroupRecord;
use crate::config::Config;
use crate::coordinator::machine::{Now, Outcome, Ticket};
use crate::error::ResponseError;
use crate::protocol::batch::{BatchHeader, Record};
use crate::types::Millis;

/// Kafka's clients take no longer one, in characters (JoinGroupRequest.validateGroupInstanceId).
const INSTANCE_ID_MAX: usize = 4 * 249;

/// What groups are judged by. Fields bear the names of Kafka's keys.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: Millis,
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.max.size`
    pub max_size: usize,
    /// `offset.metadata.max.bytes`
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`
    pub offsets_retention_ms: Millis,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: Millis,
    /// The largest batch that the offsets topic takes (`max.message.bytes`): what has to be written
    /// as one is refused above it.
    pub max_batch_bytes: usize,
}

impl Settings {
    pub fn of(config: &Config) -> Settings {
        let groups = &config.groups;
        Settings {
            initial_rebalance_delay_ms: groups.initial_rebalance_delay_ms,
            min_session_timeout_ms: groups.min_session_timeout_ms,
            max_session_timeout_ms: groups.max_session_timeout_ms,
            max_size: groups.max_size,
            offset_metadata_max_bytes: groups.offset_metadata_max_bytes,
            offsets_retention_ms: groups.offsets_retention_ms,
            offsets_retention_check_interval_ms: groups.offsets_retention_check_interval_ms,
            max_batch_bytes: usize::MAX,
        }
    }

    /// What a JoinGroup must satisfy whatever the group is (R106).
    pub fn check_join(&self, join: &Join) -> Result<(), ResponseError> {
        if join.group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let instance_id = join.instance_id.as_ref();
        if instance_id.is_some_and(|id| id.len() > INSTANCE_ID_MAX) {
            // A member id is made of it and has to fit into a string of the protocol.
            return Err(ResponseError::InvalidRequest);
        }
        let allowed = self.min_session_timeout_ms..=self.max_session_timeout_ms;
        match allowed.contains(&join.session_timeout_ms) {
            true => Ok(()),
            false => Err(ResponseError::InvalidSessionTimeout),
        }
    }
}

/// What one decision has at hand, and where it leaves what it decided.
pub struct Turn<'a> {
    pub now: Now,
    pub settings: &'a Settings,
    pub outcome: Outcome<GroupShard>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(now: Now, settings: &'a Settings) -> Turn<'a> {
        Turn {
            now,
            settings,
            outcome: Outcome::default(),
        }
    }

    pub(super) fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.outcome.reply(ticket, reply);
    }

    pub(super) fn write(&mut self, record: GroupRecord) {
        self.outcome.records.push(record);
    }

    /// Whether a batch could hold the record.
    pub(super) fn check_size(&self, record: &GroupRecord) -> Result<(), ResponseError> {
        match batch_size(std::slice::from_ref(record)) <= self.settings.max_batch_bytes {
            true => Ok(()),
            // Kafka: appendGroupMetadataErrorToResponseError.
            false => Err(ResponseError::UnknownServerError),
        }
    }
}

/// No less than what a batch of these records takes, in bytes.
pub(super) fn batch_size(records: &[GroupRecord]) -> usize {
    let sizes = records.iter();
    let sizes = sizes.map(|record| Record::OVERHEAD_MAX + record.size());
    BatchHeader::SIZE + sizes.sum::<usize>()
}
