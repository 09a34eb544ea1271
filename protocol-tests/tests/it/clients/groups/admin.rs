//! What the admin clients tell of groups and do to them.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use protocol_tests::stopwatch::Stopwatch;

use super::member::{each, share};
use super::program::{Place, places};
use super::{PATIENCE, Stage};

/// A program prints this for what its client does not tell.
const UNKNOWN: &str = "?";
/// Range wherever a client has it; kafkajs has only one of its own.
const PROTOCOLS: [&str; 2] = ["range", "RoundRobinAssigner"];

/// What `describe` tells.
struct Described {
    state: String,
    protocol: String,
    /// What each member owns; none where the client does not tell.
    members: Option<Vec<BTreeSet<Place>>>,
}

fn described(stage: &Stage, group: &str) -> Result<Described> {
    let (what, words) = stage.program.ask("describe", &[group])?;
    ensure!(what == "described", "describe: {what} {words:?}");
    let [state, protocol, members @ ..] = &words[..] else {
        anyhow::bail!("a description of {words:?}");
    };
    let known = members.iter().all(|member| member != UNKNOWN);
    let members = known.then(|| {
        members
            .iter()
            .map(|m| places(m))
            .collect::<Result<Vec<_>>>()
    });
    // Clients write STABLE, Stable, stable.
    let state = state.to_lowercase().replace('_', "");
    let members = members.transpose()?;
    Ok(Described {
        state,
        protocol: protocol.clone(),
        members,
    })
}

/// The description once the group has come to a state: a member may have found its metadata old and
/// have joined once more.
fn awaited(stage: &Stage, group: &str, state: &str) -> Result<Described> {
    let waiting = Stopwatch::start();
    loop {
        let found = described(stage, group)?;
        if found.state == state {
            return Ok(found);
        }
        let last = &found.state;
        ensure!(
            waiting.elapsed() < PATIENCE,
            "the state is {last}, not {state}"
        );
    }
}

fn listed(stage: &Stage) -> Result<Vec<String>> {
    let (what, words) = stage.program.ask("list", &[])?;
    ensure!(what == "groups", "list: {what} {words:?}");
    let groups = words.first().map_or("", String::as_str);
    Ok(groups.split(',').map(str::to_owned).collect())
}

/// `done`, or the name of the error.
fn done(stage: &Stage, call: &str, arguments: &[&str]) -> Result<String> {
    let (what, words) = stage.program.ask(call, arguments)?;
    match what.as_str() {
        "done" => Ok(what),
        "refused" => words.into_iter().next().context("refused without an error"),
        _ => anyhow::bail!("{call}: {what} {words:?}"),
    }
}

pub fn describe(stage: &Stage) -> Result<String> {
    let group = stage.name();
    let all = stage.create(4)?;
    let member = stage.member(&[])?;
    member.owns(&all)?;
    ensure!(listed(stage)?.contains(&group), "the group is not listed");
    let mut unknown = Vec::new();
    let found = awaited(stage, &group, "stable")?;
    match found.protocol.as_str() {
        UNKNOWN => unknown.push("protocol"),
        protocol => ensure!(PROTOCOLS.contains(&protocol), "the protocol is {protocol}"),
    }
    match found.members {
        None => unknown.push("assignments"),
        Some(members) => ensure!(members == [all], "the members own {members:?}"),
    }
    member.close()?;
    let found = described(stage, &group)?;
    ensure!(
        found.state == "empty",
        "without members the state is {}",
        found.state
    );
    if let Some(members) = found.members {
        ensure!(members.is_empty(), "the members own {members:?}");
    }
    Ok(match unknown[..] {
        [] => String::new(),
        _ => format!("does not tell of the description: {}", unknown.join(", ")),
    })
}

/// Offsets are listed, changed and deleted.
pub fn offsets(stage: &Stage) -> Result<String> {
    let group = stage.name();
    let all = stage.create(2)?;
    stage.cluster.produce(&all, 0..5)?;
    for place in &all {
        stage.cluster.commit(&group, place, 5)?;
    }
    let (what, words) = stage.program.ask("offsets", &[&group])?;
    ensure!(what == "offsets", "offsets: {what} {words:?}");
    let told: BTreeSet<&str> = words
        .first()
        .map_or("", String::as_str)
        .split(',')
        .collect();
    let wanted: Vec<String> = all.iter().map(|(t, p)| format!("{t}:{p}=5")).collect();
    let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    ensure!(told == wanted, "the offsets are {told:?}");

    let mut cannot = Vec::new();
    let topic = group.as_str();
    match done(stage, "alter-offsets", &[&group, topic, "1", "3"]) {
        Ok(answer) => {
            ensure!(answer == "done", "alter-offsets: {answer}");
            let committed = stage.cluster.committed(&group)?;
            let found = committed.get(&(group.clone(), 1));
            ensure!(found == Some(&3), "altered to 3, it is {found:?}");
            let member = stage.member(&[])?;
            let altered = BTreeSet::from([(group.clone(), 1)]);
            member.reads(&each(&altered, 3..5))?;
            member.close()?;
        }
        Err(error) => cannot.push(error.downcast::<super::NotApplicable>()?.0),
    }
    match done(stage, "delete-offsets", &[&group, topic, "0"]) {
        Ok(answer) => {
            ensure!(answer == "done", "delete-offsets: {answer}");
            let committed = stage.cluster.committed(&group)?;
            let kept: Vec<i32> = committed.keys().map(|(_, partition)| *partition).collect();
            ensure!(kept == [1], "after the deletion {committed:?}");
            let member = stage.member(&[])?;
            member.owns(&all)?;
            let answer = done(stage, "delete-offsets", &[&group, topic, "1"])?;
            ensure!(
                answer == "GROUP_SUBSCRIBED_TO_TOPIC",
                "deleting the offset of a member: {answer}"
            );
            member.close()?;
        }
        Err(error) => cannot.push(error.downcast::<super::NotApplicable>()?.0),
    }
    Ok(cannot.join("; "))
}

pub fn delete(stage: &Stage) -> Result<String> {
    let group = stage.name();
    let all = stage.create(1)?;
    stage.cluster.produce(&all, 0..5)?;
    let member = stage.member(&[])?;
    member.reads(&each(&all, 0..5))?;
    member.commit("sync")?;
    let answer = done(stage, "delete-group", &[&group])?;
    ensure!(
        answer == "NON_EMPTY_GROUP",
        "deleting a group with a member: {answer}"
    );
    member.close()?;
    let answer = done(stage, "delete-group", &[&group])?;
    ensure!(answer == "done", "deleting an empty group: {answer}");
    ensure!(
        !listed(stage)?.contains(&group),
        "the deleted group is listed"
    );
    let committed = stage.cluster.committed(&group)?;
    ensure!(
        committed.is_empty(),
        "the deleted group has committed {committed:?}"
    );
    let answer = done(stage, "delete-group", &[&group])?;
    ensure!(
        answer == "GROUP_ID_NOT_FOUND",
        "deleting it again: {answer}"
    );
    Ok(String::new())
}

/// A static member that was closed holds its partitions until it is removed.
pub fn remove_member(stage: &Stage) -> Result<String> {
    let all = stage.create(4)?;
    // Longer than this scenario waits for anything.
    let session = ("session", "120000");
    let first = stage.member(&[("instance", "first"), session])?;
    first.owns(&all)?;
    let second = stage.member(&[("instance", "second"), session])?;
    share(&[&first, &second], &all)?;
    second.close()?;
    let answer = done(stage, "remove-member", &[&stage.name(), "second"])?;
    ensure!(answer == "done", "remove-member: {answer}");
    first.owns(&all)?;
    first.close()?;
    // It would stay for its session.
    let answer = done(stage, "remove-member", &[&stage.name(), "first"])?;
    ensure!(answer == "done", "remove-member: {answer}");
    Ok(String::new())
}
