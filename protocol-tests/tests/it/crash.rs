//! kill -9 under load, restart, and nothing that was acknowledged is missing.

use protocol_tests::torture::{Options, newest_build, run};

#[test]
fn twenty_kills_lose_nothing_repeat_nothing_and_move_nothing() {
    let directory = tempfile::tempdir().expect("tempdir").keep();
    let options = Options {
        cycles: 20,
        seed: None,
        binary: newest_build().expect("a binary"),
        directory: directory.clone(),
    };
    let summary = run(&options).expect("the torture goes on");
    assert!(summary.findings.is_empty(), "{summary}");
    println!("{summary}");
    std::fs::remove_dir_all(directory).expect("remove");
}
