//! The broker under torture: a child process on a port and a directory that stay while processes
//! come and go.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ottla::clock::Clock;
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Connection;

const READY_WITHIN_MS: i64 = 30_000;
const STOPPED_WITHIN_MS: i64 = 15_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Where brokers are started.
pub struct Site {
    binary: PathBuf,
    directory: PathBuf,
    arguments: Vec<String>,
    pub bootstrap: String,
    clock: Clock,
    starts: u32,
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
        // Between this and the broker's bind somebody else may take the port; the kernel hands
        // out free ports in no order that makes this likely.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Site {
            binary: binary.to_owned(),
            directory: directory.to_owned(),
            arguments: Vec::new(),
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

    /// The broker's log.dirs.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Starts a process and does not wait for it.
    pub fn spawn(&mut self) -> Result<Broker> {
        self.starts += 1;
        let output = self.directory.join(format!("output-{}", self.starts));
        let file = File::create(&output)?;
        let child = Command::new(&self.binary)
            .arg("--override")
            .arg(format!("listeners=PLAINTEXT://{}", self.bootstrap))
            .arg("--override")
            .arg(format!("log.dirs={}", self.data().display()))
            .args(&self.arguments)
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
        let mut broker = self.spawn()?;
        let deadline = self.clock.monotonic_ms() + READY_WITHIN_MS;
        loop {
            let answers = Connection::open(&self.bootstrap)
                .and_then(|mut connection| connection.api_versions());
            if answers.is_ok() {
                return Ok(broker);
            }
            if let Some(status) = broker.child.try_wait()? {
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
    /// SIGKILL.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM; the broker must end by itself with status 0.
    pub fn stop(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let deadline = self.clock.monotonic_ms() + STOPPED_WITHIN_MS;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if self.clock.monotonic_ms() > deadline {
                bail!("the broker does not stop:\n{}", self.last_words());
            }
            std::thread::sleep(BETWEEN_LOOKS);
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
