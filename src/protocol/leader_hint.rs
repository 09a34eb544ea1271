//! Where the leader is, in Produce and Fetch answers of a broker that is not it (KIP-951, R62).

use bytes::BytesMut;

use super::wire::Writer;
use crate::types::{BrokerId, LeaderEpoch};

/// Leader of a partition as this broker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentLeader {
    /// −1 if unknown.
    pub leader_id: i32,
    pub leader_epoch: LeaderEpoch,
}

/// How to reach a broker that a [`CurrentLeader`] of the same answer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEndpoint {
    pub node_id: BrokerId,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl CurrentLeader {
    pub(super) const SIZE: usize = 4 + 4 + 1;

    /// Writes it as tagged field `tag`.
    pub(super) fn write(self, tag: u32, out: &mut Writer<'_>) {
        out.tag(tag, CurrentLeader::SIZE);
        out.i32(self.leader_id);
        out.i32(self.leader_epoch);
        out.no_tags();
    }
}

/// Writes the tagged fields of a whole response: the endpoints as tag 0, if there are any.
pub(super) fn write_endpoints(endpoints: &[NodeEndpoint], out: &mut Writer<'_>) {
    if endpoints.is_empty() {
        return out.no_tags();
    }
    let mut content = BytesMut::new();
    let mut inner = Writer::new(&mut content, true);
    inner.array_len(endpoints.len());
    for endpoint in endpoints {
        inner.i32(endpoint.node_id.0);
        inner.string(&endpoint.host);
        inner.i32(endpoint.port);
        inner.nullable_string(endpoint.rack.as_deref());
        inner.no_tags();
    }
    out.tag_count(1);
    out.tag(0, content.len());
    out.out.extend_from_slice(&content);
}
