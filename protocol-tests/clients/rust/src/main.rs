//! The scenarios of ../README.md with the crate rdkafka, which is librdkafka.

mod admin;
mod check;
mod client;
mod consume;
mod formats;
mod groups;
mod members;
mod produce;
mod records;
mod restart;
mod topics;

use std::process::exit;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Result, anyhow};

use check::NotApplicable;
use client::Client;

const SCENARIO_DEADLINE: Duration = Duration::from_secs(200);

/// Answers with a detail, such as what the client cannot express.
type Scenario = Arc<dyn Fn(&Client, &str) -> Result<&'static str> + Send + Sync>;

struct Arguments {
    bootstrap: String,
    prefix: String,
    chosen: Vec<String>,
    read_topics: Option<String>,
    hosts_members: bool,
}

fn main() -> Result<()> {
    let arguments = arguments();
    let client = Arc::new(Client::new(&arguments.bootstrap)?);
    if arguments.hosts_members {
        return members::serve(&client);
    }
    if let Some(topics) = arguments.read_topics {
        let read: Scenario = Arc::new(formats::read);
        for topic in topics.split(',') {
            report(topic, &client, topic, &read);
        }
        return Ok(());
    }
    for (name, scenario) in scenarios() {
        let by_default = arguments.chosen.is_empty() && !name.starts_with("restart-");
        if by_default || arguments.chosen.contains(&name) {
            let topic = format!("{}-{name}", arguments.prefix);
            report(&name, &client, &topic, &scenario);
        }
    }
    // A scenario that missed its deadline has left a thread behind.
    exit(0)
}

fn arguments() -> Arguments {
    let (mut bootstrap, mut prefix, mut read_topics) = (None, None, None);
    let mut chosen = Vec::new();
    let known: Vec<String> = scenarios().into_iter().map(|(name, _)| name).collect();
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let hosts_members = words.last().is_some_and(|word| word == "--members");
    if hosts_members {
        words.pop();
    }
    let mut words = words.into_iter();
    while let Some(option) = words.next() {
        match (option.as_str(), words.next()) {
            ("--bootstrap", value @ Some(_)) => bootstrap = value,
            ("--prefix", value @ Some(_)) => prefix = value,
            ("--read-topics", value @ Some(_)) => read_topics = value,
            ("--scenario", Some(name)) if known.contains(&name) => chosen.push(name),
            _ => usage(),
        }
    }
    let (Some(bootstrap), Some(prefix)) = (bootstrap, prefix) else {
        usage();
    };
    Arguments {
        bootstrap,
        prefix,
        chosen,
        read_topics,
        hosts_members,
    }
}

fn usage() -> ! {
    eprintln!(
        "usage: --bootstrap HOST:PORT --prefix UNIQUE [--scenario NAME]... [--read-topics TOPIC,TOPIC,...] [--members]"
    );
    exit(2)
}

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

type Run = fn(&Client, &str) -> Result<&'static str>;

const SCENARIOS: &[(&str, Run)] = &[
    ("create-topic", topics::create_topic),
    ("auto-create", topics::auto_create),
    ("delete-and-recreate", topics::delete_and_recreate),
    ("produce-consume", produce::produce_consume),
    ("idempotent-produce", produce::idempotent_produce),
    ("record-at-limit", produce::record_at_limit),
    ("record-too-large", produce::record_too_large),
    ("consume-earliest", consume::earliest),
    ("consume-latest", consume::latest),
    ("consume-from-offset", consume::from_offset),
    ("consume-from-timestamp", consume::from_timestamp),
    ("describe-cluster", admin::describe_cluster),
    ("create-partitions", topics::create_partitions),
    ("describe-configs", admin::describe_configs),
    ("alter-retention", admin::alter_retention),
    ("alter-timestamp-type", admin::alter_timestamp_type),
    ("alter-compression", admin::alter_compression),
    ("alter-max-message-bytes", admin::alter_max_message_bytes),
    ("delete-records", admin::delete_records),
    ("describe-log-dirs", admin::describe_log_dirs),
    ("list-offsets", consume::list_offsets),
    ("many-partitions", topics::many_partitions),
    ("large-batches", produce::large_batches),
    ("restart-produce", restart::produce),
    ("restart-consume", restart::consume),
];

fn scenarios() -> Vec<(String, Scenario)> {
    let mut all: Vec<(String, Scenario)> = Vec::new();
    for (name, run) in SCENARIOS {
        all.push(((*name).to_owned(), Arc::new(*run)));
    }
    for codec in CODECS {
        let run = move |client: &Client, topic: &str| produce::codec(client, topic, codec);
        all.push((format!("codec-{codec}"), Arc::new(run)));
        let run = move |client: &Client, topic: &str| formats::write(client, topic, codec);
        all.push((format!("formats-{codec}"), Arc::new(run)));
    }
    all
}

fn report(name: &str, client: &Arc<Client>, topic: &str, scenario: &Scenario) {
    let (sender, receiver) = channel();
    let (client, topic, scenario) = (client.clone(), topic.to_owned(), scenario.clone());
    std::thread::spawn(move || {
        // Nobody listens any more after the deadline.
        let _ = sender.send(scenario(&client, &topic));
    });
    let result = receiver
        .recv_timeout(SCENARIO_DEADLINE)
        .unwrap_or_else(|e| match e {
            RecvTimeoutError::Timeout => Err(anyhow!("not done within {SCENARIO_DEADLINE:?}")),
            RecvTimeoutError::Disconnected => Err(anyhow!("panicked, see stderr")),
        });
    match result {
        Ok(detail) => println!("{name}\tok\t{detail}"),
        Err(e) => match e.downcast_ref::<NotApplicable>() {
            Some(reason) => println!("{name}\tn/a\t{reason}"),
            None => {
                eprintln!("{name}: {e:?}");
                let sentence = format!("{e:#}");
                let words: Vec<&str> = sentence.split_whitespace().collect();
                println!("{name}\tfail\t{}", words.join(" "));
            }
        },
    }
}
