//! What one produce request costs in system calls, counted by strace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use rustix::process::{Pid, Signal, kill_process};

use super::batch::Batch;
use super::calls::{FETCH, PRODUCE, Topic, fetch_request, poll, produce_request};
use super::client::{CLIENT_ID, Client, framed, message};
use super::{Subject, own_ottla};

pub const REQUESTS: u64 = 1_000;
/// Until then the broker retains what it is sent, and its heap grows page by page.
const WARM_UP: u64 = 2_000;
/// How often it is counted, if too many calls are.
const COUNTS: u32 = 5;
/// Wait for the socket, read the request, write the batch, send the answer.
pub const CALLS_PER_REQUEST: u64 = 4;
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
    let request = sized_request(&topic, 1_024 - 70);
    let produce = |count| {
        for _ in 0..count {
            assert_eq!(client.produce_one(PRODUCE, &request).error_code, 0);
        }
    };
    assert_costs(&subject, produce, CALLS_PER_REQUEST * REQUESTS);
}

/// With more connections than one the wait is shared: recv, write, send. No thread wakes another.
#[test]
fn sixteen_connections_cost_three_system_calls_a_request() {
    let Some(subject) = own_ottla("only Ottla has this budget", &[]) else {
        return;
    };
    // To a log of its own each: strace holds up whoever writes, and others would wait for its lock.
    let mut clients: Vec<(Client, ProduceRequest)> = (0..16)
        .map(|_| {
            let topic = subject.topic("syscalls-16");
            (subject.connect(), sized_request(&topic, 1_024 - 70))
        })
        .collect();
    let produce = |count| {
        for _ in 0..count / 16 {
            let sent: Vec<i32> = clients
                .iter_mut()
                .map(|(client, request)| client.send(PRODUCE, request))
                .collect();
            for ((client, _), correlation_id) in clients.iter_mut().zip(sent) {
                client.receive::<ProduceRequest>(PRODUCE, correlation_id);
            }
        }
    };
    assert_costs(&subject, produce, 3 * REQUESTS + REQUESTS / 4);
}

/// Five requests that arrive together share the wait. Each is read, written and answered by itself,
/// where performance.md asks that reads and answers are shared as well: 12 calls, not 17.
#[test]
fn a_burst_of_five_shares_its_wait() {
    let Some(subject) = own_ottla("only Ottla has this budget", &[]) else {
        return;
    };
    let topic = subject.topic("syscalls-burst");
    let mut client = subject.connect();
    let request = sized_request(&topic, 16_000);
    let produce = |count| {
        for _ in 0..count / 5 {
            let mut burst = Vec::new();
            let ids = [(); 5].map(|()| client.correlation_id());
            for id in ids {
                let frame = message(PRODUCE, id, Some(CLIENT_ID), &request);
                burst.extend_from_slice(&framed(&frame));
            }
            client.send_bytes(&burst);
            for id in ids {
                client.receive::<ProduceRequest>(PRODUCE, id);
            }
        }
    };
    let counted = assert_costs(&subject, produce, REQUESTS / 5 * (2 + 3 * 5));
    assert!(counted.is_none_or(|counted| counted.of("lseek") == 0));
}

/// An idle broker sleeps: no timers, no writes. The time is told by a Fetch that finds nothing. What
/// the start and the new topic have left to do takes some time, and a thread also sleeps where the
/// machine has taken a page of its program away: so some time has to be quiet, not every.
#[test]
fn an_idle_broker_wakes_twice_a_second_at_most_and_writes_nothing() {
    const SECONDS: u64 = 4;
    const TIMES: usize = 8;
    let Some(subject) = own_ottla("only Ottla has this budget", &[]) else {
        return;
    };
    let topic = subject.topic("idle");
    let mut client = subject.connect();
    let request = fetch_request(FETCH, &topic, 0).with_max_wait_ms(SECONDS as i32 * 1_000);
    let root = format!("/proc/{}", subject.pid());
    let mut counts = Vec::new();
    for _ in 0..TIMES {
        let (switches, writes) = (switches(&root), write_calls(&root));
        client.call(FETCH, &request);
        let switched = self::switches(&root) - switches;
        let written = write_calls(&root) - writes;
        counts.push((switched, written));
        // The Fetch itself is received, times out, and is answered. The runtime may wake itself
        // through an eventfd for it; files are not written.
        if switched <= 2 * SECONDS + 4 && written <= 4 {
            return;
        }
    }
    panic!("wake-ups and write calls of a broker without work, in {SECONDS} s: {counts:?}");
}

/// Times that any thread has gone to sleep.
fn switches(root: &str) -> u64 {
    let threads = fs::read_dir(format!("{root}/task")).expect("our own child");
    let counts = threads.map_while(Result::ok).map(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        number_behind(&status, "\nvoluntary_ctxt_switches:")
    });
    counts.sum()
}

/// write(2) and its kin, without those on sockets by send(2).
fn write_calls(root: &str) -> u64 {
    let io = fs::read_to_string(format!("{root}/io")).expect("our own child");
    number_behind(&io, "\nsyscw:")
}

fn number_behind(text: &str, name: &str) -> u64 {
    let rest = text.split(name).nth(1).unwrap_or_default();
    let number = rest.split_whitespace().next().unwrap_or_default();
    number.parse().expect("the kernel tells it")
}

fn sized_request(topic: &Topic, value_bytes: usize) -> ProduceRequest {
    let records: Bytes = Batch::sized(value_bytes).bytes().into();
    produce_request(PRODUCE, topic, &[(0, Some(records))])
}

/// strace's table of [`REQUESTS`] requests.
pub struct Counted {
    table: String,
}

/// Runs the requests, first some that are not counted, and asserts what they may cost. None, with
/// the reason printed, where strace may not look at other processes.
///
/// A busy machine adds calls and takes none away: it tears apart what would have come together, so
/// that it is waited for more often, and lets threads meet at a lock that one of them would have left
/// long before. So it is enough that one count of some is within the budget.
#[track_caller]
pub fn assert_costs(
    subject: &Subject,
    mut produce: impl FnMut(u64),
    calls_max: u64,
) -> Option<Counted> {
    produce(WARM_UP);
    let mut refused = String::new();
    for _ in 0..COUNTS {
        let counted = count_calls(subject, &mut produce)?;
        match counted.is_within(calls_max + BACKGROUND_CALLS) {
            Ok(()) => return Some(counted),
            Err(why) => refused = why,
        }
    }
    panic!("{COUNTS} times too many, at last {refused}");
}

fn count_calls(subject: &Subject, produce: &mut impl FnMut(u64)) -> Option<Counted> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("calls");
    let strace = match attach(subject.pid(), &path) {
        Ok(strace) => strace,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return None;
        }
    };
    produce(REQUESTS);
    finish(strace);
    let table = fs::read_to_string(path).expect("strace has written its table");
    Some(Counted { table })
}

impl Counted {
    pub fn of(&self, name: &str) -> u64 {
        calls_by_name(&self.table).get(name).copied().unwrap_or(0)
    }

    fn is_within(&self, calls_max: u64) -> Result<(), String> {
        let total: u64 = calls_by_name(&self.table).values().sum();
        let (futex, table) = (self.of("futex"), &self.table);
        // A table that does not even show the work was not taken from the broker at work.
        assert!(total >= REQUESTS, "strace saw only\n{table}");
        if total <= calls_max && futex <= FUTEX_CALLS {
            return Ok(());
        }
        Err(format!(
            "{REQUESTS} requests cost {total} calls (at most {calls_max}), {futex} of them futex \
             (at most {FUTEX_CALLS})\n{table}"
        ))
    }
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
