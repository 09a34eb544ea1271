//! A machine with those it owes an answer: what the one who runs jobs holds. Knows neither log nor
//! clock nor queue.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use tokio::sync::oneshot;

use super::machine::{LogRecord, Machine, Now, Outcome, Ticket};
use crate::error::ResponseError;
use crate::types::{Millis, Offset};

pub type Answer<M> = Result<<M as Machine>::Reply, ResponseError>;

pub type Sink<M> = oneshot::Sender<Answer<M>>;
pub type Replies<M> = Vec<(Sink<M>, <M as Machine>::Reply)>;

/// See the module.
pub struct Core<M: Machine> {
    pub state: State<M>,
    /// Callers the machine still owes a reply.
    callers: HashMap<Ticket, Sink<M>>,
    last_ticket: u64,
    /// Replies that wait until the high watermark reaches an offset.
    pub parked: BTreeMap<Offset, Replies<M>>,
    /// Behind the last record written.
    pub log_end: Offset,
    /// No deadline before this steady time: the log took no records.
    pub expire_from: Millis,
}

pub enum State<M: Machine> {
    Loading,
    Active(Box<M>),
    /// The log cannot be read, or could not be written: the code callers are told, and when to try
    /// again, if ever.
    Failed {
        error: ResponseError,
        retry_at: Millis,
    },
    /// Another broker leads, or nobody.
    Resigned,
}

/// What a run leaves to its caller to arrange.
#[derive(Default)]
pub struct AfterRun {
    /// The steady time of the next deadline.
    pub deadline: Option<Millis>,
    /// Replies wait for the high watermark to reach this.
    pub awaits: Option<Offset>,
    /// The log must be replayed, at this steady time.
    pub reload_at: Option<Millis>,
}

/// What one run has decided so far.
pub struct Run<M: Machine> {
    pub records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub replies: Replies<M>,
}

impl<M: Machine> Default for Run<M> {
    fn default() -> Self {
        Run {
            records: Vec::new(),
            replies: Vec::new(),
        }
    }
}

impl<M: Machine> Core<M> {
    pub fn loading() -> Core<M> {
        Core {
            state: State::Loading,
            callers: HashMap::new(),
            last_ticket: 0,
            parked: BTreeMap::new(),
            log_end: 0,
            expire_from: Millis::MIN,
        }
    }

    /// Why commands are refused now, if they are.
    pub fn refusal(&self) -> Option<ResponseError> {
        match &self.state {
            State::Active(_) => None,
            State::Loading => Some(ResponseError::CoordinatorLoadInProgress),
            State::Failed { error, .. } => Some(*error),
            State::Resigned => Some(ResponseError::NotCoordinator),
        }
    }

    pub fn decide(&mut self, command: M::Command, sink: Sink<M>, now: Now, run: &mut Run<M>) {
        let State::Active(machine) = &mut self.state else {
            let error = self.refusal().unwrap_or(ResponseError::NotCoordinator);
            let _ = sink.send(Err(error)); // the caller may be gone
            return;
        };
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.callers.insert(ticket, sink);
        let outcome = machine.decide(command, ticket, now);
        self.take(outcome, run);
    }

    pub fn expire(&mut self, now: Now, run: &mut Run<M>) {
        if let State::Active(machine) = &mut self.state {
            let outcome = machine.expire(now);
            self.take(outcome, run);
        }
    }

    pub fn take(&mut self, outcome: Outcome<M>, run: &mut Run<M>) {
        for record in outcome.records {
            run.records.push(record.encode());
            if let State::Active(machine) = &mut self.state {
                machine.apply(record);
            }
        }
        for (ticket, reply) in outcome.replies {
            if let Some(sink) = self.callers.remove(&ticket) {
                run.replies.push((sink, reply));
            }
        }
    }

    pub fn fail(&mut self, error: ResponseError, retry_at: Millis) {
        self.drop_machine(State::Failed { error, retry_at }, error);
    }

    pub fn drop_machine(&mut self, state: State<M>, error: ResponseError) {
        self.state = state;
        refuse(self.callers.drain().map(|(_, sink)| sink), error);
        let parked = std::mem::take(&mut self.parked);
        refuse(parked.into_values().flatten().map(|(sink, _)| sink), error);
    }

    pub fn after_run(&self) -> AfterRun {
        AfterRun {
            deadline: match &self.state {
                State::Active(machine) => {
                    machine.next_deadline().map(|at| at.max(self.expire_from))
                }
                _ => None,
            },
            awaits: self.parked.first_key_value().map(|(offset, _)| *offset),
            reload_at: match &self.state {
                State::Failed { retry_at, .. } if *retry_at != Millis::MAX => Some(*retry_at),
                _ => None,
            },
        }
    }
}

/// Whoever is still there hears of it.
pub fn refuse<R>(
    sinks: impl Iterator<Item = oneshot::Sender<Result<R, ResponseError>>>,
    error: ResponseError,
) {
    for sink in sinks {
        let _ = sink.send(Err(error)); // the caller may be gone
    }
}
