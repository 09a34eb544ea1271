//! The quorum's thread: it owns the Raft node, the log, the controller's state and the newest
//! image. It takes commands, lets the controller decide, appends what was decided, and answers
//! when that is committed, applied and published. No rule of Raft or of the controller is here.
//!
//! Commands that wait together share one append and one sync. A sole voter has no timers: the
//! thread sleeps until a command comes.

use std::collections::VecDeque;
use std::sync::Arc;

use raft::{Config, RawNode, StateRole};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::controller::{
    self, Decision, Settings, as_log_records, brokers, configs, elections, first_record_offset,
    partitions, producer_ids, topics,
};
use crate::error::{Error, ResponseError};
use crate::metadata::image::{Image, MetadataOffset};
use crate::metadata::records::MetadataRecord;
use crate::metadata::replay::Replay;
use crate::quorum::boot::{self, Boot};
use crate::quorum::entry::offset_of;
use crate::quorum::handle::{Command, QuorumStatus, Reply, VoterStatus};
use crate::quorum::log::LogError;
use crate::quorum::raft_storage::{RaftStorage, Voter};
use crate::quorum::snapshot::{self, SnapshotId};
use crate::quorum::{Publish, QuorumError};
use crate::types::{BrokerId, LeaderEpoch};

/// Commands that share one append.
const MAX_COMMANDS_PER_APPEND: usize = 256;
/// Committed bytes that the library hands over at once.
const MAX_COMMITTED_BYTES: u64 = 1 << 20;

pub(super) struct Driver {
    boot: Boot,
    node: Node,
    /// What is committed: the image that everybody sees.
    committed: Replay,
    /// What is decided: the image that the next decision is taken on.
    tip: Replay,
    /// Answers that wait for their offset to be committed, in order of offset.
    parked: VecDeque<Parked>,
    settings: Settings,
    publish: Box<Publish>,
    published: Arc<Image>,
    metadata: watch::Sender<Arc<Image>>,
    /// The size of the log's segment that makes the next snapshot.
    snapshot_at: u64,
}

/// Whether there is a Raft node to decide on.
enum Node {
    Leader(Box<RawNode<RaftStorage>>),
    /// The disk was full. What was not appended is forgotten; the next command tries again.
    Resigned,
    /// What is on the disk is not known any more.
    Failed(String),
}

struct Parked {
    offset: MetadataOffset,
    answer: Box<dyn FnOnce(Result<(), Error>) + Send>,
}

impl Driver {
    /// Recovers the log, elects this node, registers its broker, publishes the first image.
    pub(super) fn start(
        boot: Boot,
        settings: Settings,
        publish: Box<Publish>,
        metadata: watch::Sender<Arc<Image>>,
    ) -> Result<Driver, QuorumError> {
        let published = metadata.borrow().clone();
        let empty = Replay::after((*published).clone());
        let mut driver = Driver {
            snapshot_at: boot.copies.snapshot_bytes,
            boot,
            node: Node::Resigned,
            committed: empty.clone(),
            tip: empty,
            parked: VecDeque::new(),
            settings,
            publish,
            published,
            metadata,
        };
        driver.lead()?;
        Ok(driver)
    }

    /// Takes commands until a stop, or until every handle is gone.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            if matches!(self.node, Node::Resigned)
                && let Err(error) = self.lead()
            {
                self.give_up(&error);
            }
            let mut next = Some(first);
            let mut taken = 0;
            while let Some(command) = next {
                match command {
                    Command::Stop { reply } => return self.stop(reply),
                    Command::Abandon => return,
                    command => self.decide(command),
                }
                taken += 1;
                next = match taken < MAX_COMMANDS_PER_APPEND {
                    true => commands.try_recv().ok(),
                    false => None,
                };
            }
            self.commit();
        }
    }

    /// Reads the log from its beginning, wins the election of one, and appends what has to
    /// stand in the log before any command: all of it with one sync.
    fn lead(&mut self) -> Result<(), QuorumError> {
        let (storage, replay) = self.boot.open()?;
        let mut config = Config::new(self.boot.voter().raft_id());
        config.applied = storage.log().last_index();
        config.pre_vote = true;
        config.check_quorum = true;
        config.max_committed_size_per_ready = MAX_COMMITTED_BYTES;
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let mut node = RawNode::new(&config, storage, &logger).map_err(QuorumError::Raft)?;
        node.campaign().map_err(QuorumError::Raft)?;
        assert!(
            node.raft.state == StateRole::Leader,
            "a sole voter lost its own election"
        );
        let epoch = node.raft.term;
        info!(
            epoch,
            offset = replay.image().applied.0,
            "active controller"
        );
        self.committed = replay;
        self.tip = self.committed.clone();
        // The library appended the empty entry of the new term.
        let leader_change = offset_of(node.raft.raft_log.last_index());
        self.tip
            .apply(vec![(leader_change, MetadataRecord::NoOp)])?;
        self.node = Node::Leader(Box::new(node));
        self.open_log()?;
        self.process()
    }

    /// The first records of a term.
    fn open_log(&mut self) -> Result<(), QuorumError> {
        if self.tip.in_transaction() {
            let reason = Some("its controller stopped before the end".to_owned());
            self.append(vec![MetadataRecord::AbortTransaction { reason }])?;
        }
        self.append(controller::bootstrap(self.tip.image()))?;
        if let Some(registration) = self.boot.registration() {
            let decision = self.decide_registration(registration);
            decision.reply.map_err(QuorumError::Registration)?;
            self.append(as_log_records(decision.records, "register broker"))?;
        }
        Ok(())
    }

    fn decide(&mut self, command: Command) {
        let image = self.tip.image();
        match command {
            Command::CreateTopics {
                topics,
                validate_only,
                reply,
            } => {
                let decision = topics::create(image, &mut self.settings, topics, validate_only);
                self.propose(decision, "create topics", reply);
            }
            Command::DeleteTopics { topics, reply } => {
                let decision = topics::delete(image, &topics);
                self.propose(decision, "delete topics", reply);
            }
            Command::CreatePartitions {
                topics,
                validate_only,
                reply,
            } => {
                let decision = partitions::create(image, &topics, validate_only);
                self.propose(decision, "create partitions", reply);
            }
            Command::ElectLeaders {
                election,
                electorate,
                reply,
            } => {
                let decision = elections::elect(image, election, electorate);
                self.propose(decision, "elect leaders", reply);
            }
            Command::UnregisterBroker { broker_id, reply } => {
                let decision = brokers::unregister(image, broker_id);
                self.propose(decision, "unregister broker", reply);
            }
            Command::DescribeQuorum { reply } => drop(reply.send(self.describe())),
            Command::AlterConfigs {
                alterations,
                validate_only,
                reply,
            } => {
                let decision = configs::alter(image, &self.settings, &alterations, validate_only);
                self.propose(decision, "alter configs", reply);
            }
            Command::AllocateProducerIds { reply } => {
                let (id, epoch) = self.registered();
                let decision = producer_ids::allocate(image, id, epoch);
                self.propose(decision, "allocate producer ids", reply);
            }
            Command::RegisterBroker {
                registration,
                reply,
            } => {
                let decision = self.decide_registration(registration);
                self.propose(decision, "register broker", reply);
            }
            Command::SetFenced {
                broker_id,
                broker_epoch,
                fenced,
                reply,
            } => {
                let decision = brokers::set_fenced(image, broker_id, broker_epoch, fenced);
                self.propose(decision, "change broker registration", reply);
            }
            Command::Stop { .. } | Command::Abandon => {}
        }
    }

    /// This broker and the epoch it registered with.
    fn registered(&self) -> (BrokerId, i64) {
        let id = self.boot.voter().node_id;
        let broker = self.tip.image().brokers.get(&id);
        (id, broker.map_or(-1, |broker| broker.epoch))
    }

    fn describe(&self) -> Result<QuorumStatus, Error> {
        let Node::Leader(node) = &self.node else {
            return Err(self.node.refusal().response());
        };
        let Voter {
            node_id,
            directory_id,
        } = self.boot.voter();
        Ok(QuorumStatus {
            leader_id: node_id,
            leader_epoch: node.raft.term as LeaderEpoch,
            high_watermark: offset_of(node.raft.raft_log.committed).0 + 1,
            voters: vec![VoterStatus {
                id: node_id,
                directory_id,
                log_end_offset: offset_of(node.raft.raft_log.last_index()).0 + 1,
            }],
        })
    }

    /// The epoch of a broker is the offset of its registration record, which depends on
    /// whether the decision has a second record and so a transaction mark before it.
    fn decide_registration(
        &self,
        registration: brokers::Registration,
    ) -> Decision<Result<i64, Error>> {
        let image = self.tip.image();
        let end = MetadataOffset(image.applied.0 + 1);
        let alone = brokers::register(image, registration.clone(), end);
        match alone.records.len() {
            0 | 1 => alone,
            count => brokers::register(image, registration, first_record_offset(end, count)),
        }
    }

    /// Hands a decision to Raft and parks its reply. A caller that has gone leaves nothing.
    fn propose<T: Send + 'static>(&mut self, decision: Decision<T>, name: &str, reply: Reply<T>) {
        if reply.is_closed() {
            return;
        }
        if let Err(error) = self.append(as_log_records(decision.records, name)) {
            error!(%error, "refused a decision: {name}");
            reply.send(Err(error.response())).ok();
            return;
        }
        // Also a reply without records waits: it may tell of something not yet committed.
        let answer = |outcome: Result<(), Error>| {
            reply.send(outcome.map(|()| decision.reply)).ok();
        };
        self.parked.push_back(Parked {
            offset: self.tip.image().applied,
            answer: Box::new(answer),
        });
    }

    fn append(&mut self, records: Vec<MetadataRecord>) -> Result<(), QuorumError> {
        let Node::Leader(node) = &mut self.node else {
            return Err(self.node.refusal());
        };
        let first = node.raft.raft_log.last_index() + 1;
        let values: Vec<Vec<u8>> = records.iter().map(MetadataRecord::encode).collect();
        let numbered = (first..).map(offset_of).zip(records).collect();
        // First the image: what cannot be applied must not be proposed.
        let mut tip = self.tip.clone();
        tip.apply(numbered)?;
        self.tip = tip;
        for value in values {
            node.propose(Vec::new(), value).map_err(QuorumError::Raft)?;
        }
        Ok(())
    }

    /// Makes everything proposed durable and committed, and answers.
    fn commit(&mut self) {
        if let Err(error) = self.process() {
            self.give_up(&error);
        }
        self.answer_committed();
        self.snapshot();
    }

    /// Writes a snapshot when the log has grown by enough, and begins a new segment behind it.
    /// A failure leaves the log as it is; the next attempt comes with as much log again.
    fn snapshot(&mut self) {
        let Node::Leader(node) = &mut self.node else {
            return;
        };
        let image = self.committed.image();
        let log = node.store().log();
        let last = log.last_index();
        if log.size() < self.snapshot_at || image.applied != offset_of(last) {
            return;
        }
        let id = SnapshotId {
            end_offset: log.end_offset(),
            epoch: log.last_term() as LeaderEpoch,
        };
        let written = snapshot::write(&self.boot.dir(), id, image, self.boot.now());
        let rolled = match written {
            Ok(()) => node.mut_store().roll().map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let (size, bytes) = (node.store().log().size(), self.boot.copies.snapshot_bytes);
        self.snapshot_at = size + bytes;
        match rolled {
            Ok(()) => info!(id.end_offset, id.epoch, "metadata snapshot"),
            Err(error) => warn!(error, "no metadata snapshot, the log grows"),
        }
    }

    /// Answers everything whose offset is in the published image.
    fn answer_committed(&mut self) {
        let applied = self.committed.image().applied;
        let waiting = self
            .parked
            .partition_point(|parked| parked.offset <= applied);
        for parked in self.parked.drain(..waiting) {
            (parked.answer)(Ok(()));
        }
    }

    /// Does what the library asks until it asks nothing more, then publishes one image.
    fn process(&mut self) -> Result<(), QuorumError> {
        let Node::Leader(node) = &mut self.node else {
            return Ok(());
        };
        let now = self.boot.now();
        while node.has_ready() {
            let mut ready = node.ready();
            if let Some(hard_state) = ready.hs() {
                let (term, vote) = (hard_state.term, hard_state.vote);
                let leader = node.raft.leader_id;
                node.mut_store().vote(term, vote, leader)?;
            }
            if !ready.entries().is_empty() {
                let entries = ready.take_entries();
                let log = node.mut_store().log_mut();
                let appended = log.append(&entries, now);
                match appended {
                    Err(error) if error.is_disk_full() && self.boot.free_reserve() => {
                        log.append(&entries, now)?;
                    }
                    outcome => outcome?,
                }
                log.sync()?;
            }
            let mut entries = ready.take_committed_entries();
            let mut light = node.advance_append(ready);
            entries.append(&mut light.take_committed_entries());
            let records = boot::decode(&entries)?;
            self.committed.apply(records)?;
            node.advance_apply();
        }
        node.mut_store().log_mut().forget_recent();
        self.publish();
        Ok(())
    }

    fn publish(&mut self) {
        if self.published.applied == self.committed.image().applied {
            return;
        }
        let image = Arc::new(self.committed.image().clone());
        (self.publish)(&self.published, &image);
        self.published = image.clone();
        self.metadata.send_replace(image);
    }

    /// After a failed write or sync nothing decided since the last commit counts.
    fn give_up(&mut self, cause: &QuorumError) {
        let resign = matches!(cause, QuorumError::Log(error) if error.is_disk_full());
        self.node = match resign {
            true => Node::Resigned,
            false => Node::Failed(cause.to_string()),
        };
        self.tip = self.committed.clone();
        self.answer_committed();
        for parked in self.parked.drain(..) {
            (parked.answer)(Err(cause.response()));
        }
        error!(error = %cause, "the metadata log cannot be written");
        if !resign {
            self.boot.failed(cause);
        }
    }

    fn stop(mut self, reply: Reply<()>) {
        self.commit();
        let stopped = match &mut self.node {
            Node::Leader(node) => {
                self.boot
                    .write_index(self.committed.image(), node.store().log());
                node.mut_store().note_all_synced().map_err(QuorumError::Log)
            }
            _ => Err(self.node.refusal()),
        };
        reply.send(stopped.map_err(|error| error.response())).ok();
    }
}

impl Node {
    fn refusal(&self) -> QuorumError {
        match self {
            Node::Failed(cause) => QuorumError::Unavailable(cause.clone()),
            _ => QuorumError::Unavailable("the disk of the metadata log is full".to_owned()),
        }
    }
}

impl QuorumError {
    /// What a waiting caller is told: KAFKA_STORAGE_ERROR is retriable, and true.
    fn response(&self) -> Error {
        Error::new(ResponseError::KafkaStorageError, self.to_string())
    }
}

impl From<LogError> for QuorumError {
    fn from(error: LogError) -> QuorumError {
        QuorumError::Log(error)
    }
}
