//! `fuzz` of a library with planted bugs (`ottla::faults`), each of which it must find.

use std::process::ExitCode;

#[path = "fuzz.rs"]
mod program;

fn main() -> ExitCode {
    program::main()
}
