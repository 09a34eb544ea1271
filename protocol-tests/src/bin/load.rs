//! `load produce|fetch|tail|heartbeat|commit|rebalance|topic|…`: canned frames against any broker, one line of JSON as result.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::protocol::StrBytes;
use protocol_tests::client::Connection;
use protocol_tests::load::{self, Batches, Target};
use serde_json::{Value, json};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sends batches to the partitions in turn.
    Produce {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        batches: Batches,
        #[command(flatten)]
        pace: load::Pace,
    },
    /// Reads what `produce` with the same batches has left, again and again.
    Fetch {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        batches: Batches,
        #[command(flatten)]
        fetches: load::Fetches,
    },
    /// Produces at a rate while `--connections` consumers follow.
    Tail {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        batches: Batches,
        #[command(flatten)]
        tail: load::Tail,
    },
    /// Writes `--bytes` of records over so many keys.
    Keyed {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        batches: Batches,
        #[arg(long, default_value_t = 1_000_000)]
        keys: u64,
    },
    /// Starts a command and produces to a topic that does not exist: ms to the first
    /// acknowledgement, then ms from SIGTERM to the exit.
    First {
        #[command(flatten)]
        target: Target,
        /// The broker's command line.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Each connection is a member of a group of its own and sends heartbeats, one after the other.
    Heartbeat {
        #[command(flatten)]
        target: Target,
    },
    /// Each connection commits an offset of a group of its own, again and again.
    Commit {
        #[command(flatten)]
        target: Target,
    },
    /// `--connections` members form one group, then all join again.
    Rebalance {
        #[command(flatten)]
        target: Target,
    },
    /// `--connections` groups commit an offset of every partition.
    Fill {
        #[command(flatten)]
        target: Target,
    },
    /// How long it takes until what `fill` has committed can be fetched.
    Loaded {
        #[command(flatten)]
        target: Target,
    },
    /// Keeps idle connections until its input ends, and tells once they stand.
    Hold {
        #[command(flatten)]
        target: Target,
    },
    /// Creates, alters or deletes a topic.
    Topic {
        #[command(flatten)]
        target: Target,
        #[arg(long)]
        delete: bool,
        #[arg(long)]
        alter: bool,
        /// key=value
        #[arg(long)]
        config: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<Value> {
    match command {
        Command::Produce {
            target,
            batches,
            pace,
        } => load::produce(&target, &batches, &pace),
        Command::Fetch {
            target,
            batches,
            fetches,
        } => load::consume(&target, &batches, &fetches),
        Command::Tail {
            target,
            batches,
            tail,
        } => load::tail(&target, &batches, &tail),
        Command::Keyed {
            target,
            batches,
            keys,
        } => load::keyed(&target, &batches, keys),
        Command::First { target, command } => load::first_acknowledged(&target, &command),
        Command::Heartbeat { target } => load::heartbeat(&target),
        Command::Commit { target } => load::commit(&target),
        Command::Rebalance { target } => load::rebalance(&target),
        Command::Fill { target } => load::fill(&target),
        Command::Loaded { target } => load::loaded(&target),
        Command::Hold { target } => load::hold(&target),
        Command::Topic {
            target,
            delete,
            alter,
            config,
        } => topic(&target, delete, alter, &config),
    }
}

fn topic(target: &Target, delete: bool, alter: bool, config: &[String]) -> Result<Value> {
    let mut connection = Connection::open(&target.bootstrap)?;
    if delete {
        connection
            .delete_topic(&target.topic)?
            .map_err(|code| anyhow::anyhow!("deleting {}: {code:?}", target.topic))?;
        return Ok(json!({}));
    }
    let config: Result<Vec<(&str, &str)>> = config
        .iter()
        .map(|pair| pair.split_once('=').context("a config is key=value"))
        .collect();
    let config = config?;
    if alter {
        return alter_topic(&mut connection, &target.topic, &config);
    }
    let id = connection
        .create_topic(&target.topic, target.partitions, &config)?
        .map_err(|code| anyhow::anyhow!("creating {}: {code:?}", target.topic))?;
    for partition in 0..target.partitions {
        await_leader(&mut connection, &target.topic, partition)?;
    }
    Ok(json!({ "topic_id": format!("{id:?}") }))
}

fn alter_topic(connection: &mut Connection, topic: &str, config: &[(&str, &str)]) -> Result<Value> {
    const TOPIC: i8 = 2;
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let set = config.iter().map(|(key, value)| {
        AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(0)
            .with_value(Some(text(value)))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configs(set.collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = connection.call(&request, 1)?;
    for response in answer.responses {
        anyhow::ensure!(response.error_code == 0, "altering {topic}: {response:?}");
    }
    Ok(json!({}))
}

/// Kafka answers CreateTopics before the broker leads the partitions.
fn await_leader(connection: &mut Connection, topic: &str, partition: i32) -> Result<()> {
    const LATEST: i64 = -1;
    for _ in 0..1_000 {
        if connection.list_offset(topic, partition, LATEST)?.is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("nobody leads {topic}-{partition}")
}
