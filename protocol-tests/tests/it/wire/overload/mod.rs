//! More than the broker can do: crowds that hold connections and say little, readers that do not
//! read, frames that never come, producers in excess. The broker stays within its memory, serves
//! the others meanwhile, and is itself again soon after (security.md sections 7, 10).
//!
//! What a healthy client pays is told by the broker's processor time for the same work without and
//! with the crowd, in turns: the wall clock of a machine that runs other tests tells nothing, and
//! what they do to caches and cores hits both halves of some turn alike. That nobody is held up has
//! a deadline besides.

mod crowds;
mod descriptors;
mod memory;
mod producers;

use std::time::Duration;

use protocol_tests::measure::Process;
use protocol_tests::stopwatch::Stopwatch;

use super::batch::Batch;
use super::calls::Topic;
use super::client::Client;
use super::{Subject, limited_ottla, own_ottla};

const OTTLA: &str = "its memory is bounded otherwise";

/// Beside a crowd the same work may cost half as much again, in the best turn of some.
const COST_BESIDE: f64 = 1.5;
/// Whoever is held up by a crowd waits for a minute or for ever.
const HELD_UP: Duration = Duration::from_secs(20);

/// A client that does honest work and measures what that costs the broker.
struct Healthy {
    client: Client,
    topic: Topic,
    batch: Batch,
    broker: u32,
}

impl Healthy {
    /// From an address of its own: a crowd is another peer.
    fn new(subject: &Subject) -> Healthy {
        let topic = subject.topic("healthy");
        let mut healthy = Healthy {
            client: subject.connect_from("127.0.0.77"),
            topic,
            batch: Batch::sized(1_000),
            broker: subject.pid(),
        };
        for _ in 0..3 {
            healthy.work();
        }
        healthy
    }

    /// One round: batches in, and each read back. Returns the broker's processor time.
    fn work(&mut self) -> Duration {
        const TIMES: usize = 200;
        let (began, before) = (Stopwatch::start(), self.processor_time());
        for _ in 0..TIMES {
            let offset = self.client.append(&self.topic, &self.batch);
            let fetched = self.client.fetch(&self.topic, offset);
            assert_eq!(fetched.error_code, 0);
        }
        let took = began.elapsed();
        assert!(took < HELD_UP, "{TIMES} requests took {took:?}");
        self.processor_time().saturating_sub(before)
    }

    /// Works without a crowd and beside one, in turns, and asserts what that may cost.
    fn assert_unimpressed<Crowd>(
        &mut self,
        turns: usize,
        mut gather: impl FnMut() -> Crowd,
        scattered: impl Fn(),
    ) {
        let turns: Vec<(Duration, Duration)> = (0..turns)
            .map(|_| {
                let alone = self.work().min(self.work());
                let crowd = gather();
                let beside = self.work().min(self.work());
                drop(crowd);
                scattered();
                (alone, beside)
            })
            .collect();
        let ratio = |(alone, beside): &(Duration, Duration)| beside.div_duration_f64(*alone);
        let best = turns.iter().map(ratio).fold(f64::INFINITY, f64::min);
        eprintln!("healthy without and beside: {turns:?}, {best:.2} at best");
        assert!(best <= COST_BESIDE, "{turns:?}");
    }

    /// The cheapest of some rounds: what the machine does beside us costs some more, seldom all.
    fn best_of(&mut self, rounds: usize) -> Duration {
        let times = (0..rounds).map(|_| self.work());
        times.min().expect("rounds")
    }

    fn processor_time(&self) -> Duration {
        Process::sample(self.broker).expect("it runs").cpu()
    }
}

/// What /proc says about the broker.
struct Proc(u32);

impl Proc {
    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0)).expect("it runs")
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = self.read("status");
        let line = status.lines().find(|line| line.starts_with(field));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.and_then(|kib| kib.parse().ok()).expect("a size in kB")
    }

    /// Memory of its own in KiB, without the pages of its program, which the kernel brings and takes
    /// as it likes.
    fn own_kib(&self) -> u64 {
        self.status_kib("RssAnon:")
    }

    /// Resident memory in KiB.
    fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most there has been, in KiB.
    fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.0)).map_or(0, Iterator::count)
    }

    /// Processor time used so far; a tick is 10 ms.
    fn cpu(&self) -> Duration {
        let stat = self.read("stat");
        // Behind the name, which may hold anything: state is field 3, utime 14, stime 15.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .expect("a name in parentheses")
            .1
            .split_whitespace()
            .collect();
        let ticks: u64 = [11, 12]
            .iter()
            .map(|at| fields[*at].parse::<u64>().expect("ticks"))
            .sum();
        Duration::from_millis(10 * ticks)
    }
}

impl Subject {
    fn proc(&self) -> Proc {
        Proc(self.pid())
    }
}
