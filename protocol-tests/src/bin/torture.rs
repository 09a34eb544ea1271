//! `torture [--cycles N] [--how killed|at-points|power|disk-full|compacting|compacting-power|churn] [--seed S] [--ottla PATH]
//! [--directory DIR] [--bug NAME]`: ends a broker N times under load and checks that nothing it
//! acknowledged is lost, repeated or moved. Exit status 1 and the seed if something is.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use protocol_tests::torture::{How, Options, newest_build, run};

fn main() -> ExitCode {
    match arguments().and_then(|options| run(&options)) {
        Ok(summary) => {
            println!("{summary}");
            match summary.findings.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<Options> {
    let (mut cycles, mut seed, mut binary, mut directory) = (20, None, None, None);
    let (mut how, mut bug) = (How::Killed, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--cycles" => cycles = value.parse()?,
            "--seed" => seed = Some(value.parse()?),
            "--ottla" => binary = Some(PathBuf::from(value).canonicalize()?),
            "--how" => {
                how = match value.as_str() {
                    "killed" => How::Killed,
                    "at-points" => How::AtPoints,
                    "power" => How::Power,
                    "disk-full" => How::DiskFull,
                    "compacting" => How::Compacting,
                    "compacting-power" => How::CompactingPower,
                    "churn" => How::Churn,
                    _ => bail!("{value} is no way to end a broker"),
                };
            }
            "--bug" => bug = Some(value),
            "--directory" => directory = Some(PathBuf::from(value)),
            _ => bail!("unknown argument {name}"),
        }
    }
    Ok(Options {
        cycles,
        seed,
        how,
        bug,
        binary: match binary {
            Some(binary) => binary,
            None => newest_build()?,
        },
        directory: match directory {
            Some(directory) => directory,
            None => tempfile::Builder::new()
                .prefix("torture-")
                .tempdir()?
                .keep(),
        },
    })
}
