//! DescribeCluster (60), v0–2. Brokers, controller and cluster id for admin tools (KIP-700).
//! v1 adds the endpoint type (KIP-919), v2 fenced brokers (KIP-1073). Controller endpoints are
//! not served on a broker listener (R160).

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;

use super::metadata::{ALL_CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED};
use super::{Outcome, RequestContext, answer};
use crate::error::{Error, ResponseError};

const ENDPOINT_TYPE_BROKER: i8 = 1;
const ENDPOINT_TYPE_CONTROLLER: i8 = 2;

pub fn handle(cx: &RequestContext, request: DescribeClusterRequest) -> Outcome {
    let response = match check_endpoint_type(cx, &request) {
        Ok(()) => describe(cx, &request),
        Err(error) => DescribeClusterResponse::default()
            .with_error_code(error.code.code())
            .with_error_message(error.message.map(StrBytes::from_string))
            .with_endpoint_type(if cx.version() >= 1 {
                request.endpoint_type
            } else {
                ENDPOINT_TYPE_BROKER
            }),
    };
    answer::now(cx, cx.version(), &response)
}

fn check_endpoint_type(cx: &RequestContext, request: &DescribeClusterRequest) -> Result<(), Error> {
    match request.endpoint_type {
        _ if cx.version() == 0 => Ok(()),
        ENDPOINT_TYPE_BROKER => Ok(()),
        ENDPOINT_TYPE_CONTROLLER => Err(Error::new(
            ResponseError::MismatchedEndpointType,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
        )),
        other => Err(Error::new(
            ResponseError::UnsupportedEndpointType,
            format!("Unsupported endpoint type {other}"),
        )),
    }
}

fn describe(cx: &RequestContext, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let image = cx.shared.image();
    let shown = image
        .brokers
        .values()
        .filter(|b| !b.fenced || request.include_fenced_brokers);
    let brokers = shown.filter_map(|broker| {
        let endpoint = broker.endpoint(&cx.peer.listener)?;
        Some(
            DescribeClusterBroker::default()
                .with_broker_id(broker.id.0.into())
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(endpoint.port.into())
                .with_rack(broker.rack.clone().map(StrBytes::from_string))
                .with_is_fenced(cx.version() >= 2 && broker.fenced),
        )
    });
    let operations = match request.include_cluster_authorized_operations {
        true => ALL_CLUSTER_OPERATIONS,
        false => OPERATIONS_NOT_ASKED,
    };
    DescribeClusterResponse::default()
        .with_endpoint_type(ENDPOINT_TYPE_BROKER)
        .with_cluster_id(StrBytes::from_string(image.cluster_id.to_string()))
        .with_controller_id(image.controller_id().map_or(-1, |id| id.0).into())
        .with_brokers(brokers.collect())
        .with_cluster_authorized_operations(operations)
}
