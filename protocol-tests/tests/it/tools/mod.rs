//! Kafka's own command-line tools, from its jars, on Ottla and on a real Kafka 4.1.2 in the same
//! run: the same calls, and the same words, but for the differences that are listed with their
//! reasons. A listed difference that is none any more fails as well.

mod differences;
mod members;
mod normal;
mod peers;
mod runner;
mod scripts;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;

use differences::DIFFERENCES;
use peers::Peers;

/// One way in which Ottla deliberately differs, or does so until it is built. Each of its texts
/// has to be found, or the difference is none any more.
pub struct Difference {
    /// How the calls begin that it shows in.
    pub call: &'static str,
    pub reason: &'static str,
    /// Lines of Ottla's output with one of these texts are left out of the comparison.
    pub ottla: &'static [&'static str],
    /// The same for Kafka's.
    pub kafka: &'static [&'static str],
    /// What Kafka says, and what is read instead.
    pub rewritten: &'static [(&'static str, &'static str)],
}

#[test]
fn r200_r201_r202_r203_r204_kafkas_tools_say_of_ottla_what_they_say_of_kafka() -> Result<()> {
    let Some(kafka) = kafka() else {
        eprintln!("skipped: Kafka's jars are not installed, scripts/setup does it");
        return Ok(());
    };
    if std::env::var_os("OTTLA_TEST_BOOTSTRAP").is_some() {
        eprintln!("skipped: this test brings a Kafka of its own");
        return Ok(());
    }
    let mut peers = Peers::start(&kafka)?;
    let mut comparison = Comparison::default();
    let mut calls = 0;
    for call in scripts::calls() {
        let (ottla, kafka) = peers.call(call)?;
        comparison.compare(call, ottla, kafka);
        calls += 1;
    }
    comparison.expect_all_listed();
    let listed = DIFFERENCES.len();
    println!("{calls} calls of Kafka's tools, {listed} listed differences");
    for Difference { call, reason, .. } in DIFFERENCES {
        println!("  {call}: {reason}");
    }
    assert!(comparison.report.is_empty(), "\n{}", comparison.report);
    Ok(())
}

#[derive(Default)]
struct Comparison {
    /// What is not as it should be.
    report: String,
    /// The texts of listed differences that were found.
    found: BTreeSet<(&'static str, &'static str)>,
}

impl Comparison {
    fn compare(&mut self, call: &str, mut ottla: Vec<String>, mut kafka: Vec<String>) {
        for difference in DIFFERENCES.iter().filter(|it| call.starts_with(it.call)) {
            self.take_out(difference, &mut ottla, difference.ottla);
            self.take_out(difference, &mut kafka, difference.kafka);
            for (said, read) in difference.rewritten {
                for line in kafka.iter_mut().filter(|line| line.contains(said)) {
                    *line = line.replace(said, read);
                    self.found.insert((difference.reason, said));
                }
            }
        }
        // How records share batches depends on when they come; what they are does not.
        if call.ends_with(" --offsets-decoder") {
            ottla = decoded(&ottla);
            kafka = decoded(&kafka);
        }
        // In the order of their arrival, or of a hash map.
        let unordered = ["delete-records ", "consumer-groups "];
        if unordered.iter().any(|tool| call.starts_with(tool)) {
            ottla.sort_unstable();
            kafka.sort_unstable();
        }
        if ottla == kafka {
            return;
        }
        let _ = writeln!(self.report, "$ {call}"); // writing to a String cannot fail
        let (ours, theirs) = (without(&ottla, &kafka), without(&kafka, &ottla));
        if ours.is_empty() && theirs.is_empty() {
            let _ = writeln!(
                self.report,
                "  the same lines: ottla {ottla:#?}\n  kafka {kafka:#?}"
            );
        }
        for (broker, lines) in [("ottla", ours), ("kafka", theirs)] {
            for line in lines {
                let _ = writeln!(self.report, "  {broker} {line}");
            }
        }
    }

    fn take_out(&mut self, of: &Difference, lines: &mut Vec<String>, texts: &[&'static str]) {
        lines.retain(|line| {
            let found = texts.iter().find(|text| line.contains(**text));
            self.found.extend(found.map(|text| (of.reason, *text)));
            found.is_none()
        });
    }

    fn expect_all_listed(&mut self) {
        for difference in DIFFERENCES {
            let rewritten = difference.rewritten.iter().map(|(said, _)| said);
            for text in difference
                .ottla
                .iter()
                .chain(difference.kafka)
                .chain(rewritten)
            {
                if !self.found.contains(&(difference.reason, text)) {
                    let call = difference.call;
                    let _ = writeln!(self.report, "{call}: nobody says any more: {text}");
                }
            }
        }
    }
}

/// The keys and values among the lines of kafka-dump-log.
fn decoded(lines: &[String]) -> Vec<String> {
    let records = lines
        .iter()
        .filter_map(|line| line.split_once("headerKeys: []"));
    records.map(|(_, record)| record.to_owned()).collect()
}

/// The lines of `lines` that are not among `others`.
fn without<'a>(lines: &'a [String], others: &[String]) -> Vec<&'a String> {
    lines.iter().filter(|line| !others.contains(line)).collect()
}

/// The directory of Kafka's jars.
fn kafka() -> Option<PathBuf> {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools/kafka/lib");
    lib.is_dir().then_some(lib)
}
