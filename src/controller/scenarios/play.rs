//! Plays a script of commands to a controller and writes down what happens.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::config::{Config, SecurityProtocol};
use crate::controller::brokers::{self, Registration};
use crate::controller::elections::{self, Election, Electorate};
use crate::controller::partitions::{self, MorePartitions};
use crate::controller::topics::{self, NewTopic, TopicSelector};
use crate::controller::{
    Decision, METADATA_VERSION, METADATA_VERSION_FEATURE, MIN_METADATA_VERSION, Settings,
    as_log_records, bootstrap, first_record_offset, producer_ids,
};
use crate::error::Error;
use crate::metadata::image::{Endpoint, Image, MetadataOffset};
use crate::metadata::records::{BrokerFeature, MetadataRecord};
use crate::metadata::replay::Replay;
use crate::types::{BrokerId, TopicId};

/// A controller whose decisions are committed at once.
struct Story {
    replay: Replay,
    settings: Settings,
    told: String,
}

pub(super) fn play(script: &str) -> String {
    let mut next_id = 0;
    let mut story = Story {
        replay: Replay::after(Image::empty("cluster")),
        settings: Settings {
            num_partitions: 2,
            default_replication_factor: 1,
            validate_topic_configs: Box::new(validate),
            config: Config::from_properties(BTreeMap::new()).expect("valid"),
            new_topic_id: Box::new(move || {
                next_id += 1;
                TopicId(Uuid::from_u128(next_id))
            }),
        },
        told: String::new(),
    };
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        story.tell(line);
    }
    story.told
}

fn validate(configs: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    match configs.keys().find(|key| !key.ends_with(".ms")) {
        Some(unknown) => Err(format!("Unknown topic config name: {unknown}")),
        None => Ok(configs.clone()),
    }
}

impl Story {
    fn tell(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (records, answer) = self.decide(&words);
        self.told += &format!("{line} -> {answer}\n");
        for record in &records {
            self.told += &format!("    {}\n", describe(record));
        }
        let log = as_log_records(records, "test");
        let first = self.replay.image().applied.0 + 1;
        let numbered = (first..).map(MetadataOffset).zip(log).collect();
        self.replay
            .apply(numbered)
            .expect("a decision fits its image");
    }

    fn decide(&mut self, words: &[&str]) -> (Vec<MetadataRecord>, String) {
        let image = self.replay.image();
        let option = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
        match words[0] {
            "bootstrap" => (bootstrap(image), "ok".to_owned()),
            "register" => {
                let id = BrokerId(words[1].parse().unwrap());
                let registration = Registration {
                    broker_id: id,
                    incarnation: Uuid::from_u128(option("inc=").unwrap().parse().unwrap()),
                    endpoints: vec![Endpoint {
                        listener: "PLAINTEXT".to_owned(),
                        host: "localhost".to_owned(),
                        port: 9092,
                        security_protocol: SecurityProtocol::Plaintext,
                    }],
                    rack: None,
                    features: vec![BrokerFeature {
                        name: METADATA_VERSION_FEATURE.to_owned(),
                        min_supported_version: MIN_METADATA_VERSION,
                        max_supported_version: METADATA_VERSION,
                    }],
                    log_dirs: vec![Uuid::from_u128(100 + id.0 as u128)],
                    previous_epoch: option("prev=").map(|epoch| epoch.parse().unwrap()),
                    unfenced: words.contains(&"live"),
                };
                let end = MetadataOffset(image.applied.0 + 1);
                let count = brokers::register(image, registration.clone(), end)
                    .records
                    .len();
                let offset = first_record_offset(end, count);
                told(brokers::register(image, registration, offset))
            }
            "fence" | "unfence" => {
                let id = BrokerId(words[1].parse().unwrap());
                let epoch = option("epoch=").map(|epoch| epoch.parse().unwrap());
                let epoch = epoch
                    .or(image.brokers.get(&id).map(|it| it.epoch))
                    .unwrap_or(-1);
                let fenced = words[0] == "fence";
                told(brokers::set_fenced(image, id, epoch, fenced))
            }
            "ids" => {
                let epoch = image.brokers.get(&BrokerId(1)).map_or(-1, |it| it.epoch);
                told(producer_ids::allocate(image, BrokerId(1), epoch))
            }
            "unregister" => told(brokers::unregister(
                image,
                BrokerId(words[1].parse().unwrap()),
            )),
            "enlarge" => self.enlarge(words),
            "elect" => self.elect(words),
            "create" => self.create(words),
            "delete" => self.delete(words),
            other => panic!("no command {other}"),
        }
    }

    fn create(&mut self, words: &[&str]) -> (Vec<MetadataRecord>, String) {
        let image = self.replay.image();
        let topics: Vec<NewTopic> = words[1]
            .split(',')
            .map(|name| new_topic(name, words))
            .collect();
        let validate_only = words.contains(&"validate");
        let decision = topics::create(image, &mut self.settings, topics, validate_only);
        let answers = decision.reply.into_iter().map(|answer| {
            short(answer.map(|it| {
                format!(
                    "{} p={} rf={} {:?}",
                    it.name, it.num_partitions, it.replication_factor, it.configs
                )
            }))
        });
        (decision.records, answers.collect::<Vec<_>>().join(" | "))
    }

    fn delete(&mut self, words: &[&str]) -> (Vec<MetadataRecord>, String) {
        let image = self.replay.image();
        let selectors: Vec<TopicSelector> = words[1].split(',').map(selector).collect();
        let decision = topics::delete(image, &selectors);
        let answers = decision
            .reply
            .into_iter()
            .map(|answer| short(answer.map(|it| format!("{} {}", it.name, it.id.0.as_u128()))));
        (decision.records, answers.collect::<Vec<_>>().join(" | "))
    }

    /// `enlarge t count`, with `at=1+2;2` (replicas of each new partition).
    fn enlarge(&mut self, words: &[&str]) -> (Vec<MetadataRecord>, String) {
        let assignments = words.iter().find_map(|word| word.strip_prefix("at="));
        let assignments = assignments.map(|at| {
            at.split(';')
                .map(brokers_of)
                .collect::<Vec<Vec<BrokerId>>>()
        });
        let wanted: Vec<MorePartitions> = words[1]
            .split(',')
            .map(|topic| MorePartitions {
                topic: topic.to_owned(),
                count: words[2].parse().unwrap(),
                assignments: assignments.clone(),
            })
            .collect();
        let validate_only = words.contains(&"validate");
        let decision = partitions::create(self.replay.image(), &wanted, validate_only);
        let answers = decision
            .reply
            .into_iter()
            .map(|answer| short(answer.map(|()| "ok".to_owned())));
        (decision.records, answers.collect::<Vec<_>>().join(" | "))
    }

    /// `elect preferred|unclean [t:0+1]`.
    fn elect(&mut self, words: &[&str]) -> (Vec<MetadataRecord>, String) {
        let election = match words[1] {
            "preferred" => Election::Preferred,
            _ => Election::Unclean,
        };
        let electorate = words.get(2).map(|word| {
            let (topic, partitions) = word.split_once(':').unwrap();
            let partitions = partitions.split('+').map(|it| it.parse().unwrap());
            vec![Electorate {
                topic: topic.to_owned(),
                partitions: partitions.collect(),
            }]
        });
        let decision = elections::elect(self.replay.image(), election, electorate);
        let answers = decision.reply.into_iter().flat_map(|elected| {
            let topic = elected.topic;
            elected.partitions.into_iter().map(move |(index, outcome)| {
                let outcome = short(outcome.map(|()| "ok".to_owned()));
                format!("{topic}-{index} {outcome}")
            })
        });
        (decision.records, answers.collect::<Vec<_>>().join(" | "))
    }
}

fn selector(word: &str) -> TopicSelector {
    match word.strip_prefix('#') {
        Some(id) => TopicSelector::Id(TopicId(Uuid::from_u128(id.parse().unwrap()))),
        None => TopicSelector::Name(word.to_owned()),
    }
}

/// Options of `create`: p=, rf=, at=0:1+2;1:2 (assignments), k.ms=v or k.ms (null).
fn new_topic(name: &str, words: &[&str]) -> NewTopic {
    let mut topic = NewTopic::with_defaults(name);
    for word in &words[2..] {
        match word.split_once('=') {
            Some(("p", count)) => topic.num_partitions = count.parse().unwrap(),
            Some(("rf", count)) => topic.replication_factor = count.parse().unwrap(),
            Some(("at", assignments)) => {
                topic.assignments = assignments.split(';').map(assignment).collect();
            }
            Some((key, value)) => topic.configs.push((key.to_owned(), Some(value.to_owned()))),
            None if *word == "validate" => {}
            None => topic.configs.push(((*word).to_owned(), None)),
        }
    }
    topic
}

fn assignment(text: &str) -> (i32, Vec<BrokerId>) {
    let (index, replicas) = text.split_once(':').unwrap();
    (index.parse().unwrap(), brokers_of(replicas))
}

fn brokers_of(text: &str) -> Vec<BrokerId> {
    let ids = text.split('+').filter(|id| !id.is_empty());
    ids.map(|id| BrokerId(id.parse().unwrap())).collect()
}

fn told<T: std::fmt::Debug>(decision: Decision<Result<T, Error>>) -> (Vec<MetadataRecord>, String) {
    (
        decision.records,
        short(decision.reply.map(|answer| format!("{answer:?}"))),
    )
}

pub(super) fn short(answer: Result<String, Error>) -> String {
    answer.unwrap_or_else(|error| format!("{} {error}", error.code.code()))
}

fn ids(brokers: &[BrokerId]) -> String {
    let ids: Vec<String> = brokers.iter().map(BrokerId::to_string).collect();
    format!("[{}]", ids.join(" "))
}

fn describe(record: &MetadataRecord) -> String {
    let leader = |leader: Option<BrokerId>| leader.map_or("none".to_owned(), |id| id.to_string());
    match record {
        MetadataRecord::RegisterBroker(it) => {
            format!(
                "RegisterBroker {} epoch={} fenced={}",
                it.broker_id, it.broker_epoch, it.fenced
            )
        }
        MetadataRecord::BrokerRegistrationChange(it) => {
            format!(
                "BrokerRegistrationChange {} fenced={:?}",
                it.broker_id, it.fenced
            )
        }
        MetadataRecord::Topic { name, topic_id } => {
            format!("Topic {name} id={}", topic_id.0.as_u128())
        }
        MetadataRecord::Partition(it) => format!(
            "Partition {}-{} leader={} replicas={} isr={} dirs={:?}",
            it.topic_id.0.as_u128(),
            it.partition_id,
            leader(it.leader),
            ids(&it.replicas),
            ids(&it.isr),
            it.directories.iter().map(Uuid::as_u128).collect::<Vec<_>>(),
        ),
        MetadataRecord::PartitionChange(it) => {
            let isr = it
                .isr
                .as_ref()
                .map_or(String::new(), |isr| format!(" isr={}", ids(isr)));
            let leader = it
                .leader
                .map_or(String::new(), |it| format!(" leader={}", leader(it)));
            format!(
                "PartitionChange {}-{}{isr}{leader}{}",
                it.topic_id.0.as_u128(),
                it.partition_id,
                if it.recovering == Some(true) {
                    " recovering"
                } else {
                    ""
                },
            )
        }
        MetadataRecord::Config {
            resource_name,
            name,
            value,
            ..
        } => {
            format!("Config {resource_name} {name}={value:?}")
        }
        MetadataRecord::RemoveTopic { topic_id } => format!("RemoveTopic {}", topic_id.0.as_u128()),
        other => format!("{other:?}"),
    }
}
