//! The two brokers that are asked the same, each with its JVM of tools.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use protocol_tests::client::Connection;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::runner::Runner;
use super::{members, normal};
use crate::broker;

/// Settings of the real Kafka that say who and where it is, or that Ottla does not have.
const OWN_SETTINGS: [&str; 8] = [
    "process.roles",
    "node.id",
    "controller.",
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "log.dirs",
    "log.initial.task.delay.ms",
];

/// The one partition of the offsets topic.
const OFFSETS: &str = "__consumer_offsets-0";
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(20);

const TOOLS: &[(&str, &str)] = &[
    ("topics", "org.apache.kafka.tools.TopicCommand"),
    ("configs", "kafka.admin.ConfigCommand"),
    ("get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
    (
        "delete-records",
        "org.apache.kafka.tools.DeleteRecordsCommand",
    ),
    ("log-dirs", "org.apache.kafka.tools.LogDirsCommand"),
    (
        "broker-api-versions",
        "org.apache.kafka.tools.BrokerApiVersionsCommand",
    ),
    ("cluster", "org.apache.kafka.tools.ClusterTool"),
    (
        "metadata-quorum",
        "org.apache.kafka.tools.MetadataQuorumCommand",
    ),
    ("features", "org.apache.kafka.tools.FeatureCommand"),
    (
        "leader-election",
        "org.apache.kafka.tools.LeaderElectionCommand",
    ),
    ("transactions", "org.apache.kafka.tools.TransactionsCommand"),
    ("acls", "org.apache.kafka.tools.AclCommand"),
    (
        "reassign-partitions",
        "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    ),
    (
        "producer-perf-test",
        "org.apache.kafka.tools.ProducerPerformance",
    ),
    (
        "consumer-perf-test",
        "org.apache.kafka.tools.ConsumerPerformance",
    ),
    ("dump-log", "kafka.tools.DumpLogSegments"),
    (
        "consumer-groups",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    ),
    (
        "console-consumer",
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
    ),
    (
        "verifiable-producer",
        "org.apache.kafka.tools.VerifiableProducer",
    ),
    (
        "verifiable-consumer",
        "org.apache.kafka.tools.VerifiableConsumer",
    ),
];

pub struct Peers {
    ottla: Peer,
    kafka: Peer,
    _ottla: broker::Broker,
    real: RealKafka,
}

struct Peer {
    bootstrap: String,
    data: PathBuf,
    tools: Runner,
}

impl Peers {
    pub fn start(jars: &Path) -> Result<Peers> {
        let real = RealKafka::start()?;
        let settings = real.settings()?;
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let ottla = broker::start_process_with(&settings)?;
        Ok(Peers {
            ottla: Peer::new(&ottla.bootstrap, &ottla.data(), jars)?,
            kafka: Peer::new(&real.bootstrap, &real.data, jars)?,
            _ottla: ottla,
            real,
        })
    }

    /// Makes one call of a script on both at the same time.
    pub fn call(&mut self, call: &str) -> Result<(Vec<String>, Vec<String>)> {
        if let Some(words) = call.strip_prefix("member ") {
            let words: Vec<&str> = words.split_whitespace().collect();
            members::call(&self.ottla.bootstrap, &words).context("on Ottla")?;
            members::call(&self.kafka.bootstrap, &words).context("on Kafka")?;
            return Ok(Default::default());
        }
        if let Some(words) = call.strip_prefix("adopt ") {
            let words: Vec<&str> = words.split_whitespace().collect();
            let [group, topic, offset] = words[..] else {
                bail!("no such call: {call}");
            };
            members::commit(&self.ottla.bootstrap, group, topic, offset.parse()?)?;
            self.real.adopt(&self.ottla.data.join(OFFSETS))?;
            members::await_coordinator(&mut Connection::open(&self.kafka.bootstrap)?, group)?;
            return Ok(Default::default());
        }
        self.ottla.start(call)?;
        self.kafka.start(call)?;
        let ottla = self.ottla.lines();
        let ottla = ottla.with_context(|| format!("{call} on Ottla"))?;
        let kafka = self.kafka.lines();
        Ok((ottla, kafka.with_context(|| format!("{call} on Kafka"))?))
    }
}

impl Peer {
    fn new(bootstrap: &str, data: &Path, jars: &Path) -> Result<Peer> {
        Ok(Peer {
            bootstrap: bootstrap.to_owned(),
            data: data.to_owned(),
            tools: Runner::start(jars)?,
        })
    }

    fn start(&mut self, call: &str) -> Result<()> {
        let mut words = call.split_whitespace();
        let tool = words.next().context("a call")?;
        let class = TOOLS.iter().find(|(name, _)| *name == tool);
        let (_, class) = class.with_context(|| format!("no tool {tool}"))?;
        let mut arguments = Vec::new();
        for word in words {
            arguments.push(if word.starts_with('{') {
                self.tools.file("input.json", word)?.display().to_string()
            } else if let Some(rows) = word.strip_prefix('!') {
                self.tools.file("input.csv", rows)?.display().to_string()
            } else {
                word.replace('@', &self.bootstrap)
                    .replace('%', &self.data.display().to_string())
                    .replace('~', " ")
            });
        }
        match tool {
            // It is closed, and says what it did, when its JVM ends.
            "verifiable-producer" => self.tools.call_alone(class, &arguments),
            _ => self.tools.call(class, &arguments),
        }
    }

    /// What the call printed, but for what is this broker's own.
    fn lines(&mut self) -> Result<Vec<String>> {
        let mut output = self.tools.output()?;
        let (_, port) = self.bootstrap.rsplit_once(':').context("host:port")?;
        output.text = output
            .text
            .replace(&self.data.display().to_string(), "DATA")
            .replace(port, "PORT");
        Ok(normal::lines(&output))
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/oracle")
}

/// A Kafka of `scripts/oracle`.
struct RealKafka {
    bootstrap: String,
    data: PathBuf,
    script: Child,
    /// The script stops its Kafka when the command it runs ends, and that ends with its input.
    input: Option<ChildStdin>,
}

impl RealKafka {
    fn start() -> Result<RealKafka> {
        let mut script = Command::new(script())
            .args([
                "run",
                "sh",
                "-c",
                "echo $OTTLA_TEST_BOOTSTRAP $OTTLA_TEST_DATA; exec cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("running scripts/oracle")?;
        let input = script.stdin.take();
        let output = script.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let words: Option<(&str, &str)> = line.trim_end().split_once(' ');
        let (bootstrap, data) = words.context("the real Kafka did not start")?;
        Ok(RealKafka {
            bootstrap: bootstrap.to_owned(),
            data: PathBuf::from(data),
            script,
            input,
        })
    }
}

impl RealKafka {
    /// Kills it, puts Ottla's log of the offsets topic, as it is while Ottla runs, in the place of its
    /// own, and starts it again.
    fn adopt(&self, ottla: &Path) -> Result<()> {
        let home = self.data.parent().context("a directory")?;
        let pid: i32 = fs::read_to_string(home.join("pid"))?.trim().parse()?;
        let pid = Pid::from_raw(pid).context("a pid")?;
        kill_process(pid, Signal::KILL)?;
        while test_kill_process(pid).is_ok() {
            std::thread::sleep(BETWEEN_LOOKS); // between two looks
        }
        let own = self.data.join(OFFSETS);
        for entry in fs::read_dir(&own)?.flatten() {
            // Which has the topic's id: the topic is Kafka's.
            if entry.file_name() != "partition.metadata" {
                fs::remove_file(entry.path())?;
            }
        }
        for entry in fs::read_dir(ottla)?.flatten() {
            if entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "log")
            {
                fs::copy(entry.path(), own.join(entry.file_name()))?;
            }
        }
        let status = Command::new(script()).arg("restart").arg(home).status()?;
        ensure!(
            status.success(),
            "scripts/oracle restart ended with {status}"
        );
        Ok(())
    }

    /// What `scripts/oracle` sets: Ottla gets the same, or it would count as a difference.
    fn settings(&self) -> Result<Vec<String>> {
        let home = self.data.parent().context("a directory")?;
        let all = fs::read_to_string(home.join("server.properties"))?;
        let own = |line: &str| OWN_SETTINGS.iter().any(|own| line.starts_with(own));
        let is_setting = |line: &str| !line.starts_with('#') && line.contains('=');
        let lines = all.lines().filter(|line| is_setting(line) && !own(line));
        Ok(lines.map(str::to_owned).collect())
    }
}

impl Drop for RealKafka {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.script.wait(); // its data is removed by then
    }
}
