//! The group coordinators of this broker as handlers see them: one call per request, answered now
//! or later. Which partition a group belongs to and whether its coordinator is here is decided below.

use std::io;
use std::sync::Arc;

use super::command::{
    Command, Commit, CommittedTopic, DeleteOffsets, DeletedTopic, Description, FetchOffsets,
    FetchedTopic, Heartbeat, Join, Joined, Leave, Left, Listed, Reply, Sync, Synced,
};
use super::{GroupMemory, GroupShard, Settings};
use crate::budget;
use crate::clock::Clock;
use crate::config::Config;
use crate::coordinator::Pending;
use crate::coordinator::runtime::Runtime;
use crate::error::ResponseError;
use crate::metadata::image::{CONSUMER_OFFSETS, Image};
use crate::partition::manager::Partitions;
use crate::protocol::batch::Codec;

/// Cheap to clone.
#[derive(Clone)]
pub struct GroupCoordinator {
    settings: Settings,
    runtime: Runtime<GroupShard>,
}

/// Commands have replies of their own kind: anything else is our mistake.
macro_rules! expect {
    ($pending:expr, $kind:path) => {
        Asked::new($pending, |reply| match reply {
            $kind(reply) => reply,
            other => unreachable!("a reply of another kind: {other:?}"),
        })
    };
}

/// A command that has been handed over.
pub struct Asked<T> {
    pending: Option<Pending<Reply>>,
    of_reply: fn(Reply) -> T,
}

impl<T> Asked<T> {
    fn new(pending: Pending<Reply>, of_reply: fn(Reply) -> T) -> Asked<T> {
        Asked {
            pending: Some(pending),
            of_reply,
        }
    }

    /// The answer, if it is there already; once.
    pub fn now(&mut self) -> Option<Result<T, ResponseError>> {
        match self.pending.take()? {
            Pending::Ready(answer) => Some(answer.map(self.of_reply)),
            waiting => {
                self.pending = Some(waiting);
                None
            }
        }
    }

    /// # Errors
    /// The coordinator is not here, or loads, or has lost its log.
    pub async fn get(self) -> Result<T, ResponseError> {
        match self.pending {
            Some(pending) => pending.get().await.map(self.of_reply),
            None => Err(ResponseError::NotCoordinator),
        }
    }
}

impl GroupCoordinator {
    /// Call it within the tokio runtime that may run small tasks for it.
    ///
    /// # Errors
    /// The machine gives no thread.
    pub fn new(config: &Config, clock: Clock) -> io::Result<GroupCoordinator> {
        let settings = Settings::of(config);
        let memory_limit = config.memory_limit.unwrap_or_else(budget::memory_limit);
        let memory = GroupMemory::of(memory_limit);
        let make = move || GroupShard::new(settings, memory.clone());
        let codec = config.groups.offsets_topic_compression_codec;
        let codec = Codec::from_id(codec).unwrap_or(Codec::None);
        let runtime = Runtime::new(CONSUMER_OFFSETS, codec, clock, make)?;
        Ok(GroupCoordinator { settings, runtime })
    }

    /// The logs may be read from now on.
    pub fn start(&self) {
        self.runtime.start();
    }

    /// Before the logs are closed.
    pub fn stop(&self) {
        self.runtime.stop();
    }

    /// Follows the leadership of the offsets topic; topics that are gone take their offsets along.
    pub fn publish(&self, partitions: &Partitions, old: &Image, new: &Image) {
        self.runtime.publish(partitions, new);
        let gone = new.topics_differing(old);
        let gone = gone.filter_map(|(after, before)| match (before, after) {
            (Some(before), None) => Some(before.name.clone()),
            (Some(before), Some(after)) if before.id != after.id => Some(before.name.clone()),
            _ => None,
        });
        let gone: Arc<[Arc<str>]> = gone.collect();
        if !gone.is_empty() {
            // Not by the quorum's thread: a stalled disk must not cost it its leadership.
            self.runtime
                .tell_all(move || Command::TopicsDeleted(gone.clone()));
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the coordinator of a group is here and answers; waits for the end of its first load.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ready(&self, group: &str) -> Result<(), ResponseError> {
        self.runtime.ready(group).await
    }

    /// Whether the coordinator of a group is here and answers.
    pub fn is_ready(&self, group: &str) -> bool {
        self.runtime.refusal(group).is_none()
    }

    /// Whether the coordinator of a group would be here if its log could be read.
    pub fn has_failed(&self, group: &str) -> bool {
        let refusal = self.runtime.refusal(group);
        refusal.is_some_and(|error| error != ResponseError::CoordinatorLoadInProgress)
    }

    pub fn join(&self, join: Join) -> Asked<Joined> {
        let group = join.group.clone();
        expect!(self.runtime.ask(&group, Command::Join(join)), Reply::Join)
    }

    pub fn sync(&self, sync: Sync) -> Asked<Result<Synced, ResponseError>> {
        let group = sync.group.clone();
        expect!(self.runtime.ask(&group, Command::Sync(sync)), Reply::Sync)
    }

    pub fn heartbeat(&self, beat: Heartbeat) -> Asked<Result<(), ResponseError>> {
        let group = beat.group.clone();
        let asked = self.runtime.ask(&group, Command::Heartbeat(beat));
        expect!(asked, Reply::Heartbeat)
    }

    pub fn leave(&self, leave: Leave) -> Asked<Vec<Left>> {
        let group = leave.group.clone();
        expect!(
            self.runtime.ask(&group, Command::Leave(leave)),
            Reply::Leave
        )
    }

    pub fn commit(&self, commit: Commit) -> Asked<Result<Vec<CommittedTopic>, ResponseError>> {
        let group = commit.group.clone();
        let asked = self.runtime.ask(&group, Command::Commit(commit));
        expect!(asked, Reply::Commit)
    }

    pub fn fetch(&self, fetch: FetchOffsets) -> Asked<Vec<FetchedTopic>> {
        let group = fetch.group.clone();
        expect!(
            self.runtime.ask(&group, Command::Fetch(fetch)),
            Reply::Fetch
        )
    }

    pub fn delete_offsets(
        &self,
        delete: DeleteOffsets,
    ) -> Asked<Result<Vec<DeletedTopic>, ResponseError>> {
        let group = delete.group.clone();
        let asked = self.runtime.ask(&group, Command::DeleteOffsets(delete));
        expect!(asked, Reply::DeleteOffsets)
    }

    pub fn delete_group(&self, group: Arc<str>) -> Asked<Result<(), ResponseError>> {
        let asked = self
            .runtime
            .ask(&group.clone(), Command::DeleteGroup(group));
        expect!(asked, Reply::DeleteGroup)
    }

    /// `None`: there is no such group.
    pub fn describe(&self, group: Arc<str>) -> Asked<Option<Description>> {
        let asked = self.runtime.ask(&group.clone(), Command::Describe(group));
        expect!(asked, Reply::Describe)
    }

    /// One answer per coordinator here.
    pub fn list(&self) -> Vec<Asked<Vec<Listed>>> {
        let asked = self.runtime.ask_all(|| Command::List).into_iter();
        asked.map(|pending| expect!(pending, Reply::List)).collect()
    }
}
