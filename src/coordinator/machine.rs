//! What a coordinator is to its runtime: a pure machine whose durable state comes out of a log.
//!
//! Decide, then act: a command or a deadline makes a machine say what is to be written and who is
//! to be answered ([`Outcome`]). Records change the machine in [`Machine::apply`], live and when a
//! log is replayed; what no record holds (who waits, when patience ends) changes with the decision
//! and is lost with the machine. A machine knows no log, no thread, no clock and no randomness.
//! (Kafka: CoordinatorShard and CoordinatorResult, without their snapshots: see [`super::shard`].)

use crate::types::Millis;

/// Both times of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Never goes back: for timeouts, in ms.
    pub steady: Millis,
    /// Since 1970, in ms: for what is stored.
    pub wall: Millis,
}

/// A caller who waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What was decided. Nothing has happened yet: the records are appended and applied, and the
/// replies leave once those records are committed.
#[derive(Debug)]
pub struct Outcome<M: Machine + ?Sized> {
    pub records: Vec<M::Record>,
    pub replies: Vec<(Ticket, M::Reply)>,
}

impl<M: Machine + ?Sized> Default for Outcome<M> {
    fn default() -> Self {
        Outcome {
            records: Vec::new(),
            replies: Vec::new(),
        }
    }
}

impl<M: Machine + ?Sized> Outcome<M> {
    pub fn reply(&mut self, ticket: Ticket, reply: M::Reply) {
        self.replies.push((ticket, reply));
    }
}

/// See the module.
pub trait Machine: Send + 'static {
    type Command: Send;
    type Record: LogRecord;
    type Reply: Send;

    /// Whether the command may lead to records: such commands are refused while the log takes none.
    fn may_write(command: &Self::Command) -> bool;

    /// The largest batch that the log takes, in bytes: what has to be written as one must not be
    /// larger. Called before the machine is asked anything, and again whenever that changes.
    fn set_max_batch_bytes(&mut self, bytes: usize);

    /// Takes a command. Its caller may be answered now, or by a later outcome.
    fn decide(&mut self, command: Self::Command, ticket: Ticket, now: Now) -> Outcome<Self>;

    /// Changes the durable state. Called for every record of an outcome, in order, right after the
    /// decision, and for every record of the log in a replay.
    fn apply(&mut self, record: Self::Record);

    /// The replay is over: timers start in full.
    fn loaded(&mut self, now: Now) -> Outcome<Self>;

    /// The steady time of the next [`Machine::expire`]; it may come early, never late.
    fn next_deadline(&self) -> Option<Millis>;

    /// Does what is due.
    fn expire(&mut self, now: Now) -> Outcome<Self>;
}

/// A record of a coordinator's log.
pub trait LogRecord: Send + Sized {
    /// Key and value; no value is a tombstone.
    fn encode(&self) -> (Vec<u8>, Option<Vec<u8>>);

    /// `None` for a record of a kind or version that is not known here, which is skipped.
    ///
    /// # Errors
    /// Bytes of a known kind that are not what they should be, with what is wrong.
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, String>;
}
