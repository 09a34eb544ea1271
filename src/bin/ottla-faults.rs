//! `ottla` with the faults that tests ask for (`src/faults.rs`). Never shipped.

use std::process::ExitCode;

#[path = "../main.rs"]
mod program;

fn main() -> ExitCode {
    program::main()
}
