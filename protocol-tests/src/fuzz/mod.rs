//! A fuzzer that runs on stable: seeded, so that every input can be made again; aware of
//! structure, so that most of an input is right; judging panics, aborts (the process ends) and
//! memory. A target is what reads bytes that the broker did not choose.

mod config;
mod files;
mod groups;
mod mutate;
mod records;
mod wire;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;

use crate::random::Random;

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Inputs over all targets.
    pub inputs: u64,
    pub seed: u64,
    /// One target alone.
    pub target: Option<String>,
    /// The first input's number: repeats one that was found.
    pub from: u64,
}

/// The heap of this process, in bytes. The process must have one thread.
pub trait Heap {
    fn current(&self) -> usize;
    fn peak(&self) -> usize;
    fn reset_peak(&self);
}

struct Target {
    name: &'static str,
    /// Its part of the inputs, in thousandths.
    share: u64,
    make: fn(&mut Random) -> Vec<u8>,
    /// Whether the input was taken for right. Panics on what must never be.
    check: fn(&Bytes) -> bool,
    memory: Memory,
}

/// How much memory an input may cost (security.md section 10).
#[derive(Clone, Copy, Debug)]
enum Memory {
    /// 32 times its bytes and 64 KiB.
    Decode,
    /// The same beside the buffer of a connection, which reads ahead.
    Stream,
    /// Windows and blocks of codecs: at most 16 MiB, whatever is declared.
    Inflate,
    /// Nobody sends it over a network.
    Unlimited,
}

impl Memory {
    fn limit(self, input: usize) -> usize {
        match self {
            Memory::Decode => 32 * input + (64 << 10),
            Memory::Stream => 32 * input + (192 << 10),
            Memory::Inflate => 32 * input + (16 << 20),
            Memory::Unlimited => usize::MAX,
        }
    }
}

#[rustfmt::skip]
const TARGETS: [Target; 11] = [
    target("stream", 60, wire::make_stream, wire::check_stream, Memory::Stream),
    target("request", 471, wire::make_request, wire::check_request, Memory::Decode),
    target("batch", 200, records::make_batch, records::check_batch, Memory::Inflate),
    target("payload", 80, records::make_payload, records::check_payload, Memory::Inflate),
    target("index", 50, files::make_index, files::check_index, Memory::Decode),
    target("snapshot", 40, files::make_snapshot, files::check_snapshot, Memory::Decode),
    target("text", 30, files::make_text, files::check_text, Memory::Unlimited),
    target("group", 30, groups::make_record, groups::check_record, Memory::Decode),
    target("metadata", 30, files::make_metadata, files::check_metadata, Memory::Unlimited),
    target("file", 6, files::make_file, files::check_file, Memory::Unlimited),
    target("config", 3, config::make, config::check, Memory::Unlimited),
];

const fn target(
    name: &'static str,
    share: u64,
    make: fn(&mut Random) -> Vec<u8>,
    check: fn(&Bytes) -> bool,
    memory: Memory,
) -> Target {
    Target {
        name,
        share,
        make,
        check,
        memory,
    }
}

/// What one target went through.
#[derive(Clone, Debug)]
pub struct Summary {
    pub target: &'static str,
    pub inputs: u64,
    /// Inputs that were taken for right.
    pub accepted: u64,
    /// The most heap that one input cost.
    pub peak: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            target,
            inputs,
            accepted,
            peak,
        } = self;
        let percent = accepted * 100 / (*inputs).max(1);
        write!(
            f,
            "{target}: {inputs} inputs, {percent} % accepted, at most {} KiB of heap",
            peak.div_ceil(1024)
        )
    }
}

/// The names of all targets.
pub fn targets() -> impl Iterator<Item = &'static str> {
    TARGETS.iter().map(|target| target.name)
}

/// Runs the targets and shows each one's summary. Fails with the first input that is too much for
/// one, and how to see it again.
pub fn run(options: &Options, heap: &dyn Heap, show: impl Fn(&Summary)) -> Result<()> {
    let mut found = false;
    for target in &TARGETS {
        let inputs = match &options.target {
            None => options.inputs * target.share / 1_000,
            Some(name) if name == target.name => options.inputs,
            Some(_) => continue,
        };
        found = true;
        show(&run_one(target, inputs, options, heap)?);
    }
    ensure!(found, "no such target");
    Ok(())
}

fn run_one(target: &Target, inputs: u64, options: &Options, heap: &dyn Heap) -> Result<Summary> {
    let &Target { name, .. } = target;
    let mut summary = Summary {
        target: name,
        inputs,
        accepted: 0,
        peak: 0,
    };
    // What is made once per process is no input's fault.
    for warm_up in 0..20 {
        let _ = catch_unwind(|| (target.check)(&input(target, options.seed, warm_up)));
    }
    for number in options.from..options.from + inputs {
        let bytes = input(target, options.seed, number);
        heap.reset_peak();
        let before = heap.current();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(&bytes)));
        let cost = heap.peak().saturating_sub(before);
        let again = || {
            let (seed, size, hex) = (options.seed, bytes.len(), hex(&bytes));
            format!("--target {name} --seed {seed} --from {number} --inputs 1, {size} bytes: {hex}")
        };
        let Ok(accepted) = outcome else {
            bail!("a panic: {}", again());
        };
        let limit = target.memory.limit(bytes.len());
        if cost > limit {
            bail!(
                "{cost} bytes of heap where {limit} are allowed: {}",
                again()
            );
        }
        summary.accepted += u64::from(accepted);
        summary.peak = summary.peak.max(cost);
    }
    ensure!(
        summary.accepted > 0 || inputs < 1_000,
        "{name}: no input was right, which shows nothing"
    );
    Ok(summary)
}

/// An input is a function of target, seed and number.
fn input(target: &Target, seed: u64, number: u64) -> Bytes {
    let name = target.name.bytes().fold(0, |hash: u64, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    let mut random = Random::new(seed ^ name << 40 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (target.make)(&mut random).into()
}

fn hex(bytes: &[u8]) -> String {
    let shown = bytes.iter().take(2_000);
    shown.map(|byte| format!("{byte:02x}")).collect()
}
