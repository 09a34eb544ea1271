//! The files of a compacted log, whatever happens meanwhile.

use proptest::prelude::*;

use super::*;
use crate::log::LogOptions;
use crate::log::relocate::LogCopy;
use crate::types::TopicPartition;

#[test]
fn a_compacted_log_reads_the_same_after_every_kind_of_end() {
    let mut node = Node::new();
    let mut log = log_of(
        &node,
        "a=1 b=1; c=1; a=2
         b=2; d=1 a=3 b=4
         c=2",
    );
    compact(&mut log, NOW);
    let before = story(&log);
    node.stop(log);
    let log = node.open();
    assert_eq!(story(&log), before);
    node.kill(log);
    for recovery_point in [0, 2, 3, 5, 8] {
        node.kill(log_again(&node, recovery_point, &before));
    }
}

fn log_again(node: &Node, recovery_point: Offset, expected: &str) -> Log {
    let (log, report) = node.open_at(unclean(recovery_point)).unwrap();
    assert!(report.torn.is_none(), "{report:?}");
    assert_eq!(story(&log), expected);
    log
}

#[test]
fn reads_that_were_planned_before_find_the_files_they_planned_with() {
    let mut node = Node::new();
    node.config.segment_bytes = 200_000;
    let mut log = node.open();
    let value = "v".repeat(1_000);
    for i in 0..600 {
        fill(&mut log, [Some(keyed(&format!("k{}={value}", i % 10)))]);
    }
    log.forget_tail();
    let plans: Vec<_> = (0..500)
        .map(|from| (from, log.plan_read(from, 600, 5_000, true).unwrap()))
        .collect();
    let look_up = log.offset_for_timestamp(NOW, 600).unwrap();
    compact(&mut log, NOW);
    for (from, plan) in plans {
        let records = plan.run().unwrap();
        assert_eq!(records.first_offset, from);
        let offsets = offsets_of(&records);
        assert!(offsets.starts_with(&format!("{from}-{from}")), "{offsets}");
    }
    assert_eq!(look_up.run().unwrap().map(|found| found.offset), Some(0));
}

#[test]
fn what_retention_was_faster_with_is_left_alone() {
    let node = Node::new();
    let mut log = log_of(&node, "a=1\n a=2\n a=3\n x=1");
    let inspection = log.inspect(rules(), 4, None).unwrap();
    let dirt = inspection.dirt(NOW).unwrap().unwrap();
    let mut round = inspection.begin(&dirt, Default::default(), LIMITS, NOW);
    let mut pace = |_| ControlFlow::Continue(());
    let groups = round.map_keys(&mut pace).unwrap().unwrap();
    let Copied::Changed(cleaned) = round.copy(groups[0].clone(), &mut pace).unwrap() else {
        panic!("two records are to go");
    };
    log.raise_start(1);
    log.detach_segments(1).unwrap().rename().unwrap();
    let TryEnter::Entered(gate) = cleaned.try_enter() else {
        panic!("nobody else is here");
    };
    assert!(!log.replace(&cleaned));
    drop(gate);
    cleaned.discard();
    assert!(!node.names().contains("cleaned"));
    let names: Vec<_> = node
        .files()
        .into_iter()
        .filter(|(n, _)| n.ends_with(".log"))
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn a_move_copies_the_indexes_of_a_compacted_segment_and_not_those_it_replaces() {
    let node = Node::new();
    // The record with the largest timestamp is to go.
    let mut log = log_of(&node, "a=1 b=1 c=1\n c=2\n x=1");
    let inspection = log.inspect(rules(), 5, None).unwrap();
    let dirt = inspection.dirt(NOW).unwrap().unwrap();
    let mut round = inspection.begin(&dirt, Default::default(), LIMITS, NOW);
    let mut pace = |_| ControlFlow::Continue(());
    let groups = round.map_keys(&mut pace).unwrap().unwrap();
    let Copied::Changed(cleaned) = round.copy(groups[0].clone(), &mut pace).unwrap() else {
        panic!("a record is to go");
    };
    let TryEnter::Entered(gate) = cleaned.try_enter() else {
        panic!("nobody else is here");
    };
    assert!(log.replace(&cleaned));
    // The list has changed, the names have not.
    let view = log.copy_view();
    let elsewhere = tempfile::tempdir().unwrap();
    let cx = context(elsewhere.path(), LogOptions::default());
    let partition = TopicPartition {
        topic: "topic".into(),
        partition: 0,
    };
    let mut copy = LogCopy::begin(&cx, &partition, node.topic_id).unwrap();
    std::thread::scope(|scope| {
        let (copied, reached) = std::sync::mpsc::channel();
        let copying = scope.spawn(move || copy.copy(&view, |_, _| copied.send(()).is_ok()));
        reached.recv().expect("the batches are copied");
        cleaned.rename(gate).unwrap();
        for () in reached {}
        copying.join().unwrap().unwrap();
    });
    let future = std::fs::read_dir(elsewhere.path()).unwrap().flatten();
    let mut future = future.filter(|entry| entry.path().is_dir());
    let index = "00000000000000000000.timeindex";
    let copied = std::fs::read(future.next().unwrap().path().join(index)).unwrap();
    assert_eq!(copied, std::fs::read(node.path(index)).unwrap());
}

#[test]
fn a_round_that_is_ended_leaves_nothing_behind() {
    let node = Node::new();
    let mut log = log_of(&node, "a=1; a=2; a=3\n a=4\n x=1");
    let before = (story(&log), node.names());
    for pieces in 0..7 {
        let inspection = log.inspect(rules(), 5, None).unwrap();
        let dirt = inspection.dirt(NOW).unwrap().unwrap();
        let remembered = log.remembered_producers(NOW).unwrap();
        let mut round = inspection.begin(&dirt, remembered, LIMITS, NOW);
        let mut left = pieces;
        let mut pace = |_| match left {
            0 => ControlFlow::Break(()),
            _ => {
                left -= 1;
                ControlFlow::Continue(())
            }
        };
        if let Some(groups) = round.map_keys(&mut pace).unwrap() {
            let copied = round.copy(groups[0].clone(), &mut pace).unwrap();
            assert!(matches!(copied, Copied::Ended), "{pieces}");
        }
        assert_eq!((story(&log), node.names()), before);
    }
}

#[test]
fn a_damaged_batch_is_not_written_anew() {
    let node = Node::new();
    let mut log = log_of(&node, "a=1 b=1\n a=2\n x=1");
    let damaged = "00000000000000000000.log";
    node.damage(damaged, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let inspection = log.inspect(rules(), 4, None).unwrap();
    let dirt = inspection.dirt(NOW).unwrap().unwrap();
    let remembered = log.remembered_producers(NOW).unwrap();
    let mut round = inspection.begin(&dirt, remembered, LIMITS, NOW);
    let error = round
        .map_keys(&mut |_| ControlFlow::Continue(()))
        .unwrap_err();
    assert!(matches!(round.judge(error), Some(Error::Corrupt { .. })));
    assert!(log.check_healthy().is_ok() && !node.cx.directory.is_offline());
}

#[test]
fn a_full_disk_ends_the_round_and_nothing_else() {
    let node = Node::new();
    let mut log = log_of(&node, "a=1 b=1\n a=2\n x=1");
    let before = (story(&log), node.names());
    let inspection = log.inspect(rules(), 4, None).unwrap();
    let dirt = inspection.dirt(NOW).unwrap().unwrap();
    let remembered = log.remembered_producers(NOW).unwrap();
    let mut round = inspection.begin(&dirt, remembered, LIMITS, NOW);
    let mut pace = |_| ControlFlow::Continue(());
    let groups = round.map_keys(&mut pace).unwrap().unwrap();
    node.cx.files.inject(crate::log::files::tests::Fault {
        class: crate::log::files::Class::Write,
        skip: 0,
        times: 1,
        errno: rustix::io::Errno::NOSPC,
    });
    let error = round.copy(groups[0].clone(), &mut pace).err().unwrap();
    assert!(matches!(round.judge(error), Some(Error::DiskFull { .. })));
    assert!(!node.cx.directory.is_offline() && !node.cx.directory.is_full());
    assert_eq!((story(&log), node.names()), before);
    assert!(compact(&mut log, NOW).is_some());
}

/// The files as a kill between any two steps of a swap leaves them.
#[test]
fn a_swap_that_was_interrupted_is_completed_or_never_was() {
    let text = "a=1 b=1; a=2\n b=2 c=1\n a=3 d=1\n x=1";
    let (old, new) = {
        let node = Node::new();
        let mut log = log_of(&node, text);
        let old = story(&log);
        compact(&mut log, NOW);
        (old, story(&log))
    };
    for step in 0..14 {
        let mut node = Node::new();
        let mut log = log_of(&node, text);
        let inspection = log.inspect(rules(), 8, None).unwrap();
        let dirt = inspection.dirt(NOW).unwrap().unwrap();
        let remembered = log.remembered_producers(NOW).unwrap();
        let mut round = inspection.begin(&dirt, remembered, LIMITS, NOW);
        let mut pace = |_| ControlFlow::Continue(());
        let groups = round.map_keys(&mut pace).unwrap().unwrap();
        let copied = round.copy(groups[0].clone(), &mut pace).unwrap();
        assert!(matches!(copied, Copied::Changed(_)));
        drop(copied);
        let committed = interrupt(&node, step);
        drop(round);
        node.kill(log);
        let (log, report) = node.open_at(unclean(8)).unwrap();
        assert!(
            report.torn.is_none() && !report.lost_data(),
            "{step}: {report:?}"
        );
        assert_eq!(
            story(&log),
            if committed { &new } else { &old }.as_str(),
            "{step}"
        );
        let names = node.names();
        assert!(
            !names.contains("swap") && !names.contains("cleaned"),
            "{step}: {names}"
        );
        node.stop(log);
        let log = node.open();
        assert_eq!(
            story(&log),
            if committed { &new } else { &old }.as_str(),
            "{step}"
        );
    }
}

/// The first `step` renames of a swap of the segments 0, 3 and 5; whether that commits it.
fn interrupt(node: &Node, step: usize) -> bool {
    let file = |base: Offset, suffix: &str| crate::log::segment::file_name(base, suffix);
    let mut renames = Vec::new();
    for suffix in ["timeindex", "index", "log"] {
        let name = file(0, suffix);
        renames.push((format!("{name}.cleaned"), format!("{name}.swap")));
    }
    let committed = step >= renames.len();
    for base in [0, 3, 5] {
        for suffix in ["log", "index", "timeindex"] {
            let name = file(base, suffix);
            renames.push((name.clone(), format!("{name}.deleted")));
        }
    }
    for suffix in ["timeindex", "index"] {
        let name = file(0, suffix);
        renames.push((format!("{name}.swap"), name));
    }
    for (from, to) in renames.into_iter().take(step) {
        std::fs::rename(node.path(&from), node.path(&to)).unwrap();
    }
    committed
}

#[test]
fn a_log_can_be_compacted_again_and_again() {
    let mut node = Node::new();
    let mut log = node.open();
    let mut cleaned_to = None;
    for round in 0..30 {
        for i in 0..20 {
            let key = (round * 7 + i * 3) % 25;
            fill(&mut log, [Some(keyed(&format!("k{key}={round}.{i}")))]);
        }
        fill(&mut log, [None]);
        cleaned_to = compact_with(&mut log, rules(), cleaned_to, LIMITS, NOW).or(cleaned_to);
        if round % 5 == 4 {
            let before = story(&log);
            node.stop(log);
            log = node.open();
            assert_eq!(story(&log), before);
        }
    }
    assert_eq!(log.log_end_offset(), 600);
    let records = story(&log).matches('@').count();
    assert_eq!(records, 25);
    let deleted = node.names().matches(".deleted").count();
    let mut names: Vec<_> = node.files().into_iter().map(|(name, _)| name).collect();
    names.dedup();
    assert!(deleted <= 6 * 5, "restarts remove them: {names:?}");
}

#[test]
fn the_indexes_of_a_compacted_segment_are_what_a_rebuild_would_make() {
    let mut node = Node::new();
    let mut log = node.open();
    let value = "v".repeat(3_000);
    for i in 0..200 {
        fill(
            &mut log,
            [Some(keyed(&format!("k{}={value} l{i}={value}", i % 50)))],
        );
    }
    fill(&mut log, [None, Some(keyed("x=1"))]);
    compact(&mut log, NOW);
    let read = |node: &Node, suffix: &str| {
        std::fs::read(node.path(&crate::log::segment::file_name(0, suffix))).unwrap()
    };
    let written = (read(&node, "index"), read(&node, "timeindex"));
    assert!(written.0.len() >= 8 * 8, "{} bytes", written.0.len());
    for suffix in ["index", "timeindex"] {
        std::fs::remove_file(node.path(&crate::log::segment::file_name(0, suffix))).unwrap();
    }
    node.kill(log);
    let (log, _) = node.open_at(unclean(401)).unwrap();
    log.read(0, 1, 1, true).unwrap();
    assert!(written == (read(&node, "index"), read(&node, "timeindex")));
}

/// What may happen to a compacted log.
#[derive(Clone, Debug)]
enum Step {
    /// Keys and values; none is a tombstone.
    Write(Vec<(u8, Option<u8>)>),
    Roll,
    /// With a map of so many bytes, so many ms later.
    Compact(usize, Millis),
    Flush,
    Stop,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let record = (0..20_u8, proptest::option::weighted(0.8, 0..255_u8));
    prop_oneof![
        6 => proptest::collection::vec(record, 1..12).prop_map(Step::Write),
        3 => Just(Step::Roll),
        3 => (prop_oneof![Just(0), Just(1 << 20)], 0..2 * DAY).prop_map(|(m, ms)| Step::Compact(m, ms)),
        1 => Just(Step::Flush),
        1 => Just(Step::Stop),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    /// The last value of every key is there at its offset, nothing has moved, and what is there was
    /// written.
    #[test]
    fn whatever_happens_the_last_record_of_every_key_is_there(
        steps in proptest::collection::vec(step(), 1..40)
    ) {
        let mut node = Node::new();
        let mut log = node.open();
        let mut written: Vec<(u8, Option<u8>)> = Vec::new();
        let (mut cleaned_to, mut now, mut recovery_point) = (None, NOW, 0);
        for step in steps {
            match step {
                Step::Write(records) => {
                    let word = |(key, value): &(u8, Option<u8>)| match value {
                        Some(value) => format!("{key}={value} "),
                        None => format!("{key} "),
                    };
                    let text: String = records.iter().map(word).collect();
                    log.append(keyed(&text), 0, now).unwrap();
                    written.extend(records);
                }
                Step::Roll => log.roll(now).unwrap(),
                Step::Compact(map_bytes, later) => {
                    now += later;
                    let limits = Limits { map_bytes, load_factor: 0.5, ..LIMITS };
                    let to = compact_with(&mut log, rules(), cleaned_to, limits, now);
                    cleaned_to = to.or(cleaned_to);
                }
                Step::Flush => {
                    if let Some(work) = log.start_flush(now) {
                        log.flushed(work.run()).unwrap();
                    }
                    recovery_point = log.recovery_point();
                }
                Step::Stop => {
                    recovery_point = log.log_end_offset();
                    node.stop(log);
                    log = node.open();
                }
                Step::Kill => {
                    node.kill(log);
                    log = node.open_at(unclean(recovery_point)).unwrap().0;
                }
            }
            prop_assert_eq!(log.log_end_offset(), written.len() as i64);
            check_against(&log, &written)?;
        }
    }
}

fn check_against(log: &Log, written: &[(u8, Option<u8>)]) -> Result<(), TestCaseError> {
    let mut last = std::collections::BTreeMap::new();
    for (offset, (key, value)) in written.iter().enumerate() {
        last.insert(*key, (offset as i64, *value));
    }
    let mut found = std::collections::BTreeMap::new();
    for word in story(log)
        .split_whitespace()
        .filter(|word| word.contains('@'))
    {
        let (key, rest) = word.split_once('@').unwrap();
        let (offset, value) = rest.split_once('=').unwrap();
        let offset: i64 = offset.parse().unwrap();
        let record = (key.parse().unwrap(), value.parse().ok());
        prop_assert_eq!(written[offset as usize], record, "at {}", offset);
        found.insert(record.0, (offset, record.1));
    }
    for (key, last) in last {
        match found.get(&key) {
            Some(found) => prop_assert_eq!(*found, last),
            None => prop_assert_eq!(last.1, None, "{} is gone", key),
        }
    }
    Ok(())
}
