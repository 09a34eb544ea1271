//! DescribeConfigs (32), v0–4; v0 by `protocol::legacy` (R14). v1 adds sources and synonyms, v3
//! types and documentation, v4 the flexible encoding. Topics, this broker and the default of all,
//! loggers, client-metrics subscriptions and groups (R240–R248); another broker's configs are
//! asked of that broker. Every resource has its own error, but that one of an unknown type has all
//! of its request refused, as with Kafka.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Outcome, RequestContext, answer};
use crate::broker::Shared;
use crate::config::entry::{describe_client_metrics, describe_group, describe_loggers};
use crate::config::{ConfigEntry, DynamicLayers, ResourceType, Synonym};
use crate::controller::names;
use crate::error::{Error, ResponseError};
use crate::metadata::topic_config;
use crate::protocol::legacy;

const LEGACY_VERSION: i16 = 0;
/// Kafka's text of INVALID_REQUEST where nothing better is known.
const MALFORMED: &str = "This most likely occurs because of a request being malformed by the \
                         client library or the message was sent to an incompatible broker. See \
                         the broker logs for more details.";

pub fn handle(cx: &RequestContext, request: DescribeConfigsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let answer = Answer {
        shared: cx.shared,
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    let is_known = |resource: &DescribeConfigsResource| {
        ResourceType::from_code(resource.resource_type).is_some()
    };
    let all_known = request.resources.iter().all(is_known);
    let results = request.resources.iter().map(|resource| match all_known {
        true => answer.to(resource),
        false => refused(resource, invalid_request(MALFORMED)),
    });
    let response = DescribeConfigsResponse::default().with_results(results.collect());
    Outcome::Answer(match version {
        LEGACY_VERSION => answer::encode_legacy(correlation_id, |out| {
            legacy::encode_describe_configs(&response, out);
        }),
        _ => answer::encode(correlation_id, version, &response),
    })
}

struct Answer<'a> {
    shared: &'a Shared,
    synonyms: bool,
    documentation: bool,
}

impl Answer<'_> {
    fn to(&self, resource: &DescribeConfigsResource) -> DescribeConfigsResult {
        let entries = match self.entries(resource) {
            Ok(entries) => entries,
            Err(error) => return refused(resource, error),
        };
        // No keys, null or empty, are all keys.
        let wanted = resource.configuration_keys.iter().flatten();
        let wanted: Vec<&str> = wanted.map(|key| key.as_str()).collect();
        let entries = entries
            .into_iter()
            .filter(|entry| wanted.is_empty() || wanted.contains(&entry.name.as_str()));
        result_of(resource)
            .with_error_message(Some(StrBytes::from_static_str("")))
            .with_configs(entries.map(|entry| self.encode(entry)).collect())
    }

    fn entries(&self, resource: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, Error> {
        let name = resource.resource_name.as_str();
        let image = self.shared.image();
        let kind = ResourceType::from_code(resource.resource_type);
        let kind = kind.ok_or_else(|| invalid_request(MALFORMED))?;
        let overrides = image.configs_of(kind.code(), name);
        match kind {
            ResourceType::Topic => {
                let invalid = |text| Error::new(ResponseError::InvalidTopicException, text);
                names::validate(name).map_err(invalid)?;
                let topic = image.topic(name);
                let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
                let defaults = &self.shared.dynamic().topic_defaults;
                Ok(topic_config::describe(&topic.configs, defaults))
            }
            ResourceType::Broker => {
                let configs = &self.shared.dynamic().configs;
                if name.is_empty() {
                    return Ok(configs.describe_cluster_default());
                }
                self.check_broker(name, "or empty string, but received")?;
                Ok(configs.describe())
            }
            ResourceType::BrokerLogger => {
                if name.is_empty() {
                    return Err(invalid_request("Broker id must not be empty"));
                }
                self.check_broker(name, "but received")?;
                let overrides = image.configs_of(kind.code(), &self.me().to_string());
                Ok(describe_loggers(overrides, &self.shared.config.log_level))
            }
            ResourceType::ClientMetrics if name.is_empty() => Err(invalid_request(
                "Client metrics subscription name must not be empty",
            )),
            ResourceType::ClientMetrics => Ok(describe_client_metrics(overrides)),
            ResourceType::Group if name.is_empty() => {
                Err(invalid_request("Group name must not be empty"))
            }
            ResourceType::Group => {
                let broker = self.shared.config.dynamic(DynamicLayers::default());
                Ok(describe_group(overrides, &broker.configs))
            }
        }
    }

    fn me(&self) -> i32 {
        self.shared.config.node_id.0
    }

    fn check_broker(&self, name: &str, instead: &str) -> Result<(), Error> {
        let me = self.me();
        match name.parse::<i32>() {
            Ok(id) if id == me => Ok(()),
            Ok(id) => Err(invalid_request(&format!(
                "Unexpected broker id, expected {me} {instead} {id}"
            ))),
            Err(_) => Err(invalid_request(&format!(
                "Broker id must be an integer, but it is: {name}"
            ))),
        }
    }

    fn encode(&self, entry: ConfigEntry) -> DescribeConfigsResourceResult {
        let documentation = entry.documentation.filter(|_| self.documentation);
        let synonyms = entry.synonyms.into_iter().filter(|_| self.synonyms);
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_string(entry.name))
            .with_value(entry.value.map(StrBytes::from_string))
            .with_read_only(entry.is_read_only)
            .with_config_source(entry.source.code())
            .with_is_sensitive(entry.is_sensitive)
            .with_synonyms(synonyms.map(synonym).collect())
            .with_config_type(entry.type_code)
            .with_documentation(documentation.map(StrBytes::from_static_str))
    }
}

fn synonym(synonym: Synonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_string(synonym.name))
        .with_value(synonym.value.map(StrBytes::from_string))
        .with_source(synonym.source.code())
}

fn result_of(resource: &DescribeConfigsResource) -> DescribeConfigsResult {
    DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone())
}

fn refused(resource: &DescribeConfigsResource, error: Error) -> DescribeConfigsResult {
    result_of(resource)
        .with_error_code(error.code.code())
        .with_error_message(Some(answer::sentence(error.message.unwrap_or_default())))
}

fn invalid_request(sentence: &str) -> Error {
    Error::new(ResponseError::InvalidRequest, sentence)
}
