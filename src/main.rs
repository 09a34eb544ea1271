//! The `ottla` program: reads the command line and the configuration, starts the broker, and
//! stops it when it is told to. Everything else is in the library.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use ottla::SetLogLevels;
use ottla::config::{CommandLine, Config, Level, Loaded};

mod healthcheck;
mod logging;

/// A drop-in Apache Kafka broker in one binary.
#[derive(Parser)]
#[command(name = "ottla", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    server: ServerArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the broker; also what happens without a command.
    Server(ServerArguments),
    /// Asks the broker of the same configuration whether it answers: exit code 0 if it does.
    Healthcheck(ServerArguments),
}

#[derive(Args)]
struct ServerArguments {
    /// Ottla's config.toml [default: /etc/ottla/config.toml, else ./config.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A server.properties of Kafka
    #[arg(long, value_name = "FILE")]
    properties: Option<PathBuf>,
    /// Sets one of Kafka's settings
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Sets one of Ottla's own settings
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    set: Vec<String>,
    /// The development profile: small segments are allowed, groups form without delay
    #[arg(long)]
    dev: bool,
}

impl From<ServerArguments> for CommandLine {
    fn from(arguments: ServerArguments) -> CommandLine {
        CommandLine {
            config: arguments.config,
            properties: arguments.properties,
            overrides: arguments.overrides,
            set: arguments.set,
            dev: arguments.dev,
        }
    }
}

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or(Command::Server(cli.server)) {
        Command::Server(arguments) => server(&arguments.into()),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments.into()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("ottla: {error:#}");
        ExitCode::FAILURE
    })
}

fn server(command_line: &CommandLine) -> anyhow::Result<ExitCode> {
    let Loaded { config, reports } = Config::load(command_line)?;
    let set_log_levels = logging::start(&config.log_level)?;
    for report in reports {
        match report.level {
            Level::Info => tracing::info!("{}", report.text),
            Level::Warn => tracing::warn!("{}", report.text),
        }
    }
    raise_descriptor_limit();
    keep_memory_private();
    // Accepts and controls; the broker has threads of its own for its connections.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(run(config, set_log_levels));
    // What still runs belongs to clients that are gone; nothing is waited for.
    runtime.shutdown_background();
    result
}

async fn run(config: Config, set_log_levels: SetLogLevels) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::new()?;
    let node_id = config.node_id;
    let shutdown_timeout = config.shutdown_timeout;
    let broker = tokio::select! {
        broker = ottla::start_with_log_levels(config, set_log_levels) => broker?,
        // There is nothing to stop cleanly yet: the next start recovers.
        code = stop.requested() => return Ok(ExitCode::from(code)),
    };
    // Test frameworks and tools wait for these lines, in this order.
    println!(
        "[BrokerLifecycleManager id={node_id}] The broker has been unfenced. \
         Transitioning from RECOVERY to RUNNING."
    );
    println!("[KafkaServer id={node_id}] started");
    println!("[KafkaRaftServer nodeId={node_id}] Kafka Server started");
    tokio::select! {
        _ = stop.requested() => tracing::info!("stopping"),
        reason = broker.failed() => anyhow::bail!("{reason}"),
    }
    tokio::select! {
        stopped = tokio::time::timeout(shutdown_timeout, broker.shutdown()) => {
            stopped.map_err(|_| anyhow::anyhow!(
                "the broker did not stop within {shutdown_timeout:?} and recovers at its next \
                 start; [server] shutdown_timeout allows more"
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        code = stop.requested() => Ok(ExitCode::from(code)),
    }
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Stop> {
        Ok(Stop {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of them; the exit code of a process that it ends.
    async fn requested(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 143,
            _ = self.interrupt.recv() => 130,
        }
    }
}

/// Every partition and every connection needs descriptors; the soft limit is often 1,024.
fn raise_descriptor_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(?current, ?maximum, %error, "the limit of open files stays low");
    }
}

/// No core dump, and no other process of this user may look into this one: its memory holds what
/// clients send and, some day, their secrets.
fn keep_memory_private() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = setrlimit(Resource::Core, none);
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Err(error) = limited.and(hidden) {
        tracing::warn!(%error, "core dumps may be written");
    }
}
