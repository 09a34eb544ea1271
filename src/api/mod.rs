//! One request in, one outcome out. `dispatch` is the only place that maps API keys to handlers;
//! each handler lives in the file of its key, opens with the versions it serves, and returns
//! without waiting: what must wait comes back as a parked future.

mod answer;
pub mod api_versions;
mod create_topics;
mod delete_topics;
mod describe_cluster;
mod fetch;
pub mod fetch_session;
mod find_coordinator;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod offset_for_leader_epoch;
mod produce;
mod topic_names;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeClusterRequest, FindCoordinatorRequest, InitProducerIdRequest,
    ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
};
use kafka_protocol::protocol::Decodable;
use tracing::Instrument;

pub use answer::{Answer, Outcome, Parked};

use crate::broker::Shared;
use crate::protocol::bounds::{self, RequestHeader};
use crate::protocol::{legacy, table};

/// Who is at the other end of a connection.
pub struct Peer {
    pub address: SocketAddr,
    /// The listener the connection came in on: its endpoints are what the client is told (R48).
    pub listener: Arc<str>,
    /// As sent with the newest request.
    pub client_id: Option<Arc<str>>,
}

/// One request, as handlers see it.
pub struct RequestContext<'a> {
    pub shared: &'a Arc<Shared>,
    pub peer: &'a Peer,
    pub header: &'a RequestHeader,
}

impl RequestContext<'_> {
    pub fn version(&self) -> i16 {
        self.header.api_version
    }
}

/// The connection must end without an answer.
#[derive(Debug, thiserror::Error)]
pub enum Disconnect {
    /// Bytes that are not a request.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// R23, R24: a key or version that is not served here.
    #[error("API key {api_key} version {api_version} is not served, client id {client_id:?}")]
    NotServed { api_key: i16, api_version: i16, client_id: Option<Arc<str>> },
    /// R36: acks=0 has no answer that could carry the error.
    #[error("a produce with acks=0 failed: {0:?}")]
    UnacknowledgedProduceFailed(crate::error::ResponseError),
}

impl Disconnect {
    /// Whether the peer broke the protocol, which deserves a log line.
    pub fn is_malformed(&self) -> bool {
        matches!(self, Disconnect::Malformed(_))
    }

    fn malformed(cause: impl std::fmt::Display) -> Disconnect {
        Disconnect::Malformed(cause.to_string())
    }
}

/// Decodes one frame, starts its request, and returns what is to be sent when.
///
/// # Errors
/// [`Disconnect`] closes the connection, and only this connection.
pub fn dispatch(shared: &Arc<Shared>, peer: &mut Peer, frame: Bytes) -> Result<Outcome, Disconnect> {
    let header = bounds::parse_request_header(&frame).map_err(Disconnect::malformed)?;
    remember_client_id(peer, &header);
    let span = tracing::debug_span!(
        "request",
        api = header.api_key,
        version = header.api_version,
        correlation_id = header.correlation_id,
    );
    let outcome = {
        let _entered = span.enter();
        let cx = RequestContext { shared, peer, header: &header };
        route(&cx, header.body.clone())?
    };
    Ok(match outcome {
        Outcome::Park(parked) => Outcome::Park(Parked {
            answer: Box::pin(parked.answer.instrument(span)),
            exclusive: parked.exclusive,
        }),
        now => now,
    })
}

fn route(cx: &RequestContext, body: Bytes) -> Result<Outcome, Disconnect> {
    let (key, version) = (cx.header.api_key, cx.header.api_version);
    if !table::is_served(key, version) {
        if key == table::API_KEY_API_VERSIONS {
            return Ok(answer::now(cx, 0, &api_versions::unsupported_version_answer()));
        }
        return Err(Disconnect::NotServed {
            api_key: key,
            api_version: version,
            client_id: cx.peer.client_id.clone(),
        });
    }
    match key {
        0 => return produce::handle(cx, body),
        1 => return fetch::handle(cx, body),
        _ => {}
    }
    bounds::check(key, version, &body).map_err(Disconnect::malformed)?;
    Ok(match key {
        2 => list_offsets::handle(cx, decode::<ListOffsetsRequest>(version, body)?),
        3 => metadata::handle(cx, decode::<MetadataRequest>(version, body)?),
        10 => find_coordinator::handle(cx, decode::<FindCoordinatorRequest>(version, body)?),
        18 => api_versions::handle(cx, decode(version, body)?),
        19 => create_topics::handle(cx, match version {
            0..=1 => legacy::decode_create_topics(version, body).map_err(Disconnect::malformed)?,
            _ => decode::<CreateTopicsRequest>(version, body)?,
        }),
        20 => delete_topics::handle(cx, match version {
            0 => legacy::decode_delete_topics(body).map_err(Disconnect::malformed)?,
            _ => decode(version, body)?,
        }),
        22 => init_producer_id::handle(cx, decode::<InitProducerIdRequest>(version, body)?),
        23 => offset_for_leader_epoch::handle(cx, decode::<OffsetForLeaderEpochRequest>(version, body)?),
        60 => describe_cluster::handle(cx, decode::<DescribeClusterRequest>(version, body)?),
        _ => unreachable!("API key {key} is in the table but has no handler"),
    })
}

fn decode<R: Decodable>(version: i16, mut body: Bytes) -> Result<R, Disconnect> {
    R::decode(&mut body, version).map_err(Disconnect::malformed)
}

fn remember_client_id(peer: &mut Peer, header: &RequestHeader) {
    if peer.client_id.as_deref() == header.client_id.as_deref() {
        return;
    }
    peer.client_id = header.client_id.as_deref().map(Arc::from);
    if let Some(client_id) = &header.client_id {
        tracing::Span::current().record("client_id", tracing::field::display(client_id.escape_debug()));
    }
}
