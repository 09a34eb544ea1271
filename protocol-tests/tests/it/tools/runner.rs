//! Kafka's command-line tools in one JVM (`clients/java/kafka/Tools.java`): a JVM of its own for
//! every call would cost more than all calls together.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// For all calls together; a tool that hangs fails the test and not the machine.
const DEADLINE_S: &str = "1200";

/// Only errors, and not among what a tool prints.
const LOGGING: &str = "
Configuration:
  Appenders:
    Console: {name: ERR, target: SYSTEM_ERR, PatternLayout: {pattern: '%p %m%n'}}
  Loggers:
    Root: {level: ERROR, AppenderRef: {ref: ERR}}
";

/// What a call ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub status: i32,
    /// Standard output, then standard error.
    pub text: String,
}

/// The JVM; ends when dropped.
pub struct Runner {
    child: Child,
    calls: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    directory: TempDir,
    classpath: PathBuf,
    /// The call of [`Runner::call_alone`] that has been started.
    alone: Option<Child>,
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.calls = None; // the program ends with its input
        let _ = self.child.wait(); // `timeout` ends it otherwise
    }
}

impl Runner {
    pub fn start(kafka: &Path) -> Result<Runner> {
        let directory = TempDir::new()?;
        let logging = directory.path().join("log4j2.yaml");
        fs::write(&logging, LOGGING)?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new("timeout")
            .args(["--signal=KILL", DEADLINE_S, "java"])
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
            .arg("-cp")
            .arg(kafka.join("*"))
            .arg(root.join("clients/java/kafka/Tools.java"))
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("running `timeout`")?;
        let calls = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("stdout is piped")?);
        Ok(Runner {
            child,
            calls,
            answers,
            directory,
            classpath: kafka.join("*"),
            alone: None,
        })
    }

    /// A file that calls may name.
    pub fn file(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        fs::write(&path, content)?;
        Ok(path)
    }

    /// Starts one call.
    pub fn call(&mut self, class: &str, arguments: &[String]) -> Result<()> {
        let words = [&[class.to_owned()], arguments].concat();
        let calls = self.calls.as_mut().context("the JVM runs")?;
        writeln!(calls, "{}", words.join("\t"))?;
        Ok(())
    }

    /// Starts one call in a JVM of its own: for a tool that does its work when its JVM ends.
    pub fn call_alone(&mut self, class: &str, arguments: &[String]) -> Result<()> {
        let child = Command::new("timeout")
            .args([
                "--signal=KILL",
                DEADLINE_S,
                "java",
                "-XX:TieredStopAtLevel=1",
            ])
            .arg("-cp")
            .arg(&self.classpath)
            .arg(class)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("running `timeout`")?;
        self.alone = Some(child);
        Ok(())
    }

    /// Waits for the end of the call that was started.
    pub fn output(&mut self) -> Result<Output> {
        if let Some(alone) = self.alone.take() {
            let ended = alone.wait_with_output()?;
            return Ok(Output {
                status: ended.status.code().unwrap_or(-1),
                text: String::from_utf8_lossy(&ended.stdout).into_owned(),
            });
        }
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let numbers: Vec<i64> = line.split_whitespace().flat_map(str::parse).collect();
        ensure!(numbers.len() == 3, "the JVM has ended: {line:?}");
        let mut bytes = vec![0; (numbers[1] + numbers[2]) as usize];
        self.answers.read_exact(&mut bytes)?;
        Ok(Output {
            status: numbers[0] as i32,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }
}
