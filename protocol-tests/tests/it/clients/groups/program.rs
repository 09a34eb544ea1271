//! A client program as the host of group members: commands go in, what its members see comes out
//! (`clients/README.md`, "Group members").

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use protocol_tests::stopwatch::Stopwatch;
use rustix::process::{Pid, Signal, kill_process_group};

use super::{NotApplicable, PATIENCE};
use crate::clients::programs::Client;

const LINES_SHOWN: usize = 12;
const TRACES_SHOWN: usize = 3000;

/// A partition by topic and number.
pub type Place = (String, i32);

/// A running program; it and all its members are killed when dropped.
pub struct Program {
    client: &'static str,
    child: Child,
    stdin: Mutex<ChildStdin>,
    said: Arc<Said>,
    stderr: std::fs::File,
    named: AtomicU32,
}

/// A line of the program: whom it is about, what it tells, and the rest.
#[derive(Clone, Debug)]
pub struct Line {
    who: String,
    what: String,
    words: Vec<String>,
}

#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    all: Vec<Line>,
    ended: bool,
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Program {
    pub fn start(client: &Client, bootstrap: &str) -> Result<Program> {
        let stderr = tempfile::tempfile()?;
        let arguments = ["--prefix", &client.prefix(), "--members"];
        let mut child = client
            .command(bootstrap, &arguments)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone()?)
            .spawn()
            .with_context(|| format!("starting {}", client.name))?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let said = Arc::new(Said::default());
        let hearing = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut words = line.split('\t').map(str::to_owned);
                hearing.lock().all.push(Line {
                    who: words.next().unwrap_or_default(),
                    what: words.next().unwrap_or_default(),
                    words: words.collect(),
                });
                hearing.more.notify_all();
            }
            hearing.lock().ended = true;
            hearing.more.notify_all();
        });
        Ok(Program {
            client: client.name,
            child,
            stdin: Mutex::new(stdin),
            said,
            stderr,
            named: AtomicU32::new(0),
        })
    }

    /// Sends SIGKILL, SIGSTOP or SIGCONT to the program and whatever it has started: `timeout`, under
    /// which it runs, makes a process group of them.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process_group(Pid::from_child(&self.child), signal)?)
    }

    /// A name that no member or call has had.
    pub fn name(&self, kind: &str) -> String {
        format!("{kind}{}", self.named.fetch_add(1, Ordering::Relaxed))
    }

    pub fn tell(&self, words: &[&str]) -> Result<()> {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(stdin, "{}", words.join("\t"))?;
        Ok(stdin.flush()?)
    }

    /// Has the client make an admin call: how it ended (`done`, `refused` or what the call tells) and
    /// the words behind that.
    pub fn ask(&self, call: &str, arguments: &[&str]) -> Result<(String, Vec<String>)> {
        let name = self.name("call");
        self.tell(&[&[call, name.as_str()], arguments].concat())?;
        self.wait(&name, &format!("{call} {arguments:?}"), |lines| {
            let line = lines
                .first()
                .filter(|line| !line.is("n/a") && !line.is("failed"))?;
            Some((line.what.clone(), line.words.clone()))
        })
    }

    /// Waits until the lines about `who` hold what `look` is after. Fails early when one of them says
    /// that the client failed, or cannot do it.
    pub fn wait<T>(
        &self,
        who: &str,
        what: &str,
        mut look: impl FnMut(&[Line]) -> Option<T>,
    ) -> Result<T> {
        let waiting = Stopwatch::start();
        let mut lines = self.said.lock();
        loop {
            let about: Vec<Line> = lines.all.iter().filter(|l| l.who == who).cloned().collect();
            if let Some(found) = look(&about) {
                return Ok(found);
            }
            if let Some(line) = about.iter().find(|line| line.is("n/a")) {
                // Said once: the member itself goes on.
                lines.all.retain(|line| line.who != who || !line.is("n/a"));
                return Err(NotApplicable(line.words.join(" ")).into());
            }
            let failed = about.iter().find(|line| line.is("failed"));
            let left = PATIENCE.checked_sub(waiting.elapsed());
            let (None, false, Some(left)) = (failed, lines.ended, left) else {
                let shown: Vec<String> = about
                    .iter()
                    .rev()
                    .take(LINES_SHOWN)
                    .map(Line::shown)
                    .collect();
                drop(lines);
                let why = match failed {
                    Some(line) => line.words.join(" "),
                    None => format!("its last lines, backwards: {}", shown.join("; ")),
                };
                self.show_traces()?;
                bail!("{who}: still not: {what}; {why}");
            };
            let waited = self.said.more.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Prints the end of what it wrote to stderr.
    fn show_traces(&self) -> Result<()> {
        let mut file = self.stderr.try_clone()?;
        let mut traces = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut traces)?;
        let end = &traces[traces.len().saturating_sub(TRACES_SHOWN)..];
        eprintln!(
            "--- stderr of {}\n{}",
            self.client,
            String::from_utf8_lossy(end)
        );
        Ok(())
    }
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    pub fn is(&self, what: &str) -> bool {
        self.what == what
    }

    fn shown(&self) -> String {
        format!("{} {}", self.what, self.words.join(" "))
    }

    /// The partitions of an `assigned` or a `revoked`.
    pub fn places(&self) -> Result<BTreeSet<Place>> {
        places(self.words.first().map_or("", String::as_str))
    }

    /// The partition, the offset and the value of a `record`.
    pub fn record(&self) -> Option<(Place, i64, &str)> {
        match &self.words[..] {
            [topic, partition, offset, value] if self.is("record") => {
                let place = (topic.clone(), partition.parse().ok()?);
                Some((place, offset.parse().ok()?, value))
            }
            _ => None,
        }
    }
}

/// `TOPIC:PARTITION,…`; nothing are none.
pub fn places(text: &str) -> Result<BTreeSet<Place>> {
    let parse = |place: &str| {
        let (topic, partition) = place.split_once(':')?;
        Some((topic.to_owned(), partition.parse().ok()?))
    };
    let all = text.split(',').filter(|place| !place.is_empty());
    all.map(|place| parse(place).ok_or_else(|| anyhow!("no partition: {place}")))
        .collect()
}
