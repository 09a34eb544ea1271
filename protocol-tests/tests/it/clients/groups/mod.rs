//! Scenarios of consumer groups, told once for all clients: this side makes topics and records, has
//! the members of a client program join, leave, stall and die, and judges what they see and what is
//! committed. `clients/README.md` has the contract of the programs.

mod admin;
mod cluster;
mod member;
mod membership;
mod positions;
mod program;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use anyhow::Result;

use super::programs::Client;
use super::{Cell, Column};
use cluster::Cluster;
use member::Member;
use program::{Place, Program};

/// How long anything may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client cannot express ends the scenario; the program says why.
#[derive(Debug)]
struct NotApplicable(String);

impl fmt::Display for NotApplicable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotApplicable {}

/// Returns what the client cannot express within the scenario, or nothing.
type Run = fn(&Stage) -> Result<String>;

/// The scenario of [`run_restart`].
pub const RESTART: &str = "restart-group";

/// Each lane runs its scenarios one after the other, beside the other lanes: those of the second and
/// the third wait for a session to time out.
const LANES: &[&[(&str, Run)]] = &[
    &[
        ("group-join", membership::join),
        ("group-cooperative", membership::cooperative),
        ("group-static", membership::static_restart),
        ("group-two-groups", membership::two_groups),
        ("group-grow", membership::grow),
        ("group-regex", membership::regex),
        ("group-pause", positions::pause),
        ("group-commit", positions::commit),
        ("group-auto-commit", positions::auto_commit),
        ("group-seek", positions::seek),
        ("group-reset", positions::reset),
        ("group-describe", admin::describe),
        ("group-offsets", admin::offsets),
        ("group-delete", admin::delete),
        ("group-remove-member", admin::remove_member),
    ],
    &[("group-crash", membership::crash)],
    &[("group-stall", membership::stall)],
];

/// Where a scenario plays.
struct Stage<'a> {
    client: &'a Client,
    cluster: &'a Cluster,
    program: &'a Program,
    scenario: &'a str,
}

impl Stage<'_> {
    /// The name of the scenario's topic and of its group.
    fn name(&self) -> String {
        format!("{}-{}", self.client.prefix(), self.scenario)
    }

    /// Makes the scenario's topic.
    fn create(&self, partitions: i32) -> Result<BTreeSet<Place>> {
        self.cluster.create(&self.name(), partitions)
    }

    /// A member of the scenario's group, subscribed to its topic.
    fn member(&self, options: &[(&str, &str)]) -> Result<Member<'_>> {
        self.member_in(self.program, options)
    }

    /// The same in another program.
    fn member_in<'p>(&self, program: &'p Program, options: &[(&str, &str)]) -> Result<Member<'p>> {
        let topic = self.name();
        let mut all = vec![("topics", topic.as_str())];
        all.extend(options);
        Member::open(program, &self.name(), &all)
    }

    /// One that can be stopped and killed alone.
    fn another_program(&self) -> Result<Program> {
        Program::start(self.client, self.cluster.bootstrap())
    }
}

/// The scenarios that [`run`] runs.
pub fn scenarios() -> impl Iterator<Item = &'static str> {
    LANES.iter().copied().flatten().map(|(name, _)| *name)
}

/// All of one client's.
pub fn run(client: &Client, bootstrap: &str) -> Result<Column> {
    let cluster = Cluster::new(bootstrap);
    let program = Program::start(client, bootstrap)?;
    let play = |&(scenario, run): &(&str, Run)| {
        let stage = Stage {
            client,
            cluster: &cluster,
            program: &program,
            scenario,
        };
        (scenario.to_owned(), cell(run(&stage)))
    };
    let mut column = Column::new();
    std::thread::scope(|scope| {
        let lane = |lane: &'static [(&str, Run)]| lane.iter().map(play).collect::<Column>();
        let lanes: Vec<_> = LANES
            .iter()
            .map(|it| scope.spawn(move || lane(it)))
            .collect();
        for lane in lanes {
            // A panic is missed as a scenario without a result.
            column.extend(lane.join().unwrap_or_default());
        }
    });
    for scenario in scenarios() {
        let missing = || Cell::fail("panicked, see stderr");
        column.entry(scenario.to_owned()).or_insert_with(missing);
    }
    Ok(column)
}

/// The scenario during which `restart` kills the broker and starts it again.
pub fn run_restart(
    client: &Client,
    bootstrap: &str,
    restart: &mut dyn FnMut() -> Result<()>,
) -> Result<Cell> {
    let cluster = Cluster::new(bootstrap);
    let program = Program::start(client, bootstrap)?;
    let stage = Stage {
        client,
        cluster: &cluster,
        program: &program,
        scenario: RESTART,
    };
    Ok(cell(positions::restart(&stage, restart)))
}

fn cell(result: Result<String>) -> Cell {
    match result {
        Ok(restriction) => Cell::Ok { restriction },
        Err(error) => match error.downcast_ref::<NotApplicable>() {
            Some(NotApplicable(reason)) => Cell::NotApplicable {
                reason: reason.clone(),
            },
            None => Cell::fail(format!("{error:#}")),
        },
    }
}
