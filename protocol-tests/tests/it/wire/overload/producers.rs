//! Ten times as many producers as the broker can serve at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::wire::calls::{PRODUCE, produce_request};
use kafka_protocol::messages::ProduceRequest;

/// After an overload the same work may cost so many times more: caches are cold, the heap is another.
const COST_AFTER: u32 = 3;
const PRODUCERS: usize = 8;
const BATCH_BYTES: usize = 8 << 10;
const IN_FLIGHT: usize = 4;
const MEASURED: Duration = Duration::from_secs(1);
/// So much heap and stack the system lets the broker have, in KiB.
const LIMIT_KIB: u64 = 512 << 10;

/// Producers that send as fast as they are answered, until dropped.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(subject: &Subject, topic: &Topic, producers: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let records: bytes::Bytes = Batch::sized(BATCH_BYTES).bytes().into();
        let request = produce_request(PRODUCE, topic, &[(0, Some(records))]);
        let threads = (0..producers).map(|_| {
            let mut client = subject.connect();
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            let request = request.clone();
            std::thread::spawn(move || {
                let mut open = std::collections::VecDeque::new();
                while !stop.load(Ordering::Relaxed) {
                    while open.len() < IN_FLIGHT {
                        open.push_back(client.send(PRODUCE, &request));
                    }
                    let id = open.pop_front().expect("just sent");
                    let answer = client.receive::<ProduceRequest>(PRODUCE, id);
                    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let threads = threads.collect();
        Load {
            stop,
            acknowledged,
            threads,
        }
    }

    /// Requests per second over a while.
    fn rate(&self) -> f64 {
        let before = self.acknowledged.load(Ordering::Relaxed);
        let began = Stopwatch::start();
        std::thread::sleep(MEASURED);
        let done = self.acknowledged.load(Ordering::Relaxed) - before;
        done as f64 / began.elapsed().as_secs_f64()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let result = thread.join();
            assert!(
                result.is_ok() || std::thread::panicking(),
                "a producer failed"
            );
        }
    }
}

#[test]
fn ten_times_the_load_is_served_at_the_same_rate_within_512_mib() {
    // Beyond it an allocation fails, which ends the process: an OOM kill in small.
    let limit = format!("ulimit -d {LIMIT_KIB}; exec \"$0\" \"$@\"");
    let setting = format!("ottla.memory.limit={}", LIMIT_KIB << 10);
    // The disk must not fill up meanwhile.
    let settings = [
        setting.as_str(),
        "log.segment.bytes=16777216",
        "log.retention.bytes=33554432",
    ];
    let Some(subject) = limited_ottla(OTTLA, &["sh", "-c", &limit], &settings) else {
        return;
    };
    let mut healthy = Healthy::new(&subject);
    let topic = subject.topic("load");
    let alone = healthy.best_of(5);
    let (mut peak, mut overloaded): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        peak.push(Load::start(&subject, &topic, PRODUCERS).rate());
        overloaded.push(Load::start(&subject, &topic, 10 * PRODUCERS).rate());
    }
    let recovered_in = Stopwatch::start();
    let after = healthy.best_of(5);
    let recovered_in = recovered_in.elapsed();
    // Rounds side by side: what else the machine does changes from one to the next.
    let ratios = peak
        .iter()
        .zip(&overloaded)
        .map(|(alone, tenfold)| tenfold / alone);
    let goodput = ratios.fold(0.0, f64::max);
    let peak_kib = subject.proc().peak_kib();
    eprintln!(
        "{peak:.0?} requests/s, tenfold {overloaded:.0?}: {goodput:.2}; {alone:?} before, \
         {after:?} after, seen after {recovered_in:?}; {peak_kib} KiB at the peak"
    );
    assert!(goodput >= 0.8, "{goodput}");
    assert!(recovered_in <= Duration::from_secs(5) && after <= alone * COST_AFTER);
    assert!(peak_kib <= LIMIT_KIB * 11 / 10);
}
