//! What clients may rely on, one rule at a time, in raw frames. Rule numbers stand in the names of
//! the tests.
//!
//! `OTTLA_TEST_BOOTSTRAP` turns every test on a broker that already runs, a real Kafka: a test that
//! it does not pass is wrong. Where Ottla differs on purpose the test names both answers, or is
//! skipped there with the reason.

mod altering;
mod api_versions;
pub mod batch;
pub mod calls;
mod client;
mod cluster;
mod codes;
mod compaction;
mod config_calls;
mod config_oracle;
mod connection;
mod consoles;
mod cve;
mod delete_records;
mod describing;
mod every_version;
mod fetch;
mod formats;
mod golden;
pub mod groups;
mod hostile;
mod inspect;
mod large;
mod legacy;
mod limits;
pub mod log_dirs;
mod metadata;
mod offsets;
mod overload;
mod partitions;
mod produce;
mod producers;
mod profile;
mod refusals;
mod sessions;
mod specimens;
mod syscalls;
mod topic_configs;
mod topics;
mod unknown_errors;
mod waiting;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::broker;
use client::Client;

/// The broker under test.
pub struct Subject {
    pub bootstrap: String,
    /// None when the broker is a real Kafka.
    ottla: Option<Arc<broker::Broker>>,
}

/// Tests that run at the same time share one Ottla; the last one to finish stops it.
static SHARED: Mutex<Weak<broker::Broker>> = Mutex::new(Weak::new());

/// The broker that most tests share. They use topics of their own.
pub fn subject() -> Subject {
    real_kafka().unwrap_or_else(|| {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let ottla = shared.upgrade().unwrap_or_else(|| start_ottla(&[]));
        *shared = Arc::downgrade(&ottla);
        Subject::ottla(ottla)
    })
}

/// The shared Ottla; None, with the reason printed, where the subject is a real Kafka.
pub fn ottla_only(reason: &str) -> Option<Subject> {
    let subject = subject();
    if subject.ottla.is_none() {
        eprintln!("skipped on Kafka: {reason}");
        return None;
    }
    Some(subject)
}

/// An Ottla that no other test touches; a real Kafka is shared all the same.
pub fn own_subject() -> Subject {
    real_kafka().unwrap_or_else(|| Subject::ottla(start_ottla(&[])))
}

/// An Ottla that no other test touches, with settings of its own; None on a real Kafka.
pub fn own_ottla(reason: &str, settings: &[&str]) -> Option<Subject> {
    if real_kafka().is_some() {
        eprintln!("skipped on Kafka: {reason}");
        return None;
    }
    Some(Subject::ottla(start_ottla(settings)))
}

/// [`own_ottla`] on ports that its settings name.
pub fn own_ottla_on<const N: usize>(
    reason: &str,
    settings: impl Fn([u16; N]) -> Vec<String>,
) -> Option<(Subject, [u16; N])> {
    if real_kafka().is_some() {
        eprintln!("skipped on Kafka: {reason}");
        return None;
    }
    let started = broker::on_free_ports(|ports| {
        let settings = settings(ports);
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        Ok((broker::start_process_with(&settings)?, ports))
    });
    let (ottla, ports) = started.expect("it starts");
    Some((Subject::ottla(Arc::new(ottla)), ports))
}

/// [`own_ottla`] run by a program that sets limits for it.
pub fn limited_ottla(reason: &str, wrapper: &[&str], settings: &[&str]) -> Option<Subject> {
    if real_kafka().is_some() {
        eprintln!("skipped on Kafka: {reason}");
        return None;
    }
    let ottla = broker::start_process_under(wrapper, settings);
    Some(Subject::ottla(Arc::new(ottla.expect("it starts"))))
}

impl Subject {
    /// The lines of Ottla's log that contain `text`.
    pub fn said(&self, text: &str) -> Vec<String> {
        self.ottla
            .as_ref()
            .map_or(Vec::new(), |ottla| ottla.said(text))
    }

    /// A connection from another address of this machine: `127.0.0.2` and so on.
    #[track_caller]
    pub fn connect_from(&self, source: &str) -> Client {
        Client::connect_from(&self.bootstrap, source).holding(self.ottla.clone())
    }

    pub fn connect(&self) -> Client {
        Client::connect(&self.bootstrap).holding(self.ottla.clone())
    }

    /// Where Ottla deliberately answers otherwise than Kafka.
    pub fn differs<T>(&self, ottla: T, kafka: T) -> T {
        if self.ottla.is_some() { ottla } else { kafka }
    }

    /// Process id of the broker, if it is ours.
    pub fn ottla_pid(&self) -> Option<u32> {
        Some(self.ottla.as_ref()?.pid())
    }

    /// Process id of Ottla.
    pub fn pid(&self) -> u32 {
        self.ottla_pid().expect("the subject is Ottla")
    }

    fn ottla(ottla: Arc<broker::Broker>) -> Subject {
        Subject {
            bootstrap: ottla.bootstrap.clone(),
            ottla: Some(ottla),
        }
    }
}

fn real_kafka() -> Option<Subject> {
    let bootstrap = std::env::var("OTTLA_TEST_BOOTSTRAP").ok()?;
    Some(Subject {
        bootstrap,
        ottla: None,
    })
}

fn start_ottla(settings: &[&str]) -> Arc<broker::Broker> {
    match broker::start_process_with(settings) {
        Ok(ottla) => Arc::new(ottla),
        Err(e) => panic!("{e:#}"),
    }
}
