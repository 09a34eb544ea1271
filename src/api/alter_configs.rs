//! AlterConfigs (33), v0–2; v2 is the flexible encoding. Replaces all configs of topics, brokers,
//! client-metrics subscriptions and groups: what is not named returns to its default (R176). Old
//! tools use it (R211). Loggers are left out, as in Kafka.

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::{Outcome, Parked, RequestContext, answer};
use crate::controller::configs::{Alteration, Change};

pub fn handle(cx: &RequestContext, request: AlterConfigsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let shared = cx.shared.clone();
    Parked::exclusive(async move {
        let alterations = request.resources.iter().map(|resource| {
            let configs = resource.configs.iter().map(|config| {
                let value = config.value.as_ref().map(|value| value.to_string());
                (config.name.to_string(), value)
            });
            Alteration {
                resource_type: resource.resource_type,
                name: resource.resource_name.to_string(),
                change: Change::Replace(configs.collect()),
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
        let response = AlterConfigsResponse::default().with_responses(entries.collect());
        answer::encode(correlation_id, version, &response)
    })
}
