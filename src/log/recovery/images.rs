//! D3, D4, D6, D7 and D8 over damaged directory images. `OTTLA_RECOVERY_IMAGES` sets how many.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use crate::log::epochs::EpochCache;
use crate::log::producers::{ProducerStates, Verdict};
use crate::log::testing::*;
use crate::log::{Error, Log, OpenAt};
use crate::protocol::batch::{BatchHeader, ValidBatch, crc_matches};
use crate::types::{LeaderEpoch, Offset};

/// What happened to a log before the damage.
#[derive(Clone, Debug)]
enum Event {
    /// Records, bytes of each.
    Append(usize, usize),
    /// The next batch of one of three idempotent producers.
    Idempotent(u8),
    NewEpoch,
    Checkpoint,
}

#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    /// From, length in units of 512 bytes.
    Zero(Index, usize),
    Flip(Index, u8),
    /// The last bytes once more.
    Duplicate(Index),
    Junk(Vec<u8>),
    Remove,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (1..4usize, prop_oneof![Just(10usize), 50..400usize, 2_000..6_000usize])
            .prop_map(|(count, bytes)| Event::Append(count, bytes)),
        4 => (0..3u8).prop_map(Event::Idempotent),
        1 => Just(Event::NewEpoch),
        1 => Just(Event::Checkpoint),
    ];
    proptest::collection::vec(event, 1..40)
}

fn damages() -> impl Strategy<Value = Vec<(Index, Damage)>> {
    let damage = prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), 1..8usize).prop_map(|(at, pages)| Damage::Zero(at, pages)),
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        any::<Index>().prop_map(Damage::Duplicate),
        proptest::collection::vec(any::<u8>(), 1..200).prop_map(Damage::Junk),
        Just(Damage::Remove),
    ];
    proptest::collection::vec((any::<Index>(), damage), 0..4)
}

fn apply(damage: &Damage, bytes: &mut Vec<u8>) {
    let length = bytes.len();
    match damage {
        _ if length == 0 => bytes.extend_from_slice(&[7; 30]),
        Damage::Cut(at) => bytes.truncate(at.index(length)),
        Damage::Zero(at, pages) => {
            let from = at.index(length) / 512 * 512;
            let to = (from + pages * 512).min(length);
            bytes[from..to].fill(0);
        }
        Damage::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
        Damage::Duplicate(at) => {
            let tail = bytes[at.index(length)..].to_vec();
            bytes.extend(tail);
        }
        Damage::Junk(junk) => bytes.extend(junk),
        Damage::Remove => {}
    }
}

/// Lives through `events` and dies; returns the recovery point last reached.
fn live(node: &mut Node, events: &[Event]) -> Offset {
    let mut log = node.open();
    let (mut epoch, mut sequences) = (0, [0; 3]);
    for (now, event) in (NOW..).zip(events) {
        let mut append = |batch: ValidBatch, epoch: LeaderEpoch| {
            log.append(batch, epoch, NOW).expect("append");
        };
        match event {
            Event::Append(count, bytes) => append(batch_at(now % 7 + NOW, *count, *bytes), epoch),
            Event::Idempotent(producer) => {
                let sequence = &mut sequences[usize::from(*producer)];
                append(from_producer(i64::from(*producer), 0, *sequence), epoch);
                *sequence += 1;
            }
            Event::NewEpoch => epoch += 2,
            Event::Checkpoint => {
                if let Some(work) = log.start_flush(NOW) {
                    log.flushed(work.run()).expect("flush");
                }
            }
        }
    }
    let recovery_point = log.recovery_point();
    node.kill(log);
    recovery_point
}

/// The `.log` files in order.
fn logs(node: &Node) -> Vec<(String, Vec<u8>)> {
    let names = node.files().into_iter().map(|(name, _)| name);
    let names = names.filter(|name| name.ends_with(".log"));
    let read = |name: String| {
        let bytes = std::fs::read(node.path(&name)).expect("read");
        (name, bytes)
    };
    names.map(read).collect()
}

fn image(node: &Node) -> Vec<u8> {
    logs(node)
        .into_iter()
        .flat_map(|(_, bytes)| bytes)
        .collect()
}

/// Whether a byte is outside every checksum: base offset, leader epoch. A flipped bit there may
/// leave a batch as good as any.
fn is_unprotected(mut bytes: &[u8], mut at: usize) -> bool {
    while let Some(header) = BatchHeader::read(bytes) {
        match bytes.split_at_checked(header.total_size()) {
            Some((batch, rest)) if at >= batch.len() => {
                at -= batch.len();
                bytes = rest;
            }
            _ => return at < 8 || (12..16).contains(&at),
        }
    }
    false
}

/// Whether a byte changed that the recovery point vouches for. A completed segment below it has
/// no byte behind its last.
fn is_damaged_below(
    point: Offset,
    before: &[(String, Vec<u8>)],
    after: &[(String, Vec<u8>)],
) -> bool {
    before.iter().enumerate().any(|(index, (name, bytes))| {
        let next = before
            .get(index + 1)
            .and_then(|(name, _)| super::base_of(name));
        let now = after.iter().find(|(other, _)| other == name);
        let now = now.map_or(&[][..], |(_, bytes)| bytes);
        if next.is_some_and(|next| next <= point) {
            return now != bytes;
        }
        let synced = batches(bytes).expect("whole batches");
        let synced = synced
            .iter()
            .filter(|(header, _)| header.base_offset < point);
        let synced: usize = synced.map(|(header, _)| header.total_size()).sum();
        !now.starts_with(&bytes[..synced])
    })
}

/// `None` if `bytes` are not whole batches.
fn batches(mut bytes: &[u8]) -> Option<Vec<(BatchHeader, &[u8])>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let header = BatchHeader::read(bytes)?;
        let (batch, rest) = bytes.split_at_checked(header.total_size())?;
        found.push((header, batch));
        bytes = rest;
    }
    Some(found)
}

/// Everything a recovered log must be, whatever was damaged.
fn check(log: &mut Log, image: &[u8], scanned_from: Offset, damaged_below: bool) {
    let contents = match read_all(log) {
        Ok(contents) => contents,
        // Damage in what was believed, met by the first reader.
        Err(Error::Corrupt { .. }) if damaged_below => return,
        Err(error) => panic!("{error}"),
    };
    assert!(image.starts_with(&contents), "D4: not a prefix");
    let Some(batches) = batches(&contents) else {
        assert!(damaged_below, "not whole batches");
        return;
    };
    let (mut next, mut epoch) = (0, -1);
    let mut epochs = EpochCache::default();
    let mut producers = ProducerStates::default();
    for (header, batch) in &batches {
        let believed = damaged_below && header.base_offset < scanned_from;
        let follows = header.base_offset >= next && header.partition_leader_epoch >= epoch;
        assert!(believed || follows, "D3: offsets and epochs at {next}");
        if header.base_offset >= scanned_from {
            assert!(crc_matches(batch), "D3: checksum at {next}");
        }
        if believed {
            // It may say anything, an epoch of years to come too: nobody has to follow that.
            (next, epoch) = (header.base_offset, -1);
            continue;
        }
        next = header.next_offset();
        if header.partition_leader_epoch > epoch {
            epoch = header.partition_leader_epoch;
            epochs.assign(epoch, header.base_offset);
        }
        producers.appended(header, NOW);
    }
    let ends = batches.is_empty() || next == log.log_end_offset();
    assert!(damaged_below || ends, "{next} is not the end");
    for (header, _) in batches.iter().filter(|_| !damaged_below) {
        let records = log.read(header.last_offset(), next, 1, true).expect("D6");
        assert_eq!(records.first_offset, header.base_offset, "D6");
    }
    if damaged_below {
        // Headers that were believed may say anything.
        return;
    }
    assert_eq!(log.epochs, epochs, "D8");
    refill(log, false);
    if log.log_start_offset() == 0 {
        // Producers outlive the segments they wrote (R70).
        assert_eq!(log.producers.snapshot(), producers.snapshot(), "D7");
    }
    for (header, _) in batches.iter().filter(|(header, _)| header.producer_id >= 0) {
        let (got, expected) = (log.producers.check(header), producers.check(header));
        assert_eq!(got, expected, "D7");
        assert!(!matches!(got, Ok(Verdict::Append)), "D7: a known batch");
    }
}

/// As the first idempotent append does.
fn refill(log: &mut Log, damaged_below: bool) {
    let refilled = log.refill_producers(NOW);
    assert!(damaged_below || refilled.is_ok(), "{refilled:?}");
}

fn read_all(log: &Log) -> Result<Vec<u8>, Error> {
    let (mut at, mut bytes) = (log.log_start_offset(), Vec::new());
    while at < log.log_end_offset() {
        let records = log.read(at, Offset::MAX, 4_000, true)?;
        assert!(records.next_offset > at, "nothing at {at}");
        bytes.extend(bytes_of(&records));
        at = records.next_offset;
    }
    Ok(bytes)
}

fn case(events: Vec<Event>, damages: Vec<(Index, Damage)>, knows_point: bool) {
    let mut node = Node::new();
    node.config.segment_bytes = 30_000;
    let point = live(&mut node, &events);
    let whole = image(&node);
    let before = logs(&node);
    let unprotected = damage_files(&node, &damages);
    let image = image(&node);
    let damaged_below = is_damaged_below(point, &before, &logs(&node));
    let at = OpenAt {
        recovery_point: knows_point.then_some(point),
        ..unclean(0)
    };
    let scanned_from = if knows_point { point } else { 0 };
    let damaged = logs(&node);
    let (mut log, report) = match node.open_at(at) {
        Ok(opened) => opened,
        Err(Error::Corrupt { .. }) => {
            assert!(logs(&node) == damaged, "quarantine touches no data");
            assert!(
                damaged_below || !knows_point,
                "only synced data is quarantined"
            );
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(
        !knows_point || log.log_end_offset() >= point || report.lost_everything,
        "synced data is never cut in silence"
    );
    let damaged_below = damaged_below || unprotected || (!knows_point && image != whole);
    check(&mut log, &image, scanned_from, damaged_below);
    refill(&mut log, damaged_below);
    let recovered = (
        log.log_end_offset(),
        log.epochs.clone(),
        log.producers.snapshot(),
    );
    let again = [at.recovery_point, Some(log.recovery_point())];
    node.kill(log);
    recover_again(&mut node, at, again, &recovered, damaged_below);
}

/// Returns whether bytes were hit that no checksum protects.
fn damage_files(node: &Node, damages: &[(Index, Damage)]) -> bool {
    let mut unprotected = false;
    for (which, damage) in damages {
        let names: Vec<String> = node.files().into_iter().map(|(name, _)| name).collect();
        if names.is_empty() {
            continue;
        }
        let name = &names[which.index(names.len())];
        let is_text = name == "leader-epoch-checkpoint" || name == "partition.metadata";
        match damage {
            Damage::Remove => std::fs::remove_file(node.path(name)).expect("remove"),
            // A flipped digit in an unprotected text is another text, not a damaged one.
            Damage::Flip(..) | Damage::Duplicate(_) | Damage::Junk(_) if is_text => {}
            Damage::Cut(_) if is_text => node.damage(name, Vec::clear),
            Damage::Flip(at, _) if name.ends_with(".log") => node.damage(name, |bytes| {
                unprotected |= !bytes.is_empty() && is_unprotected(bytes, at.index(bytes.len()));
                apply(damage, bytes);
            }),
            damage => node.damage(name, |bytes| apply(damage, bytes)),
        }
    }
    unprotected
}

/// D4: a recovered log is recovered to the same, whatever is known of its recovery point.
fn recover_again(
    node: &mut Node,
    at: OpenAt,
    points: [Option<Offset>; 2],
    recovered: &(Offset, EpochCache, Vec<u8>),
    damaged_below: bool,
) {
    let bytes = image(node);
    for point in points {
        let at = OpenAt {
            recovery_point: point,
            ..at
        };
        let (mut log, report) = node.open_at(at).expect("recovered once, recovered always");
        refill(&mut log, damaged_below);
        let now = (
            log.log_end_offset(),
            log.epochs.clone(),
            log.producers.snapshot(),
        );
        assert_eq!(&now, recovered, "D4: recovering twice");
        assert_eq!(image(node), bytes, "D4: recovering twice");
        assert!(report.torn.is_none(), "{:?}", report.torn);
        node.kill(log);
    }
}

#[test]
fn d4_recovery_over_damaged_directory_images() {
    let images = std::env::var("OTTLA_RECOVERY_IMAGES").ok();
    let images = images.and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: images,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let strategy = (events(), damages(), proptest::bool::weighted(0.8));
    let result = runner.run(&strategy, |(events, damages, knows_point)| {
        case(events, damages, knows_point);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
