//! A member of a classic group (Kafka: ClassicGroupMember).

use std::sync::Arc;

use bytes::Bytes;

use crate::coordinator::machine::Ticket;
use crate::group::command::{DescribedMember, JoinedMember, Protocol};
use crate::group::memory;
use crate::group::records::MemberValue;
use crate::types::Millis;

#[derive(Clone, Debug)]
pub struct Member {
    pub id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// In its order of preference.
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    /// Its first JoinGroup is not answered yet: it knows no id and cannot heartbeat.
    pub is_new: bool,
    /// Its parked JoinGroup.
    pub awaiting_join: Option<Ticket>,
    /// Its parked SyncGroup.
    pub awaiting_sync: Option<Ticket>,
    /// Steady time at which it counts as gone, unless it waits for us.
    pub session_ends: Millis,
}

impl Member {
    /// What it takes in memory, about.
    pub fn bytes(&self) -> usize {
        let instance_id = self.instance_id.as_ref().map_or(0, |id| id.len());
        let protocols = self.protocols.iter();
        let protocols = protocols.map(|p| memory::PROTOCOL + p.name.len() + p.metadata.len());
        memory::MEMBER
            + self.id.len()
            + instance_id
            + self.client_id.len()
            + self.client_host.len()
            + protocols.sum::<usize>()
            + self.assignment.len()
    }

    pub fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let named = self.protocols.iter().find(|p| Some(&*p.name) == protocol);
        named.map(|p| p.metadata.clone()).unwrap_or_default()
    }

    /// Whether it is alive although its session has run out: who waits for us cannot be late, but
    /// for a newcomer whose client may have given up long ago.
    pub fn is_excused(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    pub fn joined(&self, protocol: Option<&str>) -> JoinedMember {
        JoinedMember {
            id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            metadata: self.metadata(protocol),
        }
    }

    /// Without metadata where there is no protocol to speak of.
    pub fn described(&self, protocol: Option<&str>) -> DescribedMember {
        DescribedMember {
            id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            metadata: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }

    pub fn to_value(&self, protocol: Option<&str>, assignment: Bytes) -> MemberValue {
        MemberValue {
            id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment,
        }
    }

    pub fn of_value(value: MemberValue, protocol: Option<&str>) -> Member {
        let protocols = protocol.map(|name| Protocol {
            name: name.to_owned(),
            metadata: value.subscription,
        });
        Member {
            id: value.id,
            instance_id: value.instance_id,
            client_id: value.client_id,
            client_host: value.client_host,
            rebalance_timeout_ms: match value.rebalance_timeout_ms {
                -1 => value.session_timeout_ms,
                timeout => timeout,
            },
            session_timeout_ms: value.session_timeout_ms,
            protocols: protocols.into_iter().collect(),
            assignment: value.assignment,
            is_new: false,
            awaiting_join: None,
            awaiting_sync: None,
            session_ends: Millis::MAX,
        }
    }
}
