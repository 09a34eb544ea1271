//! The matrix client × scenario: real clients run every scenario of `clients/README.md`, and a cell
//! that is not ok, or n/a with its reason, fails the test. `OTTLA_TEST_BOOTSTRAP` points it at a
//! broker that already runs, such as a real Kafka; otherwise it starts Ottla.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::{broker, stored_batches};

/// A whole program takes 5 to 10 s; a slow machine may need several times that.
const PROGRAM_DEADLINE_S: &str = "150";
/// Clients mostly wait; two at a time keep two cores busy and the broker under some load.
const AT_A_TIME: usize = 2;

const SCENARIOS: &[&str] = &[
    "create-topic",
    "auto-create",
    "delete-and-recreate",
    "produce-consume",
    "codec-none",
    "codec-gzip",
    "codec-snappy",
    "codec-lz4",
    "codec-zstd",
    "idempotent-produce",
    "record-at-limit",
    "record-too-large",
    "consume-earliest",
    "consume-latest",
    "consume-from-offset",
    "consume-from-timestamp",
];

/// In the order of their ids in a batch's attributes.
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

struct Client {
    name: &'static str,
    /// Words that may name `$TOOLS` (what scripts/setup installed) and `$CLIENTS`.
    command: &'static str,
}

const CLIENTS: &[Client] = &[
    Client {
        name: "confluent",
        command: "$TOOLS/python/bin/python $CLIENTS/python/confluent.py",
    },
    Client {
        name: "kafka-python",
        command: "$TOOLS/python/bin/python $CLIENTS/python/kafka_python.py",
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
        name: "kcat",
        command: "$CLIENTS/kcat/run",
    },
];

enum Cell {
    Ok { restriction: String },
    NotApplicable { reason: String },
    Fail { reason: String },
}

/// A client's results by scenario.
type Column = BTreeMap<String, Cell>;

#[test]
fn every_client_passes_every_scenario() -> Result<()> {
    let (bootstrap, _ottla) = match std::env::var("OTTLA_TEST_BOOTSTRAP") {
        Ok(bootstrap) => (bootstrap, None),
        Err(_) => {
            let ottla = broker::start_process()?;
            (ottla.bootstrap.clone(), Some(ottla))
        }
    };
    let columns = run_all(&bootstrap)?;
    let (table, passed) = render(&columns);
    println!("{table}");
    assert!(passed, "a cell of the matrix failed");
    Ok(())
}

fn run_all(bootstrap: &str) -> Result<BTreeMap<&'static str, Column>> {
    let waiting: Mutex<VecDeque<&Client>> = Mutex::new(CLIENTS.iter().collect());
    let take = || {
        waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    let worker = || -> Result<Vec<(&'static str, Column)>> {
        std::iter::from_fn(take)
            .map(|client| Ok((client.name, run(client, bootstrap)?)))
            .collect()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(worker)).collect();
        let mut columns = BTreeMap::new();
        for worker in workers {
            columns.extend(
                worker
                    .join()
                    .map_err(|_| anyhow::anyhow!("a worker panicked"))??,
            );
        }
        Ok(columns)
    })
}

fn run(client: &Client, bootstrap: &str) -> Result<Column> {
    let prefix = format!("{}-{}", client.name, std::process::id());
    let output = Command::new("timeout")
        .args(["--signal=KILL", PROGRAM_DEADLINE_S])
        .args(words(client.command)?)
        .args(["--bootstrap", bootstrap, "--prefix", &prefix])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .context("running `timeout`")?;
    let mut column: Column = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(parse)
        .collect();
    for scenario in SCENARIOS {
        column
            .entry((*scenario).to_owned())
            .or_insert_with(|| Cell::Fail {
                reason: format!("no result; the program ended with {}", output.status),
            });
    }
    for (id, codec) in (0..).zip(CODECS) {
        check_stored_codec(&mut column, bootstrap, &prefix, codec, id);
    }
    if column
        .values()
        .any(|cell| matches!(cell, Cell::Fail { .. }))
    {
        eprintln!(
            "--- stderr of {}\n{}",
            client.name,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(column)
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
fn parse(line: &str) -> Option<(String, Cell)> {
    let mut fields = line.splitn(3, '\t');
    let (name, result) = (fields.next()?.to_owned(), fields.next()?);
    let detail = fields.next().unwrap_or_default().trim().to_owned();
    let cell = match result {
        "ok" => Cell::Ok {
            restriction: detail,
        },
        "n/a" if !detail.is_empty() => Cell::NotApplicable { reason: detail },
        "n/a" => Cell::Fail {
            reason: "n/a without a reason".to_owned(),
        },
        _ => Cell::Fail { reason: detail },
    };
    Some((name, cell))
}

fn check_stored_codec(column: &mut Column, bootstrap: &str, prefix: &str, codec: &str, id: u16) {
    let scenario = format!("codec-{codec}");
    if !matches!(column.get(&scenario), Some(Cell::Ok { .. })) {
        return;
    }
    let reason = match stored_batches::codecs(bootstrap, &format!("{prefix}-{scenario}")) {
        Ok(stored) if stored.iter().eq([&id]) => return,
        Ok(stored) => format!("wanted codec {id} in every stored batch, found {stored:?}"),
        Err(e) => format!("reading the stored batches: {e:#}"),
    };
    column.insert(scenario, Cell::Fail { reason });
}

/// The table with its footnotes, and whether all is well.
fn render(columns: &BTreeMap<&'static str, Column>) -> (String, bool) {
    let mut passed = true;
    let mut notes: Vec<String> = Vec::new();
    let mut table = format!("{:24}", "scenario");
    for client in CLIENTS {
        let _ = write!(table, "{:16}", client.name); // writing to a String cannot fail
    }
    for scenario in SCENARIOS {
        let _ = write!(table, "\n{scenario:24}");
        for client in CLIENTS {
            let cell = columns
                .get(client.name)
                .and_then(|column| column.get(*scenario));
            let (word, note) = match cell {
                Some(Cell::Ok { restriction }) => ("ok", restriction.as_str()),
                Some(Cell::NotApplicable { reason }) => ("n/a", reason.as_str()),
                Some(Cell::Fail { reason }) => ("FAIL", reason.as_str()),
                None => ("FAIL", "was not run"),
            };
            passed &= word != "FAIL";
            let mark = footnote(&mut notes, client.name, note);
            let _ = write!(table, "{:16}", format!("{word}{mark}"));
        }
    }
    for (number, note) in (1..).zip(&notes) {
        let _ = write!(table, "\n[{number}] {note}");
    }
    (table, passed)
}

/// ` [n]` for a note, the same n for the same words.
fn footnote(notes: &mut Vec<String>, client: &str, note: &str) -> String {
    if note.is_empty() {
        return String::new();
    }
    let note = format!("{client}: {note}");
    let index = notes
        .iter()
        .position(|known| *known == note)
        .unwrap_or_else(|| {
            notes.push(note);
            notes.len() - 1
        });
    format!(" [{}]", index + 1)
}
