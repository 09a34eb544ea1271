//! Consumer groups and committed offsets (R99–R118), a rule or a scenario at a time.

mod committing;
mod costs;
mod expiring;
mod fetching;
mod finding;
mod joining;
mod leaving;
mod listing;
pub mod member;
mod neighbours;
mod rebalancing;
pub mod requests;
mod restarting;
mod statics;
mod stored;
mod syncing;
mod walks;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Subject, real_kafka, start_ottla};
use crate::broker;

/// What `scripts/oracle` gives a real Kafka: groups that begin at once, sessions that end soon, one
/// partition to read the records from.
const SETTINGS: &[&str] = &[
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=500",
    "group.max.size=20",
    "offsets.topic.num.partitions=1",
];

/// For tests of what expires. Not of the others, since a look for what has expired takes away groups
/// without members and offsets, in Kafka also those whose first member was only named.
const EXPIRING: &[&str] = &[
    "offsets.retention.check.interval.ms=200",
    "group.initial.rebalance.delay.ms=0",
    "offsets.topic.num.partitions=1",
];

static SHARED: Mutex<Weak<broker::Broker>> = Mutex::new(Weak::new());

/// The broker that the tests of groups share. They use groups of their own.
fn subject() -> Subject {
    let subject = real_kafka().unwrap_or_else(|| {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let ottla = shared.upgrade().unwrap_or_else(|| start_ottla(SETTINGS));
        *shared = Arc::downgrade(&ottla);
        Subject::ottla(ottla)
    });
    subject.await_coordinator();
    subject
}

/// A broker with settings of its own; None on a real Kafka, unless `OTTLA_ORACLE_SETTINGS` gave it
/// the same.
fn subject_with(settings: &[&str]) -> Option<Subject> {
    let Some(kafka) = real_kafka() else {
        let ottla = Subject::ottla(start_ottla(settings));
        ottla.await_coordinator();
        return Some(ottla);
    };
    let given = std::env::var("OTTLA_ORACLE_SETTINGS").unwrap_or_default();
    let given: Vec<&str> = given.split(' ').collect();
    if settings.iter().all(|setting| given.contains(setting)) {
        kafka.await_coordinator();
        return Some(kafka);
    }
    eprintln!("skipped on Kafka, which is not set so: {settings:?}");
    None
}
