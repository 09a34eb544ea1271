//! kafka-python's own integration tests, unmodified, from its source distribution: what passes on a
//! real Kafka passes on Ottla. Those that need TLS or SASL start brokers of their own and are left
//! out. `OTTLA_TEST_BOOTSTRAP` with `OTTLA_ORACLE_SETTINGS=num.partitions=4` has them judge a Kafka.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::broker;

const FILES: &[&str] = &[
    "test/integration/test_admin_integration.py",
    "test/integration/test_consumer_integration.py",
    "test/integration/test_producer_integration.py",
];

/// What the tests expect of a broker: its id, four partitions for each topic, sessions of 3 s.
const SETTINGS: &[&str] = &[
    "node.id=0",
    "num.partitions=4",
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=500",
];

/// The whole run takes half a minute; a test that hangs ends after this.
const TEST_DEADLINE_S: &str = "180";
/// How often a test is run whose consumer has forgotten its topic, see [`forgot_its_topic`].
const ATTEMPTS: u32 = 3;
const FEWEST_PASSED: usize = 49;

/// A test that is not run, and why.
struct Exception {
    test: &'static str,
    on: On,
    reason: &'static str,
}

#[derive(PartialEq)]
enum On {
    Ottla,
    Kafka,
    Both,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        test: "test_create_describe_delete_acls",
        on: On::Both,
        reason: "no authorizer is configured",
    },
    Exception {
        test: "test_create_partitions",
        on: On::Kafka,
        reason: "it assigns partitions to broker 0, and this Kafka is broker 1",
    },
    Exception {
        test: "test_transactional_producer_messages",
        on: On::Ottla,
        reason: "transactions are not built yet",
    },
    Exception {
        test: "test_transactional_producer_offsets",
        on: On::Ottla,
        reason: "transactions are not built yet",
    },
    Exception {
        test: "test_alter_partition_reassignments",
        on: On::Ottla,
        reason: "AlterPartitionReassignments comes with more than one broker",
    },
    Exception {
        test: "test_describe_configs_broker_resource_returns_configs",
        on: On::Ottla,
        reason: "it wants advertised.listeners to be read-only; ours can be changed (deliberate)",
    },
];

#[test]
fn kafka_pythons_own_tests_pass() -> Result<()> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools/python-suite");
    if !home.is_dir() {
        eprintln!("skipped: kafka-python's tests are not installed, scripts/setup does it");
        return Ok(());
    }
    let Ok(bootstrap) = std::env::var("OTTLA_TEST_BOOTSTRAP") else {
        return judge(&On::Ottla, |tests, exceptions| {
            let ottla = broker::start_process_with(SETTINGS)?;
            run(&home, &ottla.bootstrap, tests, exceptions)
        });
    };
    let given = std::env::var("OTTLA_ORACLE_SETTINGS").unwrap_or_default();
    if !given.split(' ').any(|it| it == "num.partitions=4") {
        eprintln!("skipped on Kafka: it wants four partitions for each topic");
        return Ok(());
    }
    judge(&On::Kafka, |tests, exceptions| {
        run(&home, &bootstrap, tests, exceptions)
    })
}

/// Verdicts by test, and all that was printed.
type Ran = (BTreeMap<String, String>, String);

/// `run` is given files, or single tests, and what to leave out of them.
fn judge(subject: &On, run: impl Fn(&[String], &[&Exception]) -> Result<Ran>) -> Result<()> {
    let exceptions: Vec<&Exception> = EXCEPTIONS
        .iter()
        .filter(|it| it.on == *subject || it.on == On::Both)
        .collect();
    let files: Vec<String> = FILES.iter().map(|&file| file.to_owned()).collect();
    let (mut verdicts, mut printed) = run(&files, &exceptions)?;
    for _ in 1..ATTEMPTS {
        let failed = verdicts.iter().filter(|(_, verdict)| *verdict != "PASSED");
        let failed: Vec<String> = failed.map(|(test, _)| test.clone()).collect();
        if failed.is_empty() || !failed.iter().all(|it| forgot_its_topic(it, &printed)) {
            break;
        }
        println!("kafka-python: {failed:?} forgot their topics, once more");
        let (again, said) = run(&failed, &exceptions)?;
        verdicts.extend(again);
        printed = said;
    }
    for Exception { test, reason, .. } in &exceptions {
        println!("kafka-python: {test} is not run: {reason}");
    }
    let of = |verdict: &str| -> Vec<&str> {
        let verdicts = verdicts.iter().filter(|(_, it)| *it == verdict);
        verdicts.map(|(test, _)| &**test).collect()
    };
    let passed = of("PASSED").len();
    println!("kafka-python: {passed} of its own tests passed");
    let failed = [of("FAILED"), of("ERROR")].concat();
    ensure!(failed.is_empty(), "{printed}\nfailed: {failed:?}");
    ensure!(passed >= FEWEST_PASSED, "{printed}\nonly {passed} were run");
    Ok(())
}

/// A race inside kafka-python 3.0.12 (ClusterMetadata.update_metadata): a consumer that subscribes
/// while its first Metadata request, which names no topics, is under way takes the answer for one
/// about its topic, and asks again after five minutes. No broker can help it; a fast one meets it
/// more often. Its trace is a subscription before the last metadata, which knows no topic.
fn forgot_its_topic(test: &str, printed: &str) -> bool {
    let name = test.rsplit("::").next().unwrap_or(test);
    let is_header =
        |line: &&str| line.starts_with('_') && line.ends_with('_') && line.contains(' ');
    let mut of_test = printed.lines().skip_while(|line| {
        let title = line.trim_matches('_').trim();
        !(is_header(line) && title == name)
    });
    let story: Vec<&str> = of_test
        .by_ref()
        .skip(1)
        .take_while(|line| !is_header(line))
        .collect();
    let last = |text: &str| story.iter().rposition(|line| line.contains(text));
    let (subscribed, updated) = (
        last("Updating subscribed topics to"),
        last("Updated metadata: ClusterMetadata"),
    );
    let knows_none = updated.is_some_and(|at| story[at].contains("topics: 0,"));
    knows_none && subscribed.is_some() && subscribed < updated
}

/// Each test with what became of it, and all that was printed.
fn run(home: &Path, bootstrap: &str, tests: &[String], exceptions: &[&Exception]) -> Result<Ran> {
    let python: PathBuf = home.join("bin/python");
    let left_out: Vec<String> = exceptions
        .iter()
        .map(|it| format!("not {}", it.test))
        .collect();
    let output = Command::new(python)
        .args(["-m", "pytest", "-rA", "--quiet", "--no-header"])
        .args(["-p", "no:cacheprovider", "-W", "ignore"])
        // Its own settings print a megabyte of traces.
        .args(["-o", "addopts=", "-o", "log_level=INFO"])
        .args(["--timeout", TEST_DEADLINE_S, "-k", &left_out.join(" and ")])
        .args(tests)
        .current_dir(home.join("source"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KAFKA_VERSION", "4.1")
        .env("KAFKA_URI", format!("kafka://{bootstrap}"))
        // Where it would look for Kafka's scripts; it has to exist.
        .env("KAFKA_ROOT", home)
        .output()
        .context("starting pytest")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let verdicts = printed.lines().filter_map(|line| {
        let (verdict, rest) = line.split_once(' ')?;
        let known = ["PASSED", "FAILED", "ERROR"].contains(&verdict);
        let test = rest.split(" - ").next()?;
        (known && test.contains("::")).then(|| (test.to_owned(), verdict.to_owned()))
    });
    Ok((verdicts.collect(), printed))
}

#[test]
fn only_a_consumer_that_forgot_its_topic_excuses_its_test() {
    let story = |lines: &[&str]| {
        let log = lines.join("\n");
        format!("___ test_other ___\nno log\n___ test_it[gzip] ___\n{log}\n___ test_last ___\n")
    };
    let asked = "kafka.subscription Updating subscribed topics to: ('t',)";
    let none =
        "kafka.cluster Updated metadata: ClusterMetadata(brokers: 1, topics: 0, coordinators: 0)";
    let some =
        "kafka.cluster Updated metadata: ClusterMetadata(brokers: 1, topics: 1, coordinators: 0)";
    for (lines, is_excused) in [
        (&[asked, none][..], true),
        (&[some, asked, none], true),
        (&[none, asked], false),
        (&[asked, none, some], false),
        (&[asked], false),
        (&[none], false),
    ] {
        let found = forgot_its_topic("test/file.py::test_it[gzip]", &story(lines));
        assert_eq!(found, is_excused, "{lines:?}");
    }
    assert!(!forgot_its_topic("test_other", &story(&[asked, none])));
}
