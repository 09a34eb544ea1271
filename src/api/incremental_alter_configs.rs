//! IncrementalAlterConfigs (44), v0–1; v1 is the flexible encoding. Sets, deletes, appends to and
//! subtracts from single keys of topics, brokers, loggers, client-metrics subscriptions and groups
//! (KIP-339, R175–R178). A resource changes as a whole or not at all.

use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::{Outcome, Parked, RequestContext, answer};
use crate::controller::configs::{Alteration, Change, Operation};

pub fn handle(cx: &RequestContext, request: IncrementalAlterConfigsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let shared = cx.shared.clone();
    Parked::exclusive(async move {
        let alterations = request.resources.iter().map(|resource| {
            let operations = resource.configs.iter().map(|config| Operation {
                key: config.name.to_string(),
                code: config.config_operation,
                value: config.value.as_ref().map(|value| value.to_string()),
            });
            Alteration {
                resource_type: resource.resource_type,
                name: resource.resource_name.to_string(),
                change: Change::Incremental(operations.collect()),
            }
        });
        let altered = shared
            .controller
            .alter_configs(alterations.collect(), request.validate_only)
            .await;
        let entries = request.resources.iter().zip(altered);
        let entries = entries.map(|(resource, result)| {
            let entry = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match result {
                Ok(()) => entry.with_error_message(None),
                Err(error) => entry
                    .with_error_code(error.code.code())
                    .with_error_message(error.message.map(answer::sentence)),
            }
        });
        let response = IncrementalAlterConfigsResponse::default().with_responses(entries.collect());
        answer::encode(correlation_id, version, &response)
    })
}
