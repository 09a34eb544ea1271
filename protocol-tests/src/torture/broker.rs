//! The broker under torture: a child process on a port and a directory that stay while processes
//! come and go.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ottla::clock::Clock;
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Connection;

const READY_WITHIN_MS: i64 = 120_000;
const STOPPED_WITHIN_MS: i64 = 120_000;
/// A clean stop syncs every log, which a slow disk does not do within the default.
const STOPPING: [&str; 2] = ["--set", "server.shutdown_timeout=110s"];
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);
const BETWEEN_STARTS: Duration = Duration::from_millis(100);

/// Where brokers are started.
pub struct Site {
    binary: PathBuf,
    directory: PathBuf,
    arguments: Vec<String>,
    /// Of every process.
    environment: Vec<(String, String)>,
    pub bootstrap: String,
    clock: Clock,
    starts: u32,
}

/// What became of a process that may have killed itself.
pub enum Started {
    Serves(Broker),
    /// With what it printed.
    Killed(String),
}

/// A running broker; killed when dropped.
pub struct Broker {
    child: Child,
    output: PathBuf,
    clock: Clock,
}

impl Site {
    /// A free port of this machine and an empty directory.
    pub fn new(binary: &Path, directory: &Path) -> Result<Site> {
        std::fs::create_dir_all(directory)?;
        // Whenever no broker holds it somebody else may take the port for a while, a connection of
        // another test at least: who starts one waits for it.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Site {
            binary: binary.to_owned(),
            directory: directory.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            bootstrap: format!("127.0.0.1:{port}"),
            clock: Clock::system(),
            starts: 0,
        })
    }

    /// Adds to the command line of every process.
    pub fn with_arguments(mut self, arguments: &[&str]) -> Site {
        self.arguments.extend(arguments.iter().map(|&a| a.into()));
        self
    }

    /// Adds to the environment of every process.
    pub fn with_environment(mut self, variables: &[(String, String)]) -> Site {
        self.environment.extend_from_slice(variables);
        self
    }

    /// The broker's log.dirs.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Starts a process and does not wait for it.
    pub fn spawn(&mut self) -> Result<Broker> {
        self.spawn_with(None)
    }

    /// The same with one more environment variable.
    fn spawn_with(&mut self, variable: Option<(String, String)>) -> Result<Broker> {
        self.starts += 1;
        let output = self.directory.join(format!("output-{}", self.starts));
        let file = File::create(&output)?;
        let child = Command::new(&self.binary)
            .arg("--override")
            .arg(format!("listeners=PLAINTEXT://{}", self.bootstrap))
            .arg("--override")
            .arg(format!("log.dirs={}", self.data().display()))
            .args(STOPPING)
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .envs(variable)
            .current_dir(&self.directory)
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        Ok(Broker {
            child,
            output,
            clock: self.clock.clone(),
        })
    }

    /// Starts a process and waits until it answers.
    pub fn start(&mut self) -> Result<Broker> {
        match self.start_or_die(None)? {
            Started::Serves(broker) => Ok(broker),
            Started::Killed(printed) => bail!("the broker was killed at its start:\n{printed}"),
        }
    }

    /// The same for a process that `variable` may have told to kill itself.
    pub fn start_or_die(&mut self, variable: Option<(String, String)>) -> Result<Started> {
        let mut broker = self.spawn_with(variable.clone())?;
        let deadline = self.clock.monotonic_ms() + READY_WITHIN_MS;
        loop {
            let answers = Connection::open(&self.bootstrap)
                .and_then(|mut connection| connection.api_versions());
            if answers.is_ok() {
                return Ok(Started::Serves(broker));
            }
            if let Some(status) = broker.child.try_wait()? {
                if is_sigkill(status) {
                    return Ok(Started::Killed(broker.last_words()));
                }
                if is_port_in_use(&broker.last_words()) && self.clock.monotonic_ms() < deadline {
                    std::thread::sleep(BETWEEN_STARTS);
                    broker = self.spawn_with(variable.clone())?;
                    continue;
                }
                bail!(
                    "the broker ended with {status} at its start:\n{}",
                    broker.last_words()
                );
            }
            if self.clock.monotonic_ms() > deadline {
                bail!("the broker does not answer:\n{}", broker.last_words());
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }
}

impl Broker {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// SIGSTOP, until every thread of the process stands still outside the kernel.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let deadline = self.clock.monotonic_ms() + STOPPED_WITHIN_MS;
        while !self.is_frozen()? {
            if self.clock.monotonic_ms() > deadline {
                bail!("the broker does not stand still");
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(())
    }

    fn is_frozen(&self) -> Result<bool> {
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = std::fs::read_to_string(task?.path().join("stat"))?;
            // Behind the name, which may hold anything, in parentheses.
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
            if !state.is_some_and(|state| state.starts_with('T')) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How the process ended by itself within a time; `None` if it runs.
    fn ended_within(&mut self, ms: i64) -> Result<Option<ExitStatus>> {
        let deadline = self.clock.monotonic_ms() + ms;
        loop {
            let ended = self.child.try_wait()?;
            if ended.is_some() || self.clock.monotonic_ms() > deadline {
                return Ok(ended);
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// Waits for a process to kill itself; false if it runs on, which ends here. Another end is
    /// an error.
    pub fn dies_within(mut self, ms: i64) -> Result<bool> {
        match self.ended_within(ms)? {
            None => self.kill().map(|()| false),
            Some(status) if is_sigkill(status) => Ok(true),
            Some(status) => bail!("the broker ended with {status}:\n{}", self.last_words()),
        }
    }

    /// SIGTERM; the broker must end by itself with status 0.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let Some(status) = self.ended_within(STOPPED_WITHIN_MS)? else {
            bail!("the broker does not stop:\n{}", self.last_words());
        };
        if !status.success() {
            bail!("a clean stop ended with {status}:\n{}", self.last_words());
        }
        Ok(())
    }

    /// The end of what it printed.
    fn last_words(&self) -> String {
        let printed = std::fs::read(&self.output).unwrap_or_default();
        let from = printed.len().saturating_sub(4000);
        String::from_utf8_lossy(&printed[from..]).into_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_sigkill(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

/// Whether a broker that did not start says that somebody has its port.
pub fn is_port_in_use(last_words: &str) -> bool {
    last_words.contains("Address already in use") || last_words.contains("os error 98")
}

/// The newest `ottla` in the target directory that this program was built into.
pub fn newest_build() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    this.ancestors()
        .flat_map(|target| ["release/ottla", "debug/ottla"].map(|binary| target.join(binary)))
        .filter_map(|binary| Some((binary.metadata().ok()?.modified().ok()?, binary)))
        .max()
        .map(|(_, binary)| binary)
        .context("no ottla binary: run `cargo build`")
}
