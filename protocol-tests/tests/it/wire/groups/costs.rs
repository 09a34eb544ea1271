//! What requests of a group cost in system calls (performance.md rule 27): nothing is handed to
//! another thread, no timer is set, and a commit is one write.

use crate::wire::own_ottla;
use crate::wire::syscalls::{CALLS_PER_REQUEST, REQUESTS, assert_costs};

use super::member::stable;

const OTTLA: &str = "only Ottla has this budget";

#[test]
fn a_heartbeat_costs_three_system_calls() {
    let Some(subject) = own_ottla(OTTLA, super::SETTINGS) else {
        return;
    };
    subject.await_coordinator();
    let mut members = stable(&subject, "beating", 1);
    let beat = |count| {
        for _ in 0..count {
            assert_eq!(members[0].heartbeat(), 0);
        }
    };
    // Wait for the socket, read the request, send the answer.
    assert_costs(&subject, beat, 3 * REQUESTS);
}

#[test]
fn a_commit_costs_what_a_produce_costs() {
    let Some(subject) = own_ottla(OTTLA, super::SETTINGS) else {
        return;
    };
    subject.await_coordinator();
    let topic = subject.topic("committed");
    let mut members = stable(&subject, "committing", 1);
    let mut offset = 0;
    let commit = |count| {
        for _ in 0..count {
            offset += 1;
            assert_eq!(members[0].commit(&topic.name, offset), 0);
        }
    };
    let counted = assert_costs(&subject, commit, CALLS_PER_REQUEST * REQUESTS);
    let writes = counted.map_or(0, |counted| counted.of("pwritev"));
    assert!(writes <= REQUESTS + 2, "one write a commit");
}
