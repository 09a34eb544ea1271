//! What one produce request costs in system calls, counted by strace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};

use super::batch::Batch;
use super::calls::{PRODUCE, poll, produce_request};
use super::own_ottla;

const REQUESTS: u64 = 1_000;
/// Until then the broker retains what it is sent, and its heap grows page by page.
const WARM_UP: u64 = 2_000;
/// Wait for the socket, read the request, write the batch, send the answer.
const CALLS_PER_REQUEST: u64 = 4;
/// What the broker does beside the requests meanwhile: timers, flushes, checkpoints.
const BACKGROUND_CALLS: u64 = REQUESTS / 5;
/// A hand-off between threads costs a futex call per request or more.
const FUTEX_CALLS: u64 = REQUESTS / 20;

#[test]
fn a_produce_request_costs_four_system_calls_and_no_hand_off() {
    let Some(subject) = own_ottla("only Ottla has this budget", &[]) else {
        return;
    };
    let topic = subject.topic("syscalls");
    let mut client = subject.connect();
    let records: Bytes = Batch::sized(1_024 - 70).bytes().into();
    let request = produce_request(PRODUCE, &topic, &[(0, Some(records))]);
    let mut produce = |count| {
        for _ in 0..count {
            assert_eq!(client.produce_one(PRODUCE, &request).error_code, 0);
        }
    };
    produce(WARM_UP);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let table = directory.path().join("calls");
    let strace = match attach(subject.pid(), &table) {
        Ok(strace) => strace,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return;
        }
    };
    produce(REQUESTS);
    finish(strace);
    let table = fs::read_to_string(table).expect("strace has written its table");
    let calls = calls_by_name(&table);
    let total: u64 = calls.values().sum();
    let futex = calls.get("futex").copied().unwrap_or(0);
    // A table that does not even show the answers was not taken from the broker at work.
    assert!(total >= 2 * REQUESTS, "strace saw only\n{table}");
    let budget = CALLS_PER_REQUEST * REQUESTS + BACKGROUND_CALLS;
    assert!(
        total <= budget && futex <= FUTEX_CALLS,
        "{REQUESTS} requests cost {total} calls (at most {budget}), {futex} of them futex (at \
         most {FUTEX_CALLS})\n{table}"
    );
}

/// Counts the calls of all threads of `pid` from now on.
fn attach(pid: u32, table: &Path) -> Result<Child, String> {
    let mut strace = Command::new("strace")
        .args(["-f", "-c", "-p", &pid.to_string(), "-o"])
        .arg(table)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("no strace here: {e}"))?;
    let attached = poll("strace to attach", || {
        match strace.try_wait().expect("our own child") {
            Some(_) => Some(false),
            None => every_thread_is_traced(pid).then_some(true),
        }
    });
    if attached {
        Ok(strace)
    } else {
        Err("strace may not trace other processes here".to_owned())
    }
}

fn every_thread_is_traced(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("our own child");
    let mut statuses = threads.map_while(Result::ok).map(|thread| {
        // A thread may end between listing and reading.
        fs::read_to_string(thread.path().join("status")).unwrap_or_default()
    });
    statuses.all(|status| !status.contains("TracerPid:\t0\n"))
}

/// strace writes its table when it is interrupted.
fn finish(mut strace: Child) {
    let pid = i32::try_from(strace.id()).expect("process ids are small");
    let pid = Pid::from_raw(pid).expect("not zero");
    kill_process(pid, Signal::INT).expect("our own child");
    poll("strace to finish", || {
        strace.try_wait().expect("our own child")
    });
}

/// Lines are `% time, seconds, usecs/call, calls, [errors,] name`.
fn calls_by_name(table: &str) -> BTreeMap<&str, u64> {
    let rows = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let name = *fields.last()?;
        let calls = fields.get(3)?.parse().ok()?;
        (name != "total").then_some((name, calls))
    });
    rows.collect()
}
