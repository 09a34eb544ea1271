//! The matrix client × scenario: real clients run every scenario of `clients/README.md`, and a cell
//! that is not ok, or n/a with its reason, fails the test. `OTTLA_TEST_BOOTSTRAP` points it at a
//! broker that already runs, such as a real Kafka; otherwise it starts Ottla.
//!
//! Every program is started several times: for the scenarios during which the broker is killed and
//! started again, for the other scenarios, to be members of consumer groups (`groups`), and to read
//! what all programs have written.

mod formats;
mod groups;
mod programs;
mod subject;
mod suite;
mod table;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Result, anyhow};

use crate::stored_batches::{self, StoredBatch};
use formats::Reading;
use programs::{CLIENTS, Client};
use subject::Subject;

/// Clients mostly wait; two at a time keep two cores busy and the broker under some load.
const AT_A_TIME: usize = 2;
/// Members of groups wait even more: for heartbeats, and for sessions to end.
const GROUPS_AT_A_TIME: usize = 4;

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
    "describe-cluster",
    "create-partitions",
    "describe-configs",
    "alter-retention",
    "alter-timestamp-type",
    "alter-compression",
    "alter-max-message-bytes",
    "delete-records",
    "describe-log-dirs",
    "list-offsets",
    "many-partitions",
    "large-batches",
    "formats-none",
    "formats-gzip",
    "formats-snappy",
    "formats-lz4",
    "formats-zstd",
    READ_FORMATS,
    "restart-produce",
    "restart-consume",
    groups::RESTART,
    "group-join",
    "group-cooperative",
    "group-static",
    "group-two-groups",
    "group-grow",
    "group-regex",
    "group-pause",
    "group-commit",
    "group-auto-commit",
    "group-seek",
    "group-reset",
    "group-describe",
    "group-offsets",
    "group-delete",
    "group-remove-member",
    "group-crash",
    "group-stall",
];

/// The one cell that the runner fills from the second start of a program.
const READ_FORMATS: &str = "read-formats";

/// In the order of their ids in a batch's attributes.
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// What precedes the blocks of xerial's snappy stream; librdkafka writes raw blocks without it.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
/// A record of `large-batches` has 1,000,000 bytes, and five of them go into one batch.
const LARGE_BATCH: usize = 4_000_000;

enum Cell {
    Ok { restriction: String },
    NotApplicable { reason: String },
    Fail { reason: String },
}

impl Cell {
    fn fail(reason: impl Into<String>) -> Cell {
        Cell::Fail {
            reason: reason.into(),
        }
    }
}

/// A client's results by scenario.
type Column = BTreeMap<String, Cell>;

struct Matrix {
    columns: BTreeMap<&'static str, Column>,
    /// The stored snappy batches of `formats-snappy` by client, from their first payload byte on.
    snappy: BTreeMap<&'static str, Vec<StoredBatch>>,
}

/// All programs, run once for all tests of this file.
fn matrix() -> &'static Matrix {
    static MATRIX: OnceLock<Result<Matrix, String>> = OnceLock::new();
    match MATRIX.get_or_init(|| run_all().map_err(|e| format!("{e:#}"))) {
        Ok(matrix) => matrix,
        Err(e) => panic!("the matrix could not be run: {e}"),
    }
}

#[test]
fn every_client_passes_every_scenario() {
    let (table, passed) = table::render(&matrix().columns);
    println!("{table}");
    assert!(passed, "a cell of the matrix failed");
}

#[test]
fn r25_kafka_python_2_0_2_infers_the_release_from_the_ranges_and_works() {
    matrix().passes("kafka-python-2.0.2", |_| true);
}

#[test]
fn r26_kcat_1_7_1_produces_with_each_codec_and_reads_it_back() {
    matrix().passes("kcat", |_| true);
}

#[test]
fn r28_librdkafka_keeps_its_codecs() {
    for client in ["kcat", "confluent"] {
        matrix().passes(client, |s| s.starts_with("codec-"));
    }
}

#[test]
fn r222_batches_of_every_codec_and_client_are_read_by_all_others() {
    for client in CLIENTS {
        matrix().passes(client.name, |s| s.contains("formats"));
    }
}

#[test]
fn r223_raw_and_xerial_snappy_are_stored_as_sent_and_read_by_all_clients() {
    let framed = |client| {
        let batches = &matrix().snappy[client];
        assert!(!batches.is_empty(), "no snappy batches of {client}");
        batches.iter().all(|b| b.payload.starts_with(XERIAL_MAGIC))
    };
    assert!(framed("java-4.3.1"), "Java writes xerial's framing");
    assert!(!framed("kcat"), "librdkafka writes raw snappy");
    for client in CLIENTS {
        matrix().passes(client.name, |s| s == READ_FORMATS);
    }
}

impl Matrix {
    /// Fails the test at the first of the `wanted` cells that is not ok or n/a.
    fn passes(&self, client: &str, wanted: impl Fn(&str) -> bool) {
        for scenario in chosen(wanted) {
            match self.columns[client].get(scenario) {
                Some(Cell::Fail { reason }) => panic!("{client} {scenario}: {reason}"),
                None => panic!("{client} {scenario}: was not run"),
                Some(Cell::Ok { .. } | Cell::NotApplicable { .. }) => {}
            }
        }
    }
}

fn run_all() -> Result<Matrix> {
    let subject = Subject::from_environment()?;
    let bootstrap = subject.bootstrap();
    // First, while a broker that all share has little to recover; and one after the other there.
    let at_a_time = subject.restartable_at_a_time(AT_A_TIME);
    let restarted = for_each_client(at_a_time, |client| {
        subject.run_restarts(client, &chosen(|s| s.starts_with("restart-")))
    })?;
    let mut matrix = Matrix {
        columns: for_each_client(AT_A_TIME, |client| {
            run_scenarios(client, &subject, bootstrap)
        })?,
        snappy: BTreeMap::new(),
    };
    let grouped = for_each_client(GROUPS_AT_A_TIME, |client| groups::run(client, bootstrap))?;
    for (client, column) in restarted.into_iter().chain(grouped) {
        matrix.columns.entry(client).or_default().extend(column);
    }
    for client in CLIENTS {
        check_stored(&mut matrix, client, bootstrap);
    }
    read_formats(&mut matrix, bootstrap)?;
    Ok(matrix)
}

fn chosen(wanted: impl Fn(&str) -> bool) -> Vec<&'static str> {
    SCENARIOS.iter().copied().filter(|s| wanted(s)).collect()
}

fn run_scenarios(client: &Client, subject: &Subject, bootstrap: &str) -> Result<Column> {
    let scenarios =
        chosen(|s| s != READ_FORMATS && !s.starts_with("restart-") && !s.starts_with("group-"));
    let ran = client.run(bootstrap, &["--prefix", &client.prefix()], || Ok(()))?;
    Ok(ran.column(client, &scenarios, subject.is_real_kafka()))
}

/// Runs `work` for all clients, `at_a_time` of them together.
fn for_each_client<T: Send>(
    at_a_time: usize,
    work: impl Fn(&'static Client) -> Result<T> + Sync,
) -> Result<BTreeMap<&'static str, T>> {
    let waiting: Mutex<VecDeque<&Client>> = Mutex::new(CLIENTS.iter().collect());
    let take = || {
        waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    let worker = || -> Result<Vec<(&'static str, T)>> {
        std::iter::from_fn(take)
            .map(|client| Ok((client.name, work(client)?)))
            .collect()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(worker)).collect();
        let mut results = BTreeMap::new();
        for worker in workers {
            results.extend(worker.join().map_err(|_| anyhow!("a worker panicked"))??);
        }
        Ok(results)
    })
}

/// What the client cannot see: codecs and sizes of the batches it caused.
fn check_stored(matrix: &mut Matrix, client: &'static Client, bootstrap: &str) {
    let Some(column) = matrix.columns.get_mut(client.name) else {
        return;
    };
    for (id, codec) in (0..).zip(CODECS) {
        check_batches(column, client, bootstrap, &format!("codec-{codec}"), |b| {
            let stored = stored_batches::codecs(b);
            (stored == [id]).then_some(()).ok_or(format!(
                "wanted codec {id} in every stored batch, found {stored:?}"
            ))
        });
        let formats = check_batches(
            column,
            client,
            bootstrap,
            &format!("formats-{codec}"),
            |b| {
                let stored = stored_batches::codecs(b);
                let found = stored.contains(&id);
                found
                    .then_some(())
                    .ok_or(format!("no stored batch has codec {id}, only {stored:?}"))
            },
        );
        if codec == "snappy" {
            let compressed = formats.into_iter().filter(|b| b.codec == id).collect();
            matrix.snappy.insert(client.name, compressed);
        }
    }
    check_batches(column, client, bootstrap, "alter-compression", |b| {
        let stored = stored_batches::codecs(b);
        (stored == [0, 1])
            .then_some(())
            .ok_or(format!("wanted codec 0 and then 1, found {stored:?}"))
    });
    check_batches(column, client, bootstrap, "large-batches", |b| {
        let largest = b.iter().map(|b| b.length).max().unwrap_or(0);
        (largest > LARGE_BATCH)
            .then_some(())
            .ok_or(format!("the largest stored batch has {largest} bytes"))
    });
}

/// Judges the stored batches of a scenario that is ok so far, and returns them.
fn check_batches(
    column: &mut Column,
    client: &Client,
    bootstrap: &str,
    scenario: &str,
    judge: impl Fn(&[StoredBatch]) -> Result<(), String>,
) -> Vec<StoredBatch> {
    if !matches!(column.get(scenario), Some(Cell::Ok { .. })) {
        return Vec::new();
    }
    let topic = format!("{}-{scenario}", client.prefix());
    let verdict = stored_batches::read(bootstrap, &topic)
        .map_err(|e| format!("reading the stored batches: {e:#}"))
        .and_then(|batches| judge(&batches).map(|()| batches));
    match verdict {
        Ok(batches) => batches,
        Err(reason) => {
            column.insert(scenario.to_owned(), Cell::Fail { reason });
            Vec::new()
        }
    }
}

/// Every program reads what every program wrote.
fn read_formats(matrix: &mut Matrix, bootstrap: &str) -> Result<()> {
    let mut topics = Vec::new();
    for (client, codec) in CLIENTS.iter().flat_map(|c| CODECS.map(|codec| (c, codec))) {
        let scenario = format!("formats-{codec}");
        let cell = matrix
            .columns
            .get(client.name)
            .and_then(|c| c.get(&scenario));
        if matches!(cell, Some(Cell::Ok { .. })) {
            topics.push(format!("{}-{scenario}", client.prefix()));
        }
    }
    let list = topics.join(",");
    let readings: BTreeMap<&str, Reading> = for_each_client(AT_A_TIME, |client| {
        let arguments = ["--prefix", &client.prefix(), "--read-topics", &list];
        let ran = client.run(bootstrap, &arguments, || Ok(()))?;
        Ok(Reading::parse(&ran.lines))
    })?;
    for (client, cell) in formats::judge(&topics, &readings) {
        if let Some(column) = matrix.columns.get_mut(client) {
            column.insert(READ_FORMATS.to_owned(), cell);
        }
    }
    Ok(())
}
