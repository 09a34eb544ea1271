//! The `ottla` program as an operator and a container engine see it: lines, signals, exit codes.

use std::io::{BufRead, BufReader, Lines};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn ottla(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(arguments).current_dir(directory).env_clear();
    command
}

/// A running broker whose log ends before it may print.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(directory: &Path, listener: &str) -> Running {
        let listeners = format!("listeners={listener}");
        let arguments = ["--override", &listeners, "--set", "logging.level=error"];
        let mut command = ottla(directory, &arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
        let stdout = child.stdout.take().expect("piped");
        let lines = BufReader::new(stdout).lines();
        Running { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").expect("text")
    }

    fn stop(mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("signalled");
        self.child.wait().expect("ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("bound").port()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn kafkas_three_lines_say_that_it_is_ready_and_a_signal_ends_it_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut broker = Running::start(directory.path(), "PLAINTEXT://127.0.0.1:0");
        assert_eq!(
            broker.line(),
            "[BrokerLifecycleManager id=1] The broker has been unfenced. \
             Transitioning from RECOVERY to RUNNING."
        );
        assert_eq!(broker.line(), "[KafkaServer id=1] started");
        assert_eq!(
            broker.line(),
            "[KafkaRaftServer nodeId=1] Kafka Server started"
        );
        assert!(directory.path().join("data/meta.properties").exists());
        assert_eq!(broker.stop(signal), Some(0));
    }
}

#[test]
fn a_wrong_setting_ends_it_with_one_sentence_and_nothing_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = ottla(
        directory.path(),
        &["server", "--override", "num.partitions=0"],
    );
    let output = command.output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "ottla: Invalid value 0 for configuration num.partitions: Value must be at least 1 \
         (--override); change it, or remove it for the default 1\n"
    );
    assert!(output.stdout.is_empty());
    let written = directory.path().read_dir().expect("readable").count();
    assert_eq!(written, 0);
}

#[test]
fn the_healthcheck_finds_the_broker_of_the_same_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = format!("PLAINTEXT://:{}", free_port());
    let listeners = format!("listeners={listener}");
    let healthcheck = || {
        let mut command = ottla(directory.path(), &["healthcheck", "--override", &listeners]);
        command.output().expect("runs")
    };
    let before = healthcheck();
    assert_eq!(before.status.code(), Some(1));
    assert!(
        stderr(&before).contains("does not accept connections"),
        "{}",
        stderr(&before)
    );
    let mut broker = Running::start(directory.path(), &listener);
    for _ in 0..3 {
        broker.line();
    }
    assert_eq!(healthcheck().status.code(), Some(0));
}
