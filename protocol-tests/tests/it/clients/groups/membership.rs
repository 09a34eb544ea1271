//! Members come, go, die, stall and come back.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::Stage;
use super::member::{Member, each, share};

const NOTHING: String = String::new();

pub fn join(stage: &Stage) -> Result<String> {
    let all = stage.create(4)?;
    stage.cluster.produce(&all, 0..5)?;
    let first = stage.member(&[])?;
    first.owns(&all)?;
    first.reads(&each(&all, 0..5))?;
    first.settle()?;

    let second = stage.member(&[])?;
    let shares = share(&[&first, &second], &all)?;
    stage.cluster.produce(&all, 5..10)?;
    first.reads(&each(&shares[0], 5..10))?;
    second.reads(&each(&shares[1], 5..10))?;
    first.settle()?;
    second.settle()?;

    second.close()?;
    first.owns(&all)?;
    stage.cluster.produce(&all, 10..15)?;
    first.reads(&each(&all, 10..15))?;
    first.close()?;
    Ok(NOTHING)
}

pub fn cooperative(stage: &Stage) -> Result<String> {
    let all = stage.create(4)?;
    let options = [("assignor", "cooperative")];
    let first = stage.member(&options)?;
    first.owns(&all)?;
    let second = stage.member(&options)?;
    let shares = share(&[&first, &second], &all)?;
    let revoked = first.revoked()?;
    ensure!(
        revoked == shares[1],
        "{revoked:?} was revoked where {:?} moves",
        shares[1]
    );
    stage.cluster.produce(&all, 0..5)?;
    first.reads(&each(&shares[0], 0..5))?;
    second.reads(&each(&shares[1], 0..5))?;
    first.settle()?;
    second.settle()?;
    second.close()?;
    first.owns(&all)?;
    ensure!(
        first.revoked()? == revoked,
        "taking over what was left revoked something"
    );
    first.close()?;
    Ok(NOTHING)
}

/// A static member that is gone for less than its session gets back what it had, unnoticed.
pub fn static_restart(stage: &Stage) -> Result<String> {
    let all = stage.create(4)?;
    let first = stage.member(&[("instance", "first")])?;
    first.owns(&all)?;
    let second = stage.member(&[("instance", "second")])?;
    let shares = share(&[&first, &second], &all)?;
    let assignments = first.assignments()?;

    second.close()?;
    let again = stage.member(&[("instance", "second")])?;
    again.owns(&shares[1])?;
    stage.cluster.produce(&all, 0..5)?;
    again.reads(&each(&shares[1], 0..5))?;
    first.reads(&each(&shares[0], 0..5))?;
    let now = first.assignments()?;
    ensure!(
        now == assignments,
        "{now} assignments where there were {assignments}: the other member was rebalanced"
    );
    again.close()?;
    first.close()?;
    Ok(NOTHING)
}

pub fn two_groups(stage: &Stage) -> Result<String> {
    let all = stage.create(2)?;
    stage.cluster.produce(&all, 0..5)?;
    let one = stage.member(&[])?;
    let topic = stage.name();
    let other_group = format!("{topic}-other");
    let other = Member::open(stage.program, &other_group, &[("topics", &topic)])?;
    one.owns(&all)?;
    other.owns(&all)?;
    stage.cluster.produce(&all, 5..10)?;
    one.reads(&each(&all, 0..10))?;
    other.reads(&each(&all, 0..10))?;
    let is_told = one.settle()?;
    stage.cluster.await_committed(&stage.name(), &all, 10)?;
    let committed = stage.cluster.committed(&other_group)?;
    ensure!(
        !is_told || committed.is_empty(),
        "the other group has committed {committed:?}"
    );
    one.close()?;
    other.close()?;
    Ok(NOTHING)
}

/// Partitions that a topic gets later are assigned and read from their beginning.
pub fn grow(stage: &Stage) -> Result<String> {
    let one = stage.create(1)?;
    let member = stage.member(&[])?;
    member.owns(&one)?;
    stage.cluster.produce(&one, 0..5)?;
    member.reads(&each(&one, 0..5))?;
    member.settle()?;
    let all = stage.cluster.grow(&stage.name(), 3)?;
    let new: BTreeSet<_> = all.difference(&one).cloned().collect();
    stage.cluster.produce(&new, 0..5)?;
    member.owns(&all)?;
    member.reads(&each(&new, 0..5))?;
    member.close()?;
    Ok(NOTHING)
}

/// A pattern finds the topics there are, and one that comes later, and no other.
pub fn regex(stage: &Stage) -> Result<String> {
    let name = stage.name();
    let cluster = stage.cluster;
    let a = cluster.create(&format!("{name}-a"), 1)?;
    let other = cluster.create(&format!("{name}-x"), 1)?;
    let pattern = format!("^{}-[ab]$", name.replace('.', "[.]"));
    let member = Member::open(stage.program, &name, &[("pattern", &pattern)])?;
    member.owns(&a)?;
    cluster.produce(&a, 0..5)?;
    member.reads(&each(&a, 0..5))?;
    member.settle()?;
    let b = cluster.create(&format!("{name}-b"), 1)?;
    cluster.produce(&b, 0..5)?;
    cluster.produce(&other, 0..5)?;
    let both: BTreeSet<_> = a.union(&b).cloned().collect();
    member.owns(&both)?;
    member.reads(&each(&b, 0..5))?;
    member.close()?;
    Ok(NOTHING)
}

/// Who dies is missed after its session timeout; what it had not committed is read again.
pub fn crash(stage: &Stage) -> Result<String> {
    let all = stage.create(4)?;
    let survivor = stage.member(&[])?;
    survivor.owns(&all)?;
    let doomed = stage.another_program()?;
    let victim = stage.member_in(&doomed, &[("commits", "never")])?;
    let shares = share(&[&survivor, &victim], &all)?;
    stage.cluster.produce(&all, 0..5)?;
    survivor.reads(&each(&shares[0], 0..5))?;
    survivor.settle()?;
    victim.reads(&each(&shares[1], 0..5))?;
    doomed.signal(Signal::KILL)?;

    survivor.owns(&all)?;
    survivor.reads(&each(&shares[1], 0..5))?;
    survivor.close()?;
    Ok(NOTHING)
}

/// Who stands still beyond its session loses its partitions, and gets a share when it goes on.
pub fn stall(stage: &Stage) -> Result<String> {
    let all = stage.create(4)?;
    let survivor = stage.member(&[])?;
    survivor.owns(&all)?;
    let still = stage.another_program()?;
    let stalled = stage.member_in(&still, &[])?;
    let shares = share(&[&survivor, &stalled], &all)?;
    stage.cluster.produce(&all, 0..5)?;
    survivor.reads(&each(&shares[0], 0..5))?;
    stalled.reads(&each(&shares[1], 0..5))?;
    survivor.settle()?;
    stalled.settle()?;
    stage.cluster.await_committed(&stage.name(), &all, 5)?;
    let before = stalled.assignments()?;
    still.signal(Signal::STOP)?;

    survivor.owns(&all)?;
    stage.cluster.produce(&all, 5..10)?;
    survivor.reads(&each(&all, 5..10))?;
    survivor.settle()?;
    still.signal(Signal::CONT)?;
    stalled.is_assigned_again(before)?;
    let shares = share(&[&survivor, &stalled], &all)?;
    stage.cluster.produce(&all, 10..15)?;
    survivor.reads(&each(&shares[0], 10..15))?;
    stalled.reads_at_last(&each(&shares[1], 10..15))?;
    stalled.close()?;
    survivor.close()?;
    Ok(NOTHING)
}
