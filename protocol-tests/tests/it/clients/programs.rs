//! The client programs, and one run of one of them.

use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use super::{Cell, Column};

/// A whole program takes 10 to 20 s; a slow machine may need several times that.
const PROGRAM_DEADLINE_S: &str = "600";

pub struct Client {
    pub name: &'static str,
    /// Words that may name `$TOOLS` (what scripts/setup installed) and `$CLIENTS`.
    command: &'static str,
}

pub const CLIENTS: &[Client] = &[
    Client {
        name: "confluent",
        command: "$TOOLS/python/bin/python $CLIENTS/python/confluent.py",
    },
    Client {
        name: "kafka-python",
        command: "$TOOLS/python/bin/python $CLIENTS/python/kafka_python.py",
    },
    Client {
        name: "kafka-python-2.0.2",
        command: "$TOOLS/python-old/bin/python $CLIENTS/python/kafka_python_2_0_2.py",
    },
    Client {
        name: "aiokafka",
        command: "$TOOLS/python/bin/python $CLIENTS/python/aio.py",
    },
    Client {
        name: "java-4.3.1",
        command: "java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
                  -cp $TOOLS/java-4.3.1/classes:$TOOLS/java-4.3.1/lib/* Main",
    },
    Client {
        name: "java-2.8.2",
        command: "java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
                  -cp $TOOLS/java-2.8.2/classes:$TOOLS/java-2.8.2/lib/* Main",
    },
    Client {
        name: "java-1.1.1",
        command: "java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
                  -cp $TOOLS/java-1.1.1/classes:$TOOLS/java-1.1.1/lib/* Main",
    },
    Client {
        name: "kcat",
        command: "$CLIENTS/kcat/run",
    },
    Client {
        name: "franz-go",
        command: "$TOOLS/go/clients franz-go",
    },
    Client {
        name: "sarama",
        command: "$TOOLS/go/clients sarama",
    },
    Client {
        name: "sarama-2.1",
        command: "$TOOLS/go/clients sarama-2.1",
    },
    Client {
        name: "kafka-go",
        command: "$TOOLS/go/clients kafka-go",
    },
    Client {
        name: "kafkajs",
        command: "env NODE_PATH=$TOOLS/node/node_modules node $CLIENTS/node/main.js",
    },
    Client {
        name: "rust-rdkafka",
        command: "$TOOLS/rust/release/ottla-client-rdkafka",
    },
];

/// What a program said and how it ended.
pub struct Ran {
    pub lines: Vec<String>,
    status: ExitStatus,
    stderr: String,
}

impl Client {
    /// What this client's topics begin with in this test run.
    pub fn prefix(&self) -> String {
        format!("{}-{}", self.name, std::process::id())
    }

    /// The program below a `timeout`, which makes a process group of it and what it starts.
    pub fn command(&self, bootstrap: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", PROGRAM_DEADLINE_S])
            .args(words(self.command)?)
            .args(["--bootstrap", bootstrap])
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }

    /// Runs the program to its end; `restart` is called whenever it asks for another broker process.
    pub fn run(
        &self,
        bootstrap: &str,
        arguments: &[&str],
        mut restart: impl FnMut() -> Result<()>,
    ) -> Result<Ran> {
        let mut stderr = tempfile::tempfile()?;
        let mut child = self
            .command(bootstrap, arguments)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone()?)
            .spawn()
            .context("running `timeout`")?;
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut lines = Vec::new();
        for line in BufReader::new(stdout).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            if line == "restart-broker" {
                restart()?;
                // A program that has given up no longer listens; its result line says why.
                let _ = writeln!(stdin, "restarted");
            } else {
                lines.push(line);
            }
        }
        let status = child.wait()?;
        let mut traces = Vec::new();
        stderr.rewind()?;
        stderr.read_to_end(&mut traces)?;
        Ok(Ran {
            lines,
            status,
            stderr: String::from_utf8_lossy(&traces).into_owned(),
        })
    }
}

impl Ran {
    /// The cells of `scenarios`; traces of a program with a failed one go to stderr.
    pub fn column(&self, client: &Client, scenarios: &[&str], real_kafka: bool) -> Column {
        let mut column: Column = self
            .lines
            .iter()
            .filter_map(|line| parse(line, real_kafka))
            .collect();
        for scenario in scenarios {
            column.entry((*scenario).to_owned()).or_insert_with(|| {
                Cell::fail(format!("no result; the program ended with {}", self.status))
            });
        }
        if column.values().any(|c| matches!(c, Cell::Fail { .. })) {
            eprintln!("--- stderr of {}\n{}", client.name, self.stderr);
        }
        column
    }
}

fn words(command: &str) -> Result<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = root
        .join("../target/test-tools")
        .canonicalize()
        .context("the clients are not installed: run scripts/setup")?;
    let clients = root.join("clients");
    let place = |word: &str| {
        word.replace("$TOOLS", &tools.to_string_lossy())
            .replace("$CLIENTS", &clients.to_string_lossy())
    };
    Ok(command.split_whitespace().map(place).collect())
}

/// A line of a client program: `NAME<TAB>ok|fail|n/a<TAB>detail`.
pub fn parse(line: &str, real_kafka: bool) -> Option<(String, Cell)> {
    let mut fields = line.splitn(3, '\t');
    let (name, result) = (fields.next()?.to_owned(), fields.next()?);
    let detail = fields.next().unwrap_or_default().trim().to_owned();
    let cell = match result {
        "ok" => Cell::Ok {
            restriction: detail,
        },
        "n/a" if detail.is_empty() => Cell::fail("n/a without a reason"),
        // Only a real Kafka may lack what a client needs.
        "n/a" if detail.starts_with("broker:") && !real_kafka => Cell::fail(detail),
        "n/a" => Cell::NotApplicable { reason: detail },
        _ => Cell::fail(detail),
    };
    Some((name, cell))
}
