//! The files of a compacted log, whatever happens meanwhile.

use super::*;

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
        let work = log.start_flush(NOW).unwrap();
        log.flushed(work.run()).unwrap();
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
