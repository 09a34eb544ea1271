//! `floor produce|fetch|request` serves the load as cheaply as the machine allows, and prints where
//! it listens; the other commands measure one price and print it as JSON.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use protocol_tests::floor::{self, Place, Source, Steps};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// I0–I5.
    Produce {
        #[command(flatten)]
        place: Place,
        #[arg(long, value_enum, default_value = "sum-and-write")]
        steps: Steps,
        /// Bytes of one recv and one pwrite.
        #[arg(long, default_value_t = 256 << 10)]
        chunk: usize,
    },
    /// E0–E4.
    Fetch {
        #[command(flatten)]
        place: Place,
        #[arg(long, value_enum, default_value = "sendfile")]
        source: Source,
        /// Bytes of records per answer.
        #[arg(long, default_value_t = 64 << 10)]
        range: usize,
    },
    /// Q, and the fan-out to waiting consumers.
    Request {
        #[command(flatten)]
        place: Place,
        /// Sums each frame as well.
        #[arg(long)]
        sum: bool,
    },
    /// Appends to n files in turn.
    Append {
        #[arg(long)]
        directory: PathBuf,
        #[arg(long, default_value_t = 1)]
        files: usize,
        #[arg(long, default_value_t = 1_100)]
        bytes: usize,
        #[arg(long, default_value_t = 100_000)]
        count: u64,
    },
    /// fdatasync of 4 KiB.
    Sync {
        #[arg(long)]
        directory: PathBuf,
        #[arg(long, default_value_t = 1)]
        threads: usize,
        #[arg(long)]
        preallocated: bool,
        #[arg(long, default_value_t = 100)]
        count: u64,
    },
    /// fork, exec, bind, first reply.
    Start {
        #[arg(long, default_value_t = 50)]
        count: u64,
    },
    /// Idle connections.
    Accept {
        #[arg(long, default_value_t = 2_000)]
        count: u64,
    },
    /// What `start` starts.
    Bind,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let report = match command {
        Command::Produce {
            place,
            steps,
            chunk,
        } => return floor::produce_loop(&place, steps, chunk),
        Command::Fetch {
            place,
            source,
            range,
        } => return floor::send_loop(&place, source, range),
        Command::Request { place, sum } => return floor::request_loop(&place, sum),
        Command::Append {
            directory,
            files,
            bytes,
            count,
        } => floor::append_files(&directory, files, bytes, count)?,
        Command::Sync {
            directory,
            threads,
            preallocated,
            count,
        } => floor::sync_files(&directory, threads, preallocated, count)?,
        Command::Start { count } => floor::fork_exec(&std::env::current_exe()?, count)?,
        Command::Accept { count } => floor::idle_accept(count)?,
        Command::Bind => return bind(),
    };
    println!("{report}");
    Ok(())
}

fn bind() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let (mut socket, _) = listener.accept()?;
    let mut byte = [0];
    socket.read_exact(&mut byte)?;
    socket.write_all(&byte)?;
    Ok(())
}
