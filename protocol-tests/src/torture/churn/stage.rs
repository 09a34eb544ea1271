//! What the members of a tortured group share with who kills their broker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ledger::Ledger;

/// What a member is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has its id and has not joined with it.
    Named,
    /// Its join is with the coordinator, or parked there.
    Joining,
    /// It leads a generation and has not assigned anything.
    Leading,
    /// The assignment is with the coordinator.
    Assigning,
    /// Its sync is with the coordinator, or parked there.
    Following,
    /// It has its share and has read nothing.
    Assigned,
    /// A commit is with the coordinator.
    Committing,
    /// So is its farewell.
    Leaving,
}

pub const PHASES: [Phase; 8] = [
    Phase::Named,
    Phase::Joining,
    Phase::Leading,
    Phase::Assigning,
    Phase::Following,
    Phase::Assigned,
    Phase::Committing,
    Phase::Leaving,
];

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Named => "named",
            Phase::Joining => "joining",
            Phase::Leading => "leading",
            Phase::Assigning => "assigning",
            Phase::Following => "following",
            Phase::Assigned => "assigned",
            Phase::Committing => "committing",
            Phase::Leaving => "leaving",
        }
    }
}

pub struct Stage {
    pub bootstrap: String,
    /// Everybody goes home.
    pub stop: AtomicBool,
    /// Nothing new is written, and nobody leaves, dies or stalls.
    pub calm: AtomicBool,
    ledger: Mutex<Ledger>,
    cue: Mutex<Cue>,
    changed: Condvar,
}

#[derive(Default)]
struct Cue {
    /// The broker is to die when somebody comes to this.
    wanted: Option<Phase>,
    /// Somebody did.
    reached: bool,
}

impl Stage {
    pub fn new(bootstrap: &str, partitions: usize) -> Stage {
        Stage {
            bootstrap: bootstrap.to_owned(),
            stop: AtomicBool::new(false),
            calm: AtomicBool::new(false),
            ledger: Mutex::new(Ledger::new(partitions)),
            cue: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cue(&self) -> MutexGuard<'_, Cue> {
        self.cue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// A member is in a phase; true if the broker dies for it, and the member is to stay there.
    pub fn at(&self, phase: Phase) -> bool {
        let mut cue = self.cue();
        let is_wanted = cue.wanted == Some(phase) && !cue.reached;
        if is_wanted {
            cue.reached = true;
            self.changed.notify_all();
        }
        is_wanted
    }

    /// Waits until the broker has been killed.
    pub fn await_kill(&self, at_most: Duration) {
        let cue = self.cue();
        let waits = |cue: &mut Cue| cue.reached && cue.wanted.is_some();
        drop(self.changed.wait_timeout_while(cue, at_most, waits));
    }

    /// Waits until a member is in `phase`; false if none comes to it.
    pub fn await_phase(&self, phase: Phase, at_most: Duration) -> bool {
        let mut cue = self.cue();
        cue.wanted = Some(phase);
        cue.reached = false;
        let waited = self
            .changed
            .wait_timeout_while(cue, at_most, |cue| !cue.reached);
        let (cue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        cue.reached
    }

    /// The broker is dead; who stayed in a phase for it goes on.
    pub fn killed(&self) {
        *self.cue() = Cue::default();
        self.changed.notify_all();
    }
}
