//! Members of consumer groups in one process, as ../../README.md tells under "Group members".

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::ClientContext;
use rdkafka::consumer::base_consumer::BaseConsumer;
use rdkafka::consumer::{CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::check::{NotApplicable, PATIENCE};
use crate::client::{self, Client};
use crate::groups;

pub type Place = (String, i32);

/// Between two looks at the commands.
const POLL: Duration = Duration::from_millis(50);

/// One command to a member: its words.
type Command = Vec<String>;

/// Runs commands from standard input until it ends.
pub fn serve(client: &Arc<Client>) -> Result<()> {
    let mut members: BTreeMap<String, Sender<Command>> = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split('\t').map(str::to_owned);
        let command = words.next().unwrap_or_default();
        let name = words.next().context("a command without a name")?;
        let arguments: Vec<String> = words.collect();
        if command == "open" {
            let (sender, receiver) = channel();
            let client = client.clone();
            members.insert(name.clone(), sender);
            std::thread::spawn(move || {
                attempt(&name, || Member::run(&client, &name, &arguments, &receiver));
            });
        } else if let Some(member) = members.get(&name) {
            let words = std::iter::once(command).chain(arguments).collect();
            // One that has failed no longer listens; it has said why.
            let _ = member.send(words);
        } else {
            attempt(&name, || {
                let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
                tell(&name, &groups::call(client, &command, &words)?);
                Ok(())
            });
        }
    }
    Ok(())
}

/// Tells how it failed, if it does.
fn attempt(name: &str, action: impl FnOnce() -> Result<()>) {
    let Err(e) = action() else { return };
    match e.downcast_ref::<NotApplicable>() {
        Some(reason) => tell(name, &["n/a".to_owned(), reason.to_string()]),
        None => {
            eprintln!("{name}: {e:?}");
            let sentence = format!("{e:#}");
            let words: Vec<&str> = sentence.split_whitespace().collect();
            tell(name, &["failed".to_owned(), words.join(" ")]);
        }
    }
}

fn tell(name: &str, words: &[String]) {
    // One call, so that lines of several threads do not mix.
    println!("{name}\t{}", words.join("\t"));
}

pub fn spelled<'a>(places: impl IntoIterator<Item = &'a Place>) -> String {
    let texts: BTreeSet<String> = places
        .into_iter()
        .map(|(t, p)| format!("{t}:{p}"))
        .collect();
    texts.into_iter().collect::<Vec<_>>().join(",")
}

/// What librdkafka calls.
struct Events {
    name: String,
    owned: Mutex<BTreeSet<Place>>,
}

impl ClientContext for Events {}

impl ConsumerContext for Events {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        match rebalance {
            Rebalance::Assign(places) => {
                owned.extend(places.to_topic_map().into_keys());
                tell(&self.name, &["assigned".to_owned(), spelled(&*owned)]);
            }
            Rebalance::Revoke(places) => {
                let gone: BTreeSet<Place> = places.to_topic_map().into_keys().collect();
                owned.retain(|place| !gone.contains(place));
                tell(&self.name, &["revoked".to_owned(), spelled(&gone)]);
            }
            Rebalance::Error(e) => tell(&self.name, &["failed".to_owned(), e.to_string()]),
        }
    }
}

struct Member {
    name: String,
    inner: BaseConsumer<Events>,
}

impl Member {
    fn run(
        client: &Client,
        name: &str,
        arguments: &[String],
        commands: &Receiver<Command>,
    ) -> Result<()> {
        let member = Member::open(client, name, arguments)?;
        loop {
            while let Ok(command) = commands.try_recv() {
                let words: Vec<&str> = command.iter().map(String::as_str).collect();
                if words == ["close"] {
                    drop(member.inner); // leaves
                    tell(name, &["closed".to_owned()]);
                    return Ok(());
                }
                member.obey(&words)?;
            }
            member.poll()?;
        }
    }

    fn open(client: &Client, name: &str, arguments: &[String]) -> Result<Member> {
        let (group, options) = arguments.split_first().context("no group")?;
        let options: BTreeMap<&str, &str> =
            options.iter().filter_map(|o| o.split_once('=')).collect();
        let option = |key, default| options.get(key).copied().unwrap_or(default);
        let mut config = client::common(&client.bootstrap);
        config.set("group.id", group);
        config.set("session.timeout.ms", option("session", "6000"));
        config.set("heartbeat.interval.ms", "300");
        config.set("auto.offset.reset", option("reset", "earliest"));
        let commits_itself = option("commits", "never") == "auto";
        config.set("enable.auto.commit", commits_itself.to_string());
        config.set("auto.commit.interval.ms", "100");
        config.set("fetch.wait.max.ms", "50");
        config.set(
            "partition.assignment.strategy",
            match option("assignor", "range") {
                "cooperative" => "cooperative-sticky",
                other => other,
            },
        );
        if let Some(instance) = options.get("instance") {
            config.set("group.instance.id", *instance);
        }
        let inner = config.create_with_context(Events {
            name: name.to_owned(),
            owned: Mutex::default(),
        })?;
        let member = Member {
            name: name.to_owned(),
            inner,
        };
        // A topic whose name begins with ^ is a pattern.
        match options.get("pattern") {
            Some(pattern) => member.inner.subscribe(&[pattern])?,
            None => member
                .inner
                .subscribe(&option("topics", "").split(',').collect::<Vec<_>>())?,
        }
        Ok(member)
    }

    fn poll(&self) -> Result<()> {
        match self.inner.poll(POLL) {
            None => Ok(()),
            // Connections come and go when a broker is restarted.
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
            ))) => Ok(()),
            Some(Err(e)) => Err(e.into()),
            Some(Ok(message)) => {
                let value = String::from_utf8_lossy(message.payload().unwrap_or_default());
                tell(
                    &self.name,
                    &[
                        "record".to_owned(),
                        message.topic().to_owned(),
                        message.partition().to_string(),
                        message.offset().to_string(),
                        value.into_owned(),
                    ],
                );
                Ok(())
            }
        }
    }

    fn obey(&self, words: &[&str]) -> Result<()> {
        let answer = match words {
            ["commit", "sync"] => {
                self.inner.commit_consumer_state(CommitMode::Sync)?;
                "committed"
            }
            ["commit", _] => {
                // The crate's callback does not come: that it is sent is all there is to tell.
                self.inner.commit_consumer_state(CommitMode::Async)?;
                "committed"
            }
            ["pause", topic, partition] => {
                self.inner.pause(&list(topic, partition)?)?;
                "paused"
            }
            ["resume", topic, partition] => {
                self.inner.resume(&list(topic, partition)?)?;
                "resumed"
            }
            ["seek", topic, partition, offset] => {
                let to = Offset::Offset(offset.parse()?);
                self.inner.seek(topic, partition.parse()?, to, PATIENCE)?;
                "sought"
            }
            _ => bail!("no such command: {words:?}"),
        };
        tell(&self.name, &[answer.to_owned()]);
        Ok(())
    }
}

fn list(topic: &str, partition: &str) -> Result<TopicPartitionList> {
    let partition = partition
        .parse()
        .map_err(|_| anyhow!("no partition: {partition}"))?;
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    Ok(list)
}
