//! What a run cost, from `/proc`: CPU and run-queue wait of a process with all its threads, and
//! how much the machine was disturbed meanwhile. The client takes these samples itself, exactly
//! when its clock starts and stops.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Nanoseconds since an arbitrary start.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// [`now_ns`] plus a duration.
pub fn after(start_ns: u64, duration: Duration) -> u64 {
    start_ns + duration.as_nanos() as u64
}

/// Counters of one process since its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Time on a CPU, all living threads.
    cpu_ns: u64,
    /// Time runnable but waiting for a CPU.
    wait_ns: u64,
    voluntary_switches: u64,
    involuntary_switches: u64,
    minor_faults: u64,
    /// utime + stime in clock ticks of 10 ms, with threads that have ended.
    ticks: u64,
}

impl Process {
    /// Sums over `/proc/PID/task`.
    ///
    /// # Errors
    /// There is no such process.
    pub fn sample(pid: u32) -> Result<Process> {
        let root = Path::new("/proc").join(pid.to_string());
        let mut sum = Process::default();
        let tasks = fs::read_dir(root.join("task")).with_context(|| format!("no process {pid}"))?;
        for task in tasks.flatten() {
            // A thread may end between listing and reading.
            let Ok(schedstat) = fs::read_to_string(task.path().join("schedstat")) else {
                continue;
            };
            let mut fields = numbers(&schedstat);
            sum.cpu_ns += fields.next().unwrap_or(0);
            sum.wait_ns += fields.next().unwrap_or(0);
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            for line in status.lines() {
                let value = || numbers(line.split(':').nth(1).unwrap_or_default()).next();
                if line.starts_with("voluntary_ctxt_switches") {
                    sum.voluntary_switches += value().unwrap_or(0);
                } else if line.starts_with("nonvoluntary_ctxt_switches") {
                    sum.involuntary_switches += value().unwrap_or(0);
                }
            }
        }
        let stat = fs::read_to_string(root.join("stat"))?;
        // Field 2 is the name in parentheses, which may hold blanks.
        let behind_name = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = behind_name.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse().ok());
        sum.minor_faults = field(10).unwrap_or(0);
        sum.ticks = field(14).unwrap_or(0) + field(15).unwrap_or(0);
        Ok(sum)
    }

    /// CPU time, of all threads that still live.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_ns)
    }

    /// What it used between two samples.
    pub fn since(&self, before: &Process) -> Value {
        json!({
            "cpu_ns": self.cpu_ns.saturating_sub(before.cpu_ns),
            "wait_ns": self.wait_ns.saturating_sub(before.wait_ns),
            "voluntary_switches": self.voluntary_switches.saturating_sub(before.voluntary_switches),
            "involuntary_switches":
                self.involuntary_switches.saturating_sub(before.involuntary_switches),
            "minor_faults": self.minor_faults.saturating_sub(before.minor_faults),
            "tick_ns": self.ticks.saturating_sub(before.ticks) * 10_000_000,
        })
    }
}

/// The broker, this process and the machine at one moment.
pub struct Sample {
    at_ns: u64,
    broker: Option<(u32, Process)>,
    client: Process,
    /// µs in which some task waited for a CPU.
    pressure_us: u64,
    /// Ticks taken by the hypervisor.
    steal_ticks: u64,
    /// Ticks in which a CPU of the machine did something.
    busy_ticks: u64,
}

impl Sample {
    /// # Errors
    /// The broker has gone.
    pub fn take(broker: Option<u32>) -> Result<Sample> {
        let broker = match broker {
            Some(pid) => Some((pid, Process::sample(pid)?)),
            None => None,
        };
        Ok(Sample {
            broker,
            client: Process::sample(std::process::id())?,
            pressure_us: pressure_us(),
            steal_ticks: machine_ticks(&[STEAL]),
            busy_ticks: machine_ticks(&BUSY),
            at_ns: now_ns(),
        })
    }

    /// What happened from `before` until this sample.
    pub fn since(&self, before: &Sample) -> Value {
        let broker = match (&self.broker, &before.broker) {
            (Some((_, now)), Some((_, then))) => now.since(then),
            _ => Value::Null,
        };
        json!({
            "wall_ns": self.at_ns - before.at_ns,
            "broker": broker,
            "client": self.client.since(&before.client),
            "pressure_us": self.pressure_us.saturating_sub(before.pressure_us),
            "steal_ns": self.steal_ticks.saturating_sub(before.steal_ticks) * 10_000_000,
            "busy_ns": self.busy_ticks.saturating_sub(before.busy_ticks) * 10_000_000,
        })
    }
}

/// `some avg10=… total=N` of /proc/pressure/cpu; 0 where the kernel does not tell.
fn pressure_us() -> u64 {
    let text = fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let total = text
        .lines()
        .next()
        .and_then(|line| line.split("total=").nth(1));
    total
        .and_then(|total| total.trim().parse().ok())
        .unwrap_or(0)
}

/// Fields of the line `cpu` in /proc/stat: user, nice, system, irq, softirq, steal.
const BUSY: [usize; 6] = [1, 2, 3, 6, 7, STEAL];
const STEAL: usize = 8;

fn machine_ticks(fields: &[usize]) -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line: Vec<&str> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = fields
        .iter()
        .filter_map(|&field| line.get(field)?.parse::<u64>().ok());
    ticks.sum()
}

fn numbers(text: &str) -> impl Iterator<Item = u64> + '_ {
    text.split_whitespace()
        .filter_map(|number| number.parse().ok())
}
