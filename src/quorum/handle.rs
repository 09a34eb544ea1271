//! The controller as the rest of the broker sees it: async calls that return once what they
//! asked for is committed, applied and published on this broker, or refused.

use std::ops::Range;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::controller::brokers::Registration;
use crate::controller::configs::Alteration;
use crate::controller::elections::{Elected, Election, Electorate};
use crate::controller::partitions::MorePartitions;
use crate::controller::topics::{CreatedTopic, DeletedTopic, NewTopic, TopicSelector};
use crate::error::{Error, ResponseError};
use crate::types::{BrokerId, LeaderEpoch, Offset};

/// Commands that may wait for the quorum's thread; more callers wait to be queued.
pub(super) const QUEUE_LENGTH: usize = 1024;

pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What the quorum's thread is asked.
pub(super) enum Command {
    CreateTopics {
        topics: Vec<NewTopic>,
        validate_only: bool,
        reply: Reply<Vec<Result<CreatedTopic, Error>>>,
    },
    DeleteTopics {
        topics: Vec<TopicSelector>,
        reply: Reply<Vec<Result<DeletedTopic, Error>>>,
    },
    CreatePartitions {
        topics: Vec<MorePartitions>,
        validate_only: bool,
        reply: Reply<Vec<Result<(), Error>>>,
    },
    ElectLeaders {
        election: Election,
        electorate: Option<Vec<Electorate>>,
        reply: Reply<Vec<Elected>>,
    },
    UnregisterBroker {
        broker_id: BrokerId,
        reply: Reply<Result<(), Error>>,
    },
    /// Changes nothing.
    DescribeQuorum { reply: Reply<QuorumStatus> },
    AlterConfigs {
        alterations: Vec<Alteration>,
        validate_only: bool,
        reply: Reply<Vec<Result<(), Error>>>,
    },
    AllocateProducerIds {
        reply: Reply<Result<Range<i64>, Error>>,
    },
    RegisterBroker {
        registration: Registration,
        reply: Reply<Result<i64, Error>>,
    },
    SetFenced {
        broker_id: BrokerId,
        broker_epoch: i64,
        fenced: bool,
        reply: Reply<Result<(), Error>>,
    },
    /// The last command: sync, note it, end.
    Stop { reply: Reply<()> },
    /// End at once, as a crash would.
    Abandon,
}

/// Where the quorum stands, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumStatus {
    pub leader_id: BrokerId,
    pub leader_epoch: LeaderEpoch,
    /// Of the metadata log: what is committed.
    pub high_watermark: Offset,
    pub voters: Vec<VoterStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterStatus {
    pub id: BrokerId,
    pub directory_id: Uuid,
    pub log_end_offset: Offset,
}

/// Cheap to clone. A caller that stops waiting before its command is taken up (a timeout)
/// leaves nothing behind; after that the command may still take effect.
#[derive(Clone, Debug)]
pub struct ControllerHandle {
    commands: mpsc::Sender<Command>,
}

impl ControllerHandle {
    pub(super) fn new(commands: mpsc::Sender<Command>) -> ControllerHandle {
        ControllerHandle { commands }
    }

    /// CreateTopics: one answer per topic, in order. A name given twice is refused at each of
    /// its places.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Vec<Result<CreatedTopic, Error>> {
        let count = topics.len();
        let answer = self.ask(|reply| Command::CreateTopics {
            topics,
            validate_only,
            reply,
        });
        answer.await.unwrap_or_else(|error| vec![Err(error); count])
    }

    /// DeleteTopics: one answer per topic, in order. A topic selected twice is refused at each
    /// of its places.
    pub async fn delete_topics(
        &self,
        topics: Vec<TopicSelector>,
    ) -> Vec<Result<DeletedTopic, Error>> {
        let count = topics.len();
        let answer = self.ask(|reply| Command::DeleteTopics { topics, reply });
        answer.await.unwrap_or_else(|error| vec![Err(error); count])
    }

    /// CreatePartitions: one answer per topic, in order. A topic named twice is refused at each
    /// of its places.
    pub async fn create_partitions(
        &self,
        topics: Vec<MorePartitions>,
        validate_only: bool,
    ) -> Vec<Result<(), Error>> {
        let count = topics.len();
        let answer = self.ask(|reply| Command::CreatePartitions {
            topics,
            validate_only,
            reply,
        });
        answer.await.unwrap_or_else(|error| vec![Err(error); count])
    }

    /// AlterConfigs and IncrementalAlterConfigs: one answer per alteration, in order. A resource
    /// given twice is refused at each of its places.
    pub async fn alter_configs(
        &self,
        alterations: Vec<Alteration>,
        validate_only: bool,
    ) -> Vec<Result<(), Error>> {
        let count = alterations.len();
        let answer = self.ask(|reply| Command::AlterConfigs {
            alterations,
            validate_only,
            reply,
        });
        answer.await.unwrap_or_else(|error| vec![Err(error); count])
    }

    /// ElectLeaders; without an electorate every partition is looked at.
    pub async fn elect_leaders(
        &self,
        election: Election,
        electorate: Option<Vec<Electorate>>,
    ) -> Result<Vec<Elected>, Error> {
        let command = |reply| Command::ElectLeaders {
            election,
            electorate,
            reply,
        };
        self.ask(command).await
    }

    /// Forgets a broker.
    pub async fn unregister_broker(&self, broker_id: BrokerId) -> Result<(), Error> {
        self.ask(|reply| Command::UnregisterBroker { broker_id, reply })
            .await?
    }

    /// Where the quorum stands.
    pub async fn describe_quorum(&self) -> Result<QuorumStatus, Error> {
        self.ask(|reply| Command::DescribeQuorum { reply }).await
    }

    /// A block of producer ids that no broker ever had (R71).
    pub async fn allocate_producer_ids(&self) -> Result<Range<i64>, Error> {
        self.ask(|reply| Command::AllocateProducerIds { reply })
            .await?
    }

    /// Registers a broker; its epoch comes back.
    pub async fn register_broker(&self, registration: Registration) -> Result<i64, Error> {
        let command = |reply| Command::RegisterBroker {
            registration,
            reply,
        };
        self.ask(command).await?
    }

    /// Puts a broker into service.
    pub async fn unfence_broker(&self, broker_id: BrokerId, epoch: i64) -> Result<(), Error> {
        self.set_fenced(broker_id, epoch, false).await
    }

    /// Takes a broker out of service: its leaderships move, it leaves its ISRs.
    pub async fn fence_broker(&self, broker_id: BrokerId, epoch: i64) -> Result<(), Error> {
        self.set_fenced(broker_id, epoch, true).await
    }

    async fn set_fenced(
        &self,
        broker_id: BrokerId,
        broker_epoch: i64,
        fenced: bool,
    ) -> Result<(), Error> {
        let command = |reply| Command::SetFenced {
            broker_id,
            broker_epoch,
            fenced,
            reply,
        };
        self.ask(command).await?
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

/// The thread has ended: the broker is stopping, or its quorum failed. A client that meets it
/// asks again elsewhere.
pub(super) fn stopped() -> Error {
    Error::new(
        ResponseError::NotController,
        "The controller of this node has stopped.",
    )
}
