//! The broker the matrix is run on, and how it is killed and started again.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use protocol_tests::torture::{Site, newest_build};
use tempfile::TempDir;

use super::programs::Client;
use super::{Cell, Column};
use crate::broker;

/// Retention looks as often as the README of the clients promises.
const SETTINGS: &[&str] = &["log.retention.check.interval.ms=500"];

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
        arguments.extend(scenarios.iter().flat_map(|s| ["--scenario", s]));
        let ran = match self {
            Subject::Ottla(_) => {
                let directory = TempDir::new()?;
                let mut site = Site::new(&newest_build()?, directory.path())?;
                let bootstrap = site.bootstrap.clone();
                let mut running = Some(site.start()?);
                client.run(&bootstrap, &arguments, || {
                    running.take().context("the broker runs")?.kill()?;
                    running = Some(site.start()?);
                    Ok(())
                })?
            }
            Subject::RealKafka {
                restart: Some(command),
                bootstrap,
            } => client.run(bootstrap, &arguments, || run_command(command))?,
            Subject::RealKafka { restart: None, .. } => {
                let reason = "nothing here can restart this broker (OTTLA_TEST_RESTART)";
                let cell = |s: &&str| {
                    let reason = reason.to_owned();
                    ((*s).to_owned(), Cell::NotApplicable { reason })
                };
                return Ok(scenarios.iter().map(cell).collect());
            }
        };
        Ok(ran.column(client, scenarios, self.is_real_kafka()))
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
