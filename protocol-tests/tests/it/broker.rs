//! Ottla as its users run it: a process of its own, seen only through its port and its output.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use protocol_tests::torture::{is_port_in_use, newest_build};
use tempfile::TempDir;

const READY_WITHIN: Duration = Duration::from_secs(120);
/// So many free ports are taken by somebody else before the broker has bound them: not likely.
const PORTS_TRIED: u32 = 5;

/// A running broker; killed, and its data removed, when dropped.
pub struct Broker {
    pub bootstrap: String,
    child: Child,
    /// What it has said so far.
    log: Log,
    directory: TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Log = Arc<Mutex<Vec<String>>>;

impl Broker {
    /// Its log directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines of its log that contain `text`.
    pub fn said(&self, text: &str) -> Vec<String> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter()
            .filter(|line| line.contains(text))
            .cloned()
            .collect()
    }
}

/// Starts the newest build on an empty directory and a free port, and waits until it serves.
/// Settings are `key=value` and win over those of the harness.
pub fn start_process_with(settings: &[&str]) -> Result<Broker> {
    start_process_under(&[], settings)
}

/// The same, run by `wrapper`: a program and its first arguments, which sets limits for it.
pub fn start_process_under(wrapper: &[&str], settings: &[&str]) -> Result<Broker> {
    on_free_ports(|[port]| start_on(port, wrapper, settings))
}

fn start_on(port: u16, wrapper: &[&str], settings: &[&str]) -> Result<Broker> {
    let directory = TempDir::new()?;
    let bootstrap = format!("127.0.0.1:{port}");
    let complaints = directory.path().join("stderr");
    let build = newest_build()?;
    let mut command = match wrapper {
        [] => Command::new(build),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(build);
            command
        }
    };
    let mut child = command
        .args(["--override", &format!("listeners=PLAINTEXT://{bootstrap}")])
        .arg("--override")
        .arg(format!(
            "log.dirs={}",
            directory.path().join("data").display()
        ))
        .args(settings.iter().flat_map(|setting| ["--override", setting]))
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(File::create(&complaints)?)
        .spawn()
        .context("starting ottla")?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let broker = Broker {
        bootstrap,
        child,
        log: Log::default(),
        directory,
    };
    if !says_ready(stdout, broker.log.clone()) {
        bail!(
            "ottla is not ready: {}",
            std::fs::read_to_string(complaints)?
        );
    }
    Ok(broker)
}

/// Starts something on free ports. Before it binds them somebody else may have taken one, a
/// connection of another test at least: then it is started on others.
pub fn on_free_ports<const N: usize, T>(start: impl Fn([u16; N]) -> Result<T>) -> Result<T> {
    let mut started = start(free_ports()?);
    for _ in 1..PORTS_TRIED {
        match started {
            Err(error) if is_port_in_use(&format!("{error:#}")) => started = start(free_ports()?),
            other => return other,
        }
    }
    started
}

/// All different.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn says_ready(stdout: ChildStdout, log: Log) -> bool {
    let (ready, is_ready) = mpsc::channel();
    // Reads on after the ready line, or the broker would block on a full pipe.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line.contains("Kafka Server started") {
                let _ = ready.send(()); // nobody listens after the deadline
            }
            if line.contains(" ERROR ") {
                eprintln!("{line}"); // a test that fails for it would not tell why
            }
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    });
    is_ready.recv_timeout(READY_WITHIN).is_ok()
}
