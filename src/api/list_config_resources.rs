//! ListConfigResources (74), v0–1. v0 was ListClientMetricsResources and lists those; v1 lists
//! every resource of the types that are asked for, of all types where none is (KIP-1142, R163).

use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Outcome, RequestContext, answer};
use crate::config::ResourceType;
use crate::error::ResponseError;
use crate::metadata::image::Image;

/// Kafka's order, where nobody asks for types.
const ALL: [ResourceType; 5] = [
    ResourceType::Group,
    ResourceType::ClientMetrics,
    ResourceType::BrokerLogger,
    ResourceType::Broker,
    ResourceType::Topic,
];

pub fn handle(cx: &RequestContext, request: ListConfigResourcesRequest) -> Outcome {
    let version = cx.version();
    let response = ListConfigResourcesResponse::default();
    let response = match wanted(version, &request) {
        Some(wanted) => {
            let image = cx.shared.image();
            let kinds = ALL.into_iter().filter(|kind| wanted.contains(kind));
            let resources = kinds.flat_map(|kind| {
                let resource = move |name| {
                    ConfigResource::default()
                        .with_resource_name(StrBytes::from_string(name))
                        .with_resource_type(kind.code())
                };
                names(kind, &image).into_iter().map(resource)
            });
            response.with_config_resources(resources.collect())
        }
        None => response.with_error_code(ResponseError::UnsupportedVersion.code()),
    };
    answer::now(cx, version, &response)
}

/// `None` if a type is asked for that does not exist.
fn wanted(version: i16, request: &ListConfigResourcesRequest) -> Option<Vec<ResourceType>> {
    if version == 0 {
        return Some(vec![ResourceType::ClientMetrics]);
    }
    if request.resource_types.is_empty() {
        return Some(ALL.to_vec());
    }
    let codes = request.resource_types.iter().copied();
    codes.map(ResourceType::from_code).collect()
}

fn names(kind: ResourceType, image: &Image) -> Vec<String> {
    match kind {
        ResourceType::Topic => image.topics().map(|topic| topic.name.to_string()).collect(),
        ResourceType::Broker | ResourceType::BrokerLogger => {
            let live = image.brokers.values().filter(|broker| !broker.fenced);
            live.map(|broker| broker.id.to_string()).collect()
        }
        ResourceType::Group | ResourceType::ClientMetrics => image
            .configs
            .keys()
            .filter(|(code, _)| *code == kind.code())
            .map(|(_, name)| name.clone())
            .collect(),
    }
}
