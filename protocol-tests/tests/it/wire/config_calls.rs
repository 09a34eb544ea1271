//! Describing and altering configs, as the tests of section 7 and 4.9 do it.

use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as ReplacedResource, AlterableConfig as ReplacedConfig,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
};

use super::Subject;
use super::calls::{poll, text};
use super::client::Client;

pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
pub const LOGGER: i8 = 8;
pub const CLIENT_METRICS: i8 = 16;
pub const GROUP: i8 = 32;

/// An operation of IncrementalAlterConfigs: key, code, value.
pub type Operation<'a> = (&'a str, i8, Option<&'a str>);

pub fn set<'a>(key: &'a str, value: &'a str) -> Operation<'a> {
    (key, 0, Some(value))
}

pub fn delete(key: &str) -> Operation<'_> {
    (key, 1, None)
}

pub fn append<'a>(key: &'a str, value: &'a str) -> Operation<'a> {
    (key, 2, Some(value))
}

pub fn subtract<'a>(key: &'a str, value: &'a str) -> Operation<'a> {
    (key, 3, Some(value))
}

/// Error code and message.
pub type Refusal = (i16, Option<String>);

pub const OK: Refusal = (0, None);

pub fn refused(code: i16, message: &str) -> Refusal {
    (code, Some(message.to_owned()))
}

pub fn resource(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResource {
    DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()))
}

pub fn altered(kind: i8, name: &str, operations: &[Operation<'_>]) -> AlterConfigsResource {
    let configs = operations.iter().map(|(key, code, value)| {
        AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(*code)
            .with_value(value.map(text))
    });
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(configs.collect())
}

impl Client {
    /// One resource, with synonyms and documentation; all keys where none are named.
    #[track_caller]
    pub fn describe(&mut self, kind: i8, name: &str, keys: &[&str]) -> DescribeConfigsResult {
        let request = DescribeConfigsRequest::default()
            .with_resources(vec![resource(kind, name, Some(keys))])
            .with_include_synonyms(true)
            .with_include_documentation(true);
        let mut answer = self.call(4, &request);
        assert_eq!(answer.results.len(), 1, "{answer:?}");
        answer.results.remove(0)
    }

    /// One key that must be there.
    #[track_caller]
    pub fn config(&mut self, kind: i8, name: &str, key: &str) -> DescribeConfigsResourceResult {
        let mut described = self.describe(kind, name, &[key]);
        assert_eq!(described.error_code, 0, "{described:?}");
        assert_eq!(described.configs.len(), 1, "{key}: {described:?}");
        described.configs.remove(0)
    }

    /// IncrementalAlterConfigs of one resource.
    #[track_caller]
    pub fn alter(&mut self, kind: i8, name: &str, operations: &[Operation<'_>]) -> Refusal {
        let mut all = self.alter_all(vec![altered(kind, name, operations)], false);
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[track_caller]
    pub fn alter_all(
        &mut self,
        resources: Vec<AlterConfigsResource>,
        validate_only: bool,
    ) -> Vec<Refusal> {
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(resources)
            .with_validate_only(validate_only);
        let answer = self.call(1, &request);
        let entries = answer.responses.into_iter();
        entries
            .map(|entry| (entry.error_code, entry.error_message.map(|m| m.to_string())))
            .collect()
    }

    /// AlterConfigs of one resource.
    #[track_caller]
    pub fn replace(
        &mut self,
        kind: i8,
        name: &str,
        configs: &[(&str, Option<&str>)],
        validate_only: bool,
    ) -> Refusal {
        let configs = configs.iter().map(|(key, value)| {
            ReplacedConfig::default()
                .with_name(text(key))
                .with_value(value.map(text))
        });
        let replaced = ReplacedResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configs(configs.collect());
        let request = AlterConfigsRequest::default()
            .with_resources(vec![replaced])
            .with_validate_only(validate_only);
        let mut answer = self.call(2, &request);
        assert_eq!(answer.responses.len(), 1, "{answer:?}");
        let entry = answer.responses.remove(0);
        (entry.error_code, entry.error_message.map(|m| m.to_string()))
    }
}

impl Subject {
    /// A change is in force when its answer comes (R178). Kafka applies it a moment later.
    #[track_caller]
    pub fn in_force<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        match self.differs(true, false) {
            true => look().unwrap_or_else(|| panic!("{what} is not in force with the answer")),
            false => poll(what, look),
        }
    }

    /// Waits until a key has a value and source.
    #[track_caller]
    pub fn await_config(&self, kind: i8, name: &str, key: &str, expected: (Option<&str>, i8)) {
        let mut client = self.connect();
        self.in_force(&format!("{key} {expected:?}"), || {
            let described = client.describe(kind, name, &[key]);
            let config = described.configs.first()?;
            ((config.value.as_deref(), config.config_source) == expected).then_some(())
        });
    }
}

/// Name, value and source of each synonym.
pub fn synonyms(config: &DescribeConfigsResourceResult) -> Vec<(&str, Option<&str>, i8)> {
    let synonyms = config.synonyms.iter();
    synonyms
        .map(|it| (it.name.as_str(), it.value.as_deref(), it.source))
        .collect()
}
