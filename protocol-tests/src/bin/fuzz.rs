//! `fuzz [--inputs N] [--seed S] [--target T] [--from NUMBER]`: gives damaged bytes to everything
//! that reads bytes from outside. Exit status 1, or an abort, if something panics, or takes more
//! memory than its input is worth.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use peak_alloc::PeakAlloc;
use protocol_tests::fuzz::{Heap, Options, run, targets};
use protocol_tests::random::Random;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

struct Counted;

impl Heap for Counted {
    fn current(&self) -> usize {
        ALLOCATOR.current_usage()
    }

    fn peak(&self) -> usize {
        ALLOCATOR.peak_usage()
    }

    fn reset_peak(&self) {
        ALLOCATOR.reset_peak_usage();
    }
}

pub fn main() -> ExitCode {
    match arguments().and_then(|options| fuzz(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn fuzz(options: &Options) -> Result<()> {
    // An abort leaves no other trace.
    println!("seed {}", options.seed);
    run(options, &Counted, |summary| println!("{summary}"))
}

fn arguments() -> Result<Options> {
    let mut options = Options {
        inputs: 100_000,
        seed: Random::seed(),
        target: None,
        from: 0,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--inputs" => options.inputs = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--from" => options.from = value.parse()?,
            "--target" => options.target = Some(value),
            _ => {
                let targets: Vec<&str> = targets().collect();
                bail!(
                    "unknown argument {name}; the targets are {}",
                    targets.join(" ")
                );
            }
        }
    }
    Ok(options)
}
