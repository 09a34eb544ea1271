//! The builds with crash points and planted bugs, for the tests that need them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use protocol_tests::torture::newest_build;

/// A program that is built with the feature `faults`, beside this test in the target directory.
/// The libraries below are those of every debug build, so this costs one crate.
pub fn built_with_faults(program: &str) -> PathBuf {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "ottla"])
            .args(["--package", "protocol-tests"])
            .args(["--features", "ottla/faults,protocol-tests/faults"])
            .args(["--bin", "ottla-faults", "--bin", "fuzz-faults"])
            .current_dir(root)
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the build with faults failed");
        let this = std::env::current_exe().expect("this program");
        let debug = this.ancestors().nth(2).expect("target/debug/deps/it");
        debug.with_file_name("debug")
    });
    target.join(program)
}

#[test]
fn a_build_for_users_has_neither_crash_points_nor_planted_bugs() {
    let has_faults = |program: PathBuf| {
        let bytes = std::fs::read(program).expect("readable");
        let name = b"FAULTS_CRASH_AT";
        bytes.windows(name.len()).any(|at| at == name)
    };
    assert!(!has_faults(newest_build().expect("a binary")));
    assert!(has_faults(built_with_faults("ottla-faults")));
}
