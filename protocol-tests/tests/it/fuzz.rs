//! A million damaged inputs: no panic, no abort, no memory beyond what they are worth. And the
//! proof that the fuzzer would tell: bugs planted in the library are found.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::faults::built_with_faults;

const INPUTS: u64 = 1_000_000;

#[test]
fn a_million_inputs_neither_panic_nor_take_more_memory_than_they_are_worth() {
    // Two processes with a seed each: the counting of memory wants one thread per process.
    let half = (INPUTS / 2).to_string();
    let started = [(); 2].map(|()| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fuzz"));
        command.args(["--inputs", &half]).env("RUST_BACKTRACE", "0");
        std::thread::spawn(move || command.output().expect("runs"))
    });
    for process in started {
        let output = process.join().expect("no panic here");
        println!("{}", said(&output));
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn bugs_planted_in_the_library_are_found() {
    let fuzz: PathBuf = built_with_faults("fuzz-faults");
    for (bug, target, finding) in [
        ("bounds.count-believed", "request", None),
        ("snappy.length-believed", "payload", Some("bytes of heap")),
        ("index.length-believed", "index", Some("a panic")),
    ] {
        let output = Command::new(&fuzz)
            .args(["--inputs", "50000", "--seed", "1", "--target", target])
            .env("FAULTS_BUG", bug)
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("runs");
        assert!(
            !output.status.success(),
            "{bug} is not found: {}",
            said(&output)
        );
        if let Some(finding) = finding {
            assert!(said(&output).contains(finding), "{bug}: {}", said(&output));
        }
    }
}

fn said(output: &Output) -> String {
    let bytes = [&output.stdout[..], &output.stderr[..]].concat();
    let from = bytes.len().saturating_sub(4_000);
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}
