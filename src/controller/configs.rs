//! AlterConfigs and IncrementalAlterConfigs (R175–R178; kafka:ConfigAdminManager,
//! ConfigurationControlManager, ControllerConfigurationValidator). A resource changes as a whole
//! or not at all, and by itself. What Kafka judges on the broker that was asked and what on the
//! controller is judged here in that order, since both are this process.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::config::key::{Key, Type};
use crate::config::{
    Config, DynamicLayers, ResourceType, Scope, broker_keys, client_metrics_keys, group_keys,
    loggers, topic_keys,
};
use crate::controller::{Decision, Settings, names};
use crate::error::{Error, ResponseError};
use crate::metadata::image::Image;
use crate::metadata::records::MetadataRecord;

/// What one request asks of one resource.
#[derive(Clone, Debug)]
pub struct Alteration {
    /// Kafka's code; one that does not exist is refused.
    pub resource_type: i8,
    pub name: String,
    pub change: Change,
}

#[derive(Clone, Debug)]
pub enum Change {
    /// AlterConfigs: these and no others (R176).
    Replace(Vec<(String, Option<String>)>),
    Incremental(Vec<Operation>),
}

/// One key of an incremental change.
#[derive(Clone, Debug)]
pub struct Operation {
    pub key: String,
    /// Kafka's code: 0 SET, 1 DELETE, 2 APPEND, 3 SUBTRACT.
    pub code: i8,
    pub value: Option<String>,
}

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Configs = BTreeMap<String, String>;

/// What alterations are judged by, besides the image.
pub struct Judge<'a> {
    pub image: &'a Image,
    pub settings: &'a Settings,
}

/// One answer per alteration, in order. With `validate_only` the answers are the same and
/// nothing changes.
pub fn alter(
    image: &Image,
    settings: &Settings,
    alterations: &[Alteration],
    validate_only: bool,
) -> Decision<Vec<Result<(), Error>>> {
    let mut times: HashMap<(i8, &str), usize> = HashMap::new();
    for alteration in alterations {
        let resource = (alteration.resource_type, alteration.name.as_str());
        *times.entry(resource).or_default() += 1;
    }
    let judge = Judge { image, settings };
    let mut decision = Decision::only(Vec::with_capacity(alterations.len()));
    for alteration in alterations {
        let resource = (alteration.resource_type, alteration.name.as_str());
        let records = match times[&resource] {
            1 => judge.records(alteration),
            _ => Err(invalid_request("Each resource must appear at most once.")),
        };
        decision.reply.push(records.map(|records| {
            if !validate_only {
                decision.records.extend(records);
            }
        }));
    }
    decision
}

impl Judge<'_> {
    /// The records that make the change.
    fn records(&self, alteration: &Alteration) -> Result<Vec<MetadataRecord>, Error> {
        check_pairs(&alteration.change)?;
        let kind = ResourceType::from_code(alteration.resource_type);
        let replaces = matches!(alteration.change, Change::Replace(_));
        let kind = kind.filter(|kind| !(replaces && *kind == ResourceType::BrokerLogger));
        let kind = kind.ok_or_else(|| {
            let code = alteration.resource_type;
            invalid_request(format!("Unknown resource type {code}"))
        })?;
        let name = &alteration.name;
        self.check_resource(kind, name)?;
        let nothing = Configs::new();
        let existing = self.existing(kind, name).unwrap_or(&nothing);
        let proposed = propose(kind, existing, &alteration.change)?;
        let canonical = self.validate(kind, name, &proposed)?;
        let record = |(key, value): (&String, Option<&String>)| MetadataRecord::Config {
            resource_type: kind.code(),
            resource_name: name.clone(),
            name: key.clone(),
            value: value.cloned(),
        };
        let set = canonical
            .iter()
            .filter(|(key, value)| existing.get(*key) != Some(value))
            .map(|(key, value)| record((key, Some(value))));
        let removed = existing
            .keys()
            .filter(|key| !canonical.contains_key(*key))
            .map(|key| record((key, None)));
        Ok(set.chain(removed).collect())
    }

    fn existing(&self, kind: ResourceType, name: &str) -> Option<&Configs> {
        match kind {
            ResourceType::Topic => Some(&self.image.topic(name)?.configs),
            _ => self.image.configs_of(kind.code(), name),
        }
    }

    fn check_resource(&self, kind: ResourceType, name: &str) -> Result<(), Error> {
        match kind {
            ResourceType::Topic if name.is_empty() => {
                Err(invalid_request("Default topic resources are not allowed."))
            }
            ResourceType::Topic => {
                let invalid = |text| Error::new(ResponseError::InvalidTopicException, text);
                names::validate(name).map_err(invalid)?;
                match self.image.topic(name) {
                    Some(_) => Ok(()),
                    None => Err(Error::new(
                        ResponseError::UnknownTopicOrPartition,
                        format!("The topic '{name}' does not exist."),
                    )),
                }
            }
            ResourceType::Broker if name.is_empty() => Ok(()),
            ResourceType::Broker => {
                let expected =
                    |me| format!("Unexpected broker id, expected {me}, but received {name}");
                self.check_node(name, expected)
            }
            ResourceType::BrokerLogger => {
                let expected =
                    |me| format!("Unexpected node id. Expected {me}, but received {name}");
                self.check_node(name, expected)
            }
            ResourceType::Group if name.is_empty() => {
                Err(invalid_request("Default group resources are not allowed."))
            }
            ResourceType::ClientMetrics if name.is_empty() => {
                Err(invalid_request("Subscription name can't be empty"))
            }
            ResourceType::Group | ResourceType::ClientMetrics => Ok(()),
        }
    }

    fn check_node(&self, name: &str, unexpected: impl Fn(i32) -> String) -> Result<(), Error> {
        let me = self.settings.config.node_id.0;
        match name.parse::<i32>() {
            // Kafka also takes `01` for the node and stores it where nobody looks.
            Ok(id) if id == me && id.to_string() == name => Ok(()),
            Ok(_) => Err(invalid_request(unexpected(me))),
            Err(_) => Err(invalid_request(format!(
                "Node id must be an integer, but it is: {name}"
            ))),
        }
    }

    fn validate(
        &self,
        kind: ResourceType,
        name: &str,
        proposed: &Configs,
    ) -> Result<Configs, Error> {
        let invalid_config = |text| Error::new(ResponseError::InvalidConfig, text);
        let config: &Config = &self.settings.config;
        match kind {
            ResourceType::Topic => {
                (self.settings.validate_topic_configs)(proposed).map_err(invalid_config)
            }
            ResourceType::Broker => {
                let scope = match name.is_empty() {
                    true => Scope::ClusterDefault,
                    false => Scope::ThisBroker,
                };
                let current = self.image.dynamic_layers(config.node_id);
                let judged = config.validate_dynamic(scope, proposed, &current);
                judged.map_err(invalid_request)
            }
            ResourceType::Group => {
                // Groups start from what the broker was started with.
                let broker = config.dynamic(DynamicLayers::default()).configs;
                group_keys::validate_all(proposed, &broker).map_err(invalid_config)
            }
            ResourceType::ClientMetrics => client_metrics_keys::validate_all(proposed),
            ResourceType::BrokerLogger => Ok(proposed.clone()),
        }
    }
}

/// A key twice and null values refuse the whole resource before anything else is looked at.
fn check_pairs(change: &Change) -> Result<(), Error> {
    let pairs: Vec<(&str, bool)> = match change {
        Change::Replace(pairs) => {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| (key.as_str(), value.is_none()))
                .collect()
        }
        Change::Incremental(operations) => {
            let pairs = operations.iter();
            pairs
                .map(|it| (it.key.as_str(), it.code != DELETE && it.value.is_none()))
                .collect()
        }
    };
    let mut seen = HashSet::new();
    if !pairs.iter().all(|(key, _)| seen.insert(*key)) {
        return Err(invalid_request("Error due to duplicate config keys"));
    }
    let nulls = pairs.iter().filter(|(_, is_null)| *is_null);
    let nulls: Vec<&str> = nulls.map(|(key, _)| *key).collect();
    match nulls.is_empty() {
        true => Ok(()),
        false => Err(invalid_request(format!(
            "Null value not supported for : {}",
            nulls.join(", ")
        ))),
    }
}

/// All configs of the resource as they would be.
fn propose(kind: ResourceType, existing: &Configs, change: &Change) -> Result<Configs, Error> {
    let operations = match change {
        Change::Replace(pairs) => {
            let pairs = pairs.iter();
            let given =
                |(key, value): &(String, Option<String>)| Some((key.clone(), value.clone()?));
            return Ok(pairs.filter_map(given).collect());
        }
        Change::Incremental(operations) => operations,
    };
    let mut proposed = existing.clone();
    for operation in operations {
        let key = &operation.key;
        let value = operation.value.as_deref().unwrap_or("");
        if kind == ResourceType::BrokerLogger {
            check_logger(operation, value)?;
        }
        match operation.code {
            SET => {
                proposed.insert(key.clone(), value.to_owned());
            }
            DELETE => {
                proposed.remove(key);
            }
            APPEND | SUBTRACT => {
                let default = list_default(kind, operation)?;
                let current = proposed.get(key).map_or(default, String::as_str);
                if let Some(items) = changed_list(current, operation.code, value) {
                    proposed.insert(key.clone(), items);
                }
            }
            code => {
                let sentence = format!("Unknown operations type {code}");
                return Err(invalid_request(sentence));
            }
        }
    }
    Ok(proposed)
}

/// The list after APPEND or SUBTRACT; `None` where that changes nothing.
fn changed_list(current: &str, code: i8, value: &str) -> Option<String> {
    let items = |text: &str| -> Vec<String> {
        let items = text.split(',').map(|item| item.trim().to_owned());
        items.filter(|item| !item.is_empty()).collect()
    };
    let (before, mut after) = (items(current), items(current));
    for item in items(value) {
        match code {
            SUBTRACT => after.retain(|other| *other != item),
            _ if after.contains(&item) => {}
            _ => after.push(item),
        }
    }
    (before != after).then(|| after.join(","))
}

/// What APPEND and SUBTRACT start from where nothing is set; refused where the key is no list.
fn list_default(kind: ResourceType, operation: &Operation) -> Result<&'static str, Error> {
    let key = &operation.key;
    let entry: Option<&'static Key> = match kind {
        ResourceType::Topic => topic_keys::find(key),
        ResourceType::Broker => broker_keys::find_dynamic(key),
        // Kafka's controller knows the types of topic, broker and group keys only.
        ResourceType::Group => group_keys::find(key),
        ResourceType::ClientMetrics | ResourceType::BrokerLogger => None,
    };
    if let Some(entry) = entry.filter(|entry| entry.kind == Type::List) {
        return Ok(entry.default.unwrap_or(""));
    }
    let sentence = match (kind, operation.code) {
        (ResourceType::Broker, APPEND) => {
            format!("Config value append is not allowed for config key: {key}")
        }
        (ResourceType::Broker, _) => {
            format!("Config value subtract is not allowed for config key: {key}")
        }
        (_, APPEND) => format!("Can't APPEND to key {key} because its type is not LIST."),
        _ => format!("Can't SUBTRACT to key {key} because its type is not LIST."),
    };
    Err(Error::new(ResponseError::InvalidConfig, sentence))
}

/// kafka:RuntimeLoggerManager.
fn check_logger(operation: &Operation, level: &str) -> Result<(), Error> {
    let invalid_config = |text| Error::new(ResponseError::InvalidConfig, text);
    let logger = &operation.key;
    let refused = |name| {
        invalid_request(format!(
            "{name} operation is not allowed for the BROKER_LOGGER resource"
        ))
    };
    match operation.code {
        APPEND => return Err(refused("APPEND")),
        SUBTRACT => return Err(refused("SUBTRACT")),
        _ => {}
    }
    if !loggers::exists(logger) {
        return Err(invalid_config(format!("Logger {logger} does not exist!")));
    }
    match operation.code {
        SET => loggers::check_level(logger, level).map_err(invalid_config),
        DELETE if logger == loggers::ROOT => Err(invalid_request(
            "Removing the log level of the root logger is not allowed",
        )),
        _ => Ok(()),
    }
}

fn invalid_request(sentence: impl Into<String>) -> Error {
    Error::new(ResponseError::InvalidRequest, sentence)
}
