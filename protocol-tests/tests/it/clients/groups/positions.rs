//! Where members read, and what they commit.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Result, ensure};
use protocol_tests::stopwatch::Stopwatch;

use super::member::{Member, each};
use super::program::Place;
use super::{NotApplicable, PATIENCE, Stage};

/// A paused partition brings nothing until it is resumed, while the member and its other partitions
/// go on.
pub fn pause(stage: &Stage) -> Result<String> {
    let all = stage.create(2)?;
    let member = stage.member(&[])?;
    member.owns(&all)?;
    stage.cluster.produce(&all, 0..5)?;
    member.reads(&each(&all, 0..5))?;
    let paused: BTreeSet<Place> = all.iter().take(1).cloned().collect();
    let other: BTreeSet<Place> = all.difference(&paused).cloned().collect();
    for place in &paused {
        member.pause(place)?;
    }
    // Ends the fetch that was under way and may have asked for both.
    stage.cluster.produce(&other, 5..10)?;
    member.reads(&each(&other, 5..10))?;
    stage.cluster.produce(&paused, 5..10)?;
    stage.cluster.produce(&other, 10..15)?;
    member.reads(&each(&other, 10..15))?;
    ensure!(!member.has_more()?, "a paused partition brought records");
    for place in &paused {
        member.resume(place)?;
    }
    member.reads(&each(&paused, 5..10))?;
    member.close()?;
    Ok(String::new())
}

/// What is committed is what was read, and where the next member begins.
pub fn commit(stage: &Stage) -> Result<String> {
    let all = stage.create(2)?;
    let member = stage.member(&[])?;
    member.owns(&all)?;
    stage.cluster.produce(&all, 0..5)?;
    member.reads(&each(&all, 0..5))?;
    member.commit("sync")?;
    stage.cluster.await_committed(&stage.name(), &all, 5)?;
    stage.cluster.produce(&all, 5..10)?;
    member.reads(&each(&all, 5..10))?;
    let restriction = match member.commit("async") {
        Ok(()) => String::new(),
        Err(error) => {
            let NotApplicable(reason) = error.downcast()?;
            member.commit("sync")?;
            reason
        }
    };
    stage.cluster.await_committed(&stage.name(), &all, 10)?;
    resumes(stage, &member, &all, 10)?;
    Ok(restriction)
}

/// Nobody tells the client to commit.
pub fn auto_commit(stage: &Stage) -> Result<String> {
    let all = stage.create(2)?;
    let options = [("commits", "auto")];
    let member = stage.member(&options)?;
    member.owns(&all)?;
    stage.cluster.produce(&all, 0..5)?;
    member.reads(&each(&all, 0..5))?;
    stage.cluster.await_committed(&stage.name(), &all, 5)?;
    member.close()?;
    let next = stage.member(&options)?;
    next.owns(&all)?;
    stage.cluster.produce(&all, 5..10)?;
    next.reads(&each(&all, 5..10))?;
    stage.cluster.await_committed(&stage.name(), &all, 10)?;
    next.close()?;
    Ok(String::new())
}

/// `member` reads on without a commit and leaves: the next one begins at `committed`.
fn resumes(stage: &Stage, member: &Member, all: &BTreeSet<Place>, committed: i64) -> Result<()> {
    let end = committed + 5;
    stage.cluster.produce(all, committed..end)?;
    member.reads(&each(all, committed..end))?;
    member.close()?;
    takes_over(stage, all, committed..end)
}

/// The next member reads exactly these offsets.
fn takes_over(stage: &Stage, all: &BTreeSet<Place>, offsets: Range<i64>) -> Result<()> {
    let next = stage.member(&[])?;
    next.owns(all)?;
    next.reads(&each(all, offsets))?;
    next.close()
}

pub fn seek(stage: &Stage) -> Result<String> {
    let all = stage.create(1)?;
    let member = stage.member(&[])?;
    member.owns(&all)?;
    stage.cluster.produce(&all, 0..5)?;
    member.reads(&each(&all, 0..5))?;
    for place in &all {
        member.seek(place, 2)?;
    }
    member.reads(&each(&all, 2..5))?;
    stage.cluster.produce(&all, 5..10)?;
    member.reads(&each(&all, 5..10))?;
    member.close()?;
    Ok(String::new())
}

/// Where there is no committed offset, or one that is no longer in the log, the member's policy
/// decides.
pub fn reset(stage: &Stage) -> Result<String> {
    let all = stage.create(1)?;
    stage.cluster.produce(&all, 0..5)?;
    let topic = stage.name();
    let earliest = format!("{topic}-earliest");
    for place in &all {
        stage.cluster.commit(&earliest, place, 1)?;
        stage.cluster.delete_before(place, 3)?;
    }
    let options = [("topics", topic.as_str()), ("reset", "earliest")];
    let member = Member::open(stage.program, &earliest, &options)?;
    member.owns(&all)?;
    member.reads(&each(&all, 3..5))?;
    member.close()?;

    let options = [("topics", topic.as_str()), ("reset", "latest")];
    let member = Member::open(stage.program, &format!("{topic}-latest"), &options)?;
    member.owns(&all)?;
    // It looks the end up some time after it was assigned: until then records pass it by.
    let mut end = 5;
    while !member.has_more()? {
        stage.cluster.produce(&all, end..end + 1)?;
        end += 1;
        std::thread::sleep(std::time::Duration::from_millis(50)); // between two looks
    }
    let read = member.reads_some()?;
    ensure!(
        read.iter().all(|offset| *offset >= 5),
        "read {read:?}, the end was 5"
    );
    member.close()?;
    Ok(String::new())
}

/// The broker is killed: what was committed counts, and the group goes on.
pub fn restart(stage: &Stage, restart: &mut dyn FnMut() -> Result<()>) -> Result<String> {
    let all = stage.create(2)?;
    let member = stage.member(&[])?;
    member.owns(&all)?;
    stage.cluster.produce(&all, 0..5)?;
    member.reads(&each(&all, 0..5))?;
    let is_told = member.settle()?;
    stage.cluster.await_committed(&stage.name(), &all, 5)?;
    restart()?;
    stage.cluster.await_committed(&stage.name(), &all, 5)?;
    stage.cluster.produce(&all, 5..10)?;
    // Some more than once, if the client joins again when its connection is lost.
    member.reads_at_last(&each(&all, 5..10))?;
    member.owns(&all)?;
    // sarama tells nobody of a commit that its lost connection has taken along.
    let waiting = Stopwatch::start();
    let wanted: BTreeMap<Place, i64> = all.iter().map(|place| (place.clone(), 10)).collect();
    while stage.cluster.committed(&stage.name())? != wanted {
        ensure!(
            waiting.elapsed() < PATIENCE,
            "still not committed: {wanted:?}"
        );
        member.settle()?;
    }
    if !is_told {
        member.close()?;
        return Ok("commits by itself".to_owned());
    }
    stage.cluster.produce(&all, 10..15)?;
    member.reads_at_last(&each(&all, 10..15))?;
    member.close()?;
    takes_over(stage, &all, 10..15)?;
    Ok(String::new())
}
