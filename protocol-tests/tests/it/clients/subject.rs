//! The broker the matrix is run on, and how it is killed and started again.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use protocol_tests::torture::{Site, newest_build};
use tempfile::TempDir;

use super::programs::Client;
use super::{Cell, Column, groups};
use crate::broker;

/// What the README of the clients promises of the broker.
const SETTINGS: &[&str] = &["log.retention.check.interval.ms=500", NO_REBALANCE_DELAY];
const NO_REBALANCE_DELAY: &str = "group.initial.rebalance.delay.ms=0";

pub enum Subject {
    Ottla(broker::Broker),
    RealKafka {
        bootstrap: String,
        /// A command that kills it with -9 and returns when it serves again.
        restart: Option<String>,
    },
}

impl Subject {
    pub fn from_environment() -> Result<Subject> {
        Ok(match std::env::var("OTTLA_TEST_BOOTSTRAP") {
            Ok(bootstrap) => Subject::RealKafka {
                bootstrap,
                restart: std::env::var("OTTLA_TEST_RESTART").ok(),
            },
            Err(_) => Subject::Ottla(broker::start_process_with(SETTINGS)?),
        })
    }

    pub fn bootstrap(&self) -> &str {
        match self {
            Subject::Ottla(broker) => &broker.bootstrap,
            Subject::RealKafka { bootstrap, .. } => bootstrap,
        }
    }

    pub fn is_real_kafka(&self) -> bool {
        matches!(self, Subject::RealKafka { .. })
    }

    /// How many of `run_restarts` may be under way: each has an Ottla of its own.
    pub fn restartable_at_a_time(&self, most: usize) -> usize {
        if self.is_real_kafka() { 1 } else { most }
    }

    /// The restart scenarios of one client.
    pub fn run_restarts(&self, client: &Client, scenarios: &[&str]) -> Result<Column> {
        let prefix = client.prefix();
        let mut arguments = vec!["--prefix", &prefix];
        let of_programs = scenarios.iter().filter(|s| **s != groups::RESTART);
        arguments.extend(of_programs.clone().flat_map(|s| ["--scenario", s]));
        let of_programs: Vec<&str> = of_programs.copied().collect();
        let run = |bootstrap: &str, restart: &mut dyn FnMut() -> Result<()>| {
            let ran = client.run(bootstrap, &arguments, &mut *restart)?;
            let mut column = ran.column(client, &of_programs, self.is_real_kafka());
            let cell = groups::run_restart(client, bootstrap, restart)?;
            column.insert(groups::RESTART.to_owned(), cell);
            Ok(column)
        };
        match self {
            Subject::Ottla(_) => {
                let directory = TempDir::new()?;
                let site = Site::new(&newest_build()?, directory.path())?;
                let mut site = site.with_arguments(&["--override", NO_REBALANCE_DELAY]);
                let bootstrap = site.bootstrap.clone();
                let mut running = Some(site.start()?);
                run(&bootstrap, &mut || {
                    running.take().context("the broker runs")?.kill()?;
                    running = Some(site.start()?);
                    Ok(())
                })
            }
            Subject::RealKafka {
                restart: Some(command),
                bootstrap,
            } => run(bootstrap, &mut || run_command(command)),
            Subject::RealKafka { restart: None, .. } => {
                let reason = "nothing here can restart this broker (OTTLA_TEST_RESTART)";
                let cell = |s: &&str| {
                    let reason = reason.to_owned();
                    ((*s).to_owned(), Cell::NotApplicable { reason })
                };
                Ok(scenarios.iter().map(cell).collect())
            }
        }
    }
}

fn run_command(command: &str) -> Result<()> {
    let mut words = command.split_whitespace();
    let status = Command::new(words.next().context("OTTLA_TEST_RESTART is empty")?)
        .args(words)
        .status()
        .with_context(|| format!("running {command}"))?;
    ensure!(status.success(), "{command} ended with {status}");
    Ok(())
}
