//! One request in, one outcome out. `dispatch` is the only place that maps API keys to handlers;
//! each handler lives in the file of its key, opens with the versions it serves, and returns
//! without waiting: what must wait comes back as a parked future.

mod alter_configs;
mod alter_replica_log_dirs;
mod answer;
pub mod api_versions;
mod cold;
mod coordinated;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod elect_leaders;
mod fetch;
mod fetch_pass;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod internal_topics;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod off_runtime;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
mod unregister_broker;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::protocol::Decodable;
use tracing::Instrument;

pub use answer::{Answer, BoxedAnswer, Outcome, Parked};

use crate::broker::Shared;
use crate::protocol::header::{self, HeaderError, RequestHeader};
use crate::protocol::{bounds, legacy, table};

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const API_VERSIONS: i16 = 18;

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
    NotServed {
        api_key: i16,
        api_version: i16,
        client_id: Option<Arc<str>>,
    },
    /// R36: acks=0 has no answer that could carry the error.
    #[error("a produce with acks=0 failed: {0:?}")]
    UnacknowledgedProduceFailed(crate::error::ResponseError),
}

impl Disconnect {
    /// Whether the peer broke the protocol, which deserves a log line.
    pub fn is_malformed(&self) -> bool {
        matches!(self, Disconnect::Malformed(_))
    }

    pub(crate) fn malformed(cause: impl std::fmt::Display) -> Disconnect {
        Disconnect::Malformed(cause.to_string())
    }
}

impl From<HeaderError> for Disconnect {
    fn from(error: HeaderError) -> Disconnect {
        match error {
            HeaderError::Unknown {
                api_key,
                api_version,
                client_id,
            } => Disconnect::NotServed {
                api_key,
                api_version,
                client_id: client_id.as_deref().map(Arc::from),
            },
            other => Disconnect::malformed(other),
        }
    }
}

/// One request that has arrived in full and whose body is proven to be decodable within bounds.
pub struct Request {
    header: RequestHeader,
    decoded_size: usize,
}

/// A Fetch of more bytes than this is charged for its partitions.
const SMALL_FETCH: usize = 512;
/// What a partition takes in a Fetch on its way through the session, the pass and the answer, over
/// its bytes on the wire.
const FETCH_RATIO: usize = 16;

impl Request {
    /// Looks at the header and walks the body; decodes nothing yet.
    ///
    /// # Errors
    /// Bytes that are not a request.
    pub fn parse(frame: Bytes) -> Result<Request, Disconnect> {
        let header = header::parse_request_header(&frame)?;
        let (key, version) = (header.api_key, header.api_version);
        let decoded_size = match key {
            // These have bounded codecs of their own.
            PRODUCE => 0,
            FETCH if header.body.len() > SMALL_FETCH => FETCH_RATIO * header.body.len(),
            FETCH => 0,
            _ if !is_served(&header) => 0,
            _ => {
                let walked = bounds::check(key, version, &header.body);
                walked.map_err(Disconnect::malformed)?.decoded
            }
        };
        Ok(Request {
            header,
            decoded_size,
        })
    }

    /// Bytes that it takes beside its frame once it is decoded, about.
    pub fn decoded_size(&self) -> usize {
        self.decoded_size
    }

    /// Whether the answer needs little memory whatever there is: a Produce answers a few bytes per
    /// partition, a Fetch keeps to one batch where memory is short.
    pub fn bounds_its_answer(&self) -> bool {
        matches!(self.header.api_key, PRODUCE | FETCH)
    }
}

fn is_served(header: &RequestHeader) -> bool {
    table::served(header.api_key).is_some_and(|api| api.answers(header.api_version))
}

/// Starts a request and returns what is to be sent when.
///
/// # Errors
/// [`Disconnect`] closes the connection, and only this connection.
pub fn dispatch(
    shared: &Arc<Shared>,
    peer: &mut Peer,
    request: Request,
) -> Result<Outcome, Disconnect> {
    let header = request.header;
    remember_client_id(peer, &header);
    let span = tracing::debug_span!(
        "request",
        api = header.api_key,
        version = header.api_version,
        correlation_id = header.correlation_id,
    );
    let outcome = {
        let _entered = span.enter();
        let cx = RequestContext {
            shared,
            peer,
            header: &header,
        };
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

/// The body has passed [`Request::parse`].
fn route(cx: &RequestContext, body: Bytes) -> Result<Outcome, Disconnect> {
    let (key, version) = (cx.header.api_key, cx.header.api_version);
    if !is_served(cx.header) {
        if key == API_VERSIONS {
            return Ok(answer::now(
                cx,
                0,
                &api_versions::unsupported_version_answer(),
            ));
        }
        let client_id = cx.peer.client_id.clone();
        return Err(Disconnect::NotServed {
            api_key: key,
            api_version: version,
            client_id,
        });
    }
    Ok(match key {
        PRODUCE => return produce::handle(cx, body),
        FETCH => return fetch::handle(cx, body),
        2 => list_offsets::handle(cx, decode(version, body)?),
        3 => metadata::handle(cx, decode(version, body)?),
        8..=16 | 42 | 47 => return route_to_group(cx, body),
        API_VERSIONS => api_versions::handle(cx, decode(version, body)?),
        19 if version <= 1 => {
            create_topics::handle(cx, legacy(legacy::decode_create_topics(&body, version))?)
        }
        19 => create_topics::handle(cx, decode(version, body)?),
        20 if version == 0 => {
            delete_topics::handle(cx, legacy(legacy::decode_delete_topics(&body, version))?)
        }
        20 => delete_topics::handle(cx, decode(version, body)?),
        21 => delete_records::handle(cx, decode(version, body)?),
        22 => init_producer_id::handle(cx, decode(version, body)?),
        23 => offset_for_leader_epoch::handle(cx, decode(version, body)?),
        29 if version == 0 => {
            describe_acls::handle(cx, legacy(legacy::decode_describe_acls(&body))?)
        }
        29 => describe_acls::handle(cx, decode(version, body)?),
        30 if version == 0 => create_acls::handle(cx, legacy(legacy::decode_create_acls(&body))?),
        30 => create_acls::handle(cx, decode(version, body)?),
        31 if version == 0 => delete_acls::handle(cx, legacy(legacy::decode_delete_acls(&body))?),
        31 => delete_acls::handle(cx, decode(version, body)?),
        37 => create_partitions::handle(cx, decode(version, body)?),
        43 => elect_leaders::handle(cx, decode(version, body)?),
        46 => list_partition_reassignments::handle(cx, decode(version, body)?),
        55 => describe_quorum::handle(cx, decode(version, body)?),
        34 => alter_replica_log_dirs::handle(cx, decode(version, body)?),
        35 => describe_log_dirs::handle(cx, decode(version, body)?),
        60 => describe_cluster::handle(cx, decode(version, body)?),
        61 => describe_producers::handle(cx, decode(version, body)?),
        64 => unregister_broker::handle(cx, decode(version, body)?),
        65 => describe_transactions::handle(cx, decode(version, body)?),
        66 => list_transactions::handle(cx, decode(version, body)?),
        75 => describe_topic_partitions::handle(cx, decode(version, body)?),
        32 if version == 0 => {
            describe_configs::handle(cx, legacy(legacy::decode_describe_configs(&body, version))?)
        }
        32 => describe_configs::handle(cx, decode(version, body)?),
        33 => alter_configs::handle(cx, decode(version, body)?),
        44 => incremental_alter_configs::handle(cx, decode(version, body)?),
        74 => list_config_resources::handle(cx, decode(version, body)?),
        _ => unreachable!("API key {key} is in the table but has no handler"),
    })
}

/// What group coordinators answer, and where they are.
fn route_to_group(cx: &RequestContext, body: Bytes) -> Result<Outcome, Disconnect> {
    let (key, version) = (cx.header.api_key, cx.header.api_version);
    Ok(match key {
        8 => offset_commit::handle(cx, decode(version, body)?),
        9 => offset_fetch::handle(cx, decode(version, body)?),
        10 => find_coordinator::handle(cx, decode(version, body)?),
        11 => join_group::handle(cx, decode(version, body)?),
        12 => heartbeat::handle(cx, decode(version, body)?),
        13 => leave_group::handle(cx, decode(version, body)?),
        14 => sync_group::handle(cx, decode(version, body)?),
        15 => describe_groups::handle(cx, decode(version, body)?),
        16 => list_groups::handle(cx, decode(version, body)?),
        42 => delete_groups::handle(cx, decode(version, body)?),
        47 => offset_delete::handle(cx, decode(version, body)?),
        _ => unreachable!("API key {key} is not one of groups"),
    })
}

fn legacy<R>(decoded: Option<R>) -> Result<R, Disconnect> {
    decoded.ok_or_else(|| Disconnect::malformed("a legacy version that does not decode"))
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
        tracing::Span::current().record(
            "client_id",
            tracing::field::display(client_id.escape_debug()),
        );
    }
}
