//! The runtime over real logs, with a machine that adds up: what happens to callers when machines
//! panic, load, fail and are taken away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::machine::{LogRecord, Machine, Now, Outcome, Ticket};
use super::partition_of;
use super::shard::Shard;
use crate::clock::Clock;
use crate::config::TopicDefaults;
use crate::error::ResponseError;
use crate::log::LogOptions;
use crate::log::testing::context;
use crate::metadata::image::{Image, MetadataOffset};
use crate::metadata::records::{self, MetadataRecord};
use crate::partition::manager::Partitions;
use crate::partition::volume::Volume;
use crate::protocol::batch::Codec;
use crate::types::{BrokerId, Millis, TopicId};

#[derive(Default)]
struct Tally {
    sum: i64,
}

enum Command {
    Add(i64),
    Get,
    Panic,
}

struct Added(i64);

impl LogRecord for Added {
    fn encode(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        (b"added".to_vec(), Some(self.0.to_be_bytes().to_vec()))
    }

    fn decode(_: &[u8], value: Option<&[u8]>) -> Result<Option<Added>, String> {
        let value = value.and_then(|value| value.try_into().ok());
        let value = value.ok_or("not a number")?;
        Ok(Some(Added(i64::from_be_bytes(value))))
    }
}

impl Machine for Tally {
    type Command = Command;
    type Record = Added;
    type Reply = i64;

    fn may_write(command: &Command) -> bool {
        matches!(command, Command::Add(_))
    }

    fn set_max_batch_bytes(&mut self, _: usize) {}

    fn decide(&mut self, command: Command, ticket: Ticket, _: Now) -> Outcome<Tally> {
        let mut outcome = Outcome::default();
        match command {
            Command::Add(number) => {
                outcome.records.push(Added(number));
                outcome.reply(ticket, self.sum + number);
            }
            Command::Get => outcome.reply(ticket, self.sum),
            Command::Panic => panic!("as it was asked to"),
        }
        outcome
    }

    fn apply(&mut self, record: Added) {
        self.sum += record.0;
    }

    fn loaded(&mut self, _: Now) -> Outcome<Tally> {
        Outcome::default()
    }

    fn next_deadline(&self) -> Option<Millis> {
        None
    }

    fn expire(&mut self, _: Now) -> Outcome<Tally> {
        Outcome::default()
    }
}

struct Stage {
    _directory: TempDir,
    clock: Clock,
    _partitions: Partitions,
    shard: Arc<Shard<Tally>>,
}

fn stage() -> Stage {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = Clock::manual(1_000);
    let cx = context(directory.path(), LogOptions::default());
    let volume = Arc::new(Volume::open(cx, true, clock.clone()).expect("open"));
    let defaults = Arc::new(TopicDefaults::builtin());
    let partitions = Partitions::new(BrokerId(1), defaults, false, clock.clone(), vec![volume]);
    let topic_id = TopicId::random();
    let records = [
        MetadataRecord::Topic {
            name: "tally".to_owned(),
            topic_id,
        },
        MetadataRecord::Partition(records::Partition::of_one(topic_id, BrokerId(1))),
    ];
    let records = (0..).map(MetadataOffset).zip(&records);
    let image = Image::empty("c").apply(records).expect("they fit");
    partitions.publish(&Image::empty("c"), &image);
    let partition = partitions.find("tally", 0).expect("it is here");
    let shard = Arc::new(Shard::new(partition, Codec::None, clock.clone()));
    shard.load(Tally::default());
    Stage {
        _directory: directory,
        clock,
        _partitions: partitions,
        shard,
    }
}

impl Stage {
    fn ask(&self, command: Command) -> Result<i64, ResponseError> {
        let mut answer = self.shard.ask(command);
        self.shard.run();
        answer.try_recv().expect("answered by the run")
    }
}

#[test]
fn a_machine_that_panics_is_replaced_by_one_that_has_read_its_log() {
    let stage = stage();
    assert_eq!(stage.ask(Command::Add(2)), Ok(2));
    assert_eq!(stage.ask(Command::Add(3)), Ok(5));
    let mut waiting = stage.shard.ask(Command::Panic);
    let shard = stage.shard.clone();
    assert!(std::thread::spawn(move || shard.run()).join().is_err());
    assert_eq!(stage.ask(Command::Get), Err(ResponseError::NotCoordinator));
    let told = Ok(Err(ResponseError::NotCoordinator));
    assert_eq!(waiting.try_recv(), told, "the caller is not left waiting");
    assert_eq!(stage.shard.refusal(), Some(ResponseError::NotCoordinator));
    assert!(!stage.shard.begin_loading(), "not at once");
    stage.clock.advance(Duration::from_secs(1));
    assert!(stage.shard.begin_loading());
    let loading = Err(ResponseError::CoordinatorLoadInProgress);
    assert_eq!(stage.ask(Command::Get), loading);
    stage.shard.load(Tally::default());
    assert_eq!(stage.shard.refusal(), None);
    assert_eq!(stage.ask(Command::Get), Ok(5));
}

/// Whoever holds the machine without running jobs must look for those that came meanwhile.
#[test]
fn no_command_is_left_in_the_queue_whoever_holds_the_machine() {
    const COMMANDS: usize = 5_000;
    const PATIENCE_MS: Millis = 60_000;
    let (stage, time) = (stage(), Clock::system());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    stage.shard.load(Tally::default());
                }
            });
        }
        let mut missing = 0;
        for _ in 0..COMMANDS {
            // One caller alone: what it leaves behind is found by the others, or by nobody.
            let mut answer = stage.shard.ask(Command::Get);
            stage.shard.run();
            let asked = time.monotonic_ms();
            while answer.try_recv().is_err() && missing == 0 {
                missing += usize::from(time.monotonic_ms() - asked > PATIENCE_MS);
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::SeqCst);
        assert_eq!(missing, 0, "a command was never run");
    });
}

#[test]
fn who_waits_when_the_leadership_goes_is_told_so() {
    let stage = stage();
    let mut waiting = stage.shard.ask(Command::Add(1));
    stage.shard.resign();
    assert_eq!(waiting.try_recv(), Ok(Err(ResponseError::NotCoordinator)));
    assert_eq!(stage.ask(Command::Get), Err(ResponseError::NotCoordinator));
    // A load that comes too late changes nothing.
    stage.shard.load(Tally::default());
    assert_eq!(stage.ask(Command::Get), Err(ResponseError::NotCoordinator));
}

#[test]
fn r105_keys_hash_as_in_java() {
    for (key, hash) in [
        ("", 0),
        ("a", 97),
        ("group", 98_629_247),
        ("grüße", 98_768_023),
    ] {
        assert_eq!(partition_of(key, i32::MAX), hash, "{key}");
    }
    // Integer.MIN_VALUE has no absolute value.
    assert_eq!(partition_of("polygenelubricants", 50), 0);
    assert_eq!(partition_of("test-group", 50), 12);
}
