//! The Raft quorum of the controllers, here of one voter: the shell around the `raft` crate
//! (which decides), the metadata log (which lasts) and the controller (which answers). One
//! thread owns all of it (`driver`); data never waits for it, nor it for data.
//!
//! Order of every change: decided, appended and synced, committed, applied to a new image,
//! published on this broker, seen in the watch, answered.

mod boot;
mod driver;
pub mod entry;
mod handle;
mod log;
mod raft_storage;
mod snapshot;
pub mod vote;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

pub use self::boot::DIRECTORY;
pub use self::handle::{ControllerHandle, QuorumStatus, VoterStatus};
pub use self::log::LogError;
use crate::clock::Clock;
use crate::controller::Settings;
use crate::controller::brokers::Registration;
use crate::error::Error;
use crate::metadata::image::{ApplyError, Image};
use crate::quorum::boot::{Boot, Copies, OnFailure};
use crate::quorum::driver::Driver;
use crate::quorum::handle::{Command, QUEUE_LENGTH, stopped};
use crate::quorum::raft_storage::Voter;
use crate::types::BrokerId;

/// Takes each new image, with the one before it, on the quorum's thread, before anybody else
/// sees it and before the answers that depend on it.
pub type Publish = dyn FnMut(&Arc<Image>, &Arc<Image>) + Send;

/// Hears why the quorum failed.
pub type TellFailure = dyn Fn(&QuorumError) + Send;

/// What the quorum starts from.
pub struct QuorumArgs {
    /// `metadata.log.dir`, locked by this process; [`DIRECTORY`] is made in it.
    pub metadata_log_dir: PathBuf,
    pub node_id: BrokerId,
    /// `directory.id` of the directory: part of the voter's identity (KIP-853).
    pub directory_id: Uuid,
    pub cluster_id: String,
    pub clock: Clock,
    pub settings: Settings,
    /// The broker in this process, registered together with the first append.
    pub registration: Option<Registration>,
    pub publish: Box<Publish>,
    /// The disk is full: gives back reserved space, once. Whether there was any.
    pub free_reserve: Box<dyn FnMut() -> bool + Send>,
    /// The metadata log can no longer be trusted or written: the node has to end. On the
    /// quorum's thread.
    pub on_failure: Box<TellFailure>,
}

/// Why there is no quorum, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    #[error(transparent)]
    Log(LogError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the Raft library refuses: {0}")]
    Raft(#[source] raft::Error),
    #[error("this broker cannot register: {0}")]
    Registration(#[source] Error),
    #[error("the controller is not available: {0}")]
    Unavailable(String),
}

/// A running quorum. Dropped without [`Quorum::stop`], it ends as a crash would end it.
pub struct Quorum {
    pub controller: ControllerHandle,
    /// The newest image; the first value is that of the end of the start.
    pub metadata: watch::Receiver<Arc<Image>>,
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

/// Recovers the metadata log, leads the quorum of one, registers the broker, publishes the
/// first image, and returns. Blocks for the syncs of that: two on a new directory for the data
/// (vote, first append) and two for names.
pub fn start(args: QuorumArgs) -> Result<Quorum, QuorumError> {
    start_with(args, Copies::DEFAULT)
}

fn start_with(args: QuorumArgs, copies: Copies) -> Result<Quorum, QuorumError> {
    let (commands, queue) = mpsc::channel(QUEUE_LENGTH);
    let image = Arc::new(Image::empty(&args.cluster_id));
    let (sender, metadata) = watch::channel(image);
    let (started, start) = std::sync::mpsc::channel();
    let on_failure = Arc::new(OnFailure(Mutex::new(args.on_failure)));
    let if_it_panics = on_failure.clone();
    let body = move || {
        let boot = Boot {
            metadata_log_dir: args.metadata_log_dir,
            voter: Voter {
                node_id: args.node_id,
                directory_id: args.directory_id,
            },
            cluster_id: args.cluster_id,
            clock: args.clock,
            copies,
            registration: args.registration,
            free_reserve: args.free_reserve,
            on_failure: on_failure.clone(),
        };
        match Driver::start(boot, args.settings, args.publish, sender) {
            Ok(driver) => {
                started.send(Ok(())).ok();
                driver.run(queue);
            }
            Err(error) => {
                started.send(Err(error)).ok();
            }
        }
    };
    let thread = thread::Builder::new().name("ottla-quorum".to_owned());
    let thread = thread.spawn(move || {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            let cause = QuorumError::Unavailable("its thread panicked".to_owned());
            if_it_panics.call(&cause);
        }
    });
    let thread = thread.map_err(|error| QuorumError::Unavailable(error.to_string()))?;
    let no_thread = |_| QuorumError::Unavailable("its thread ended at the start".to_owned());
    start.recv().map_err(no_thread)??;
    Ok(Quorum {
        controller: ControllerHandle::new(commands.clone()),
        metadata,
        commands,
        thread: Some(thread),
    })
}

impl Quorum {
    /// Finishes what was asked before, and notes that all of it is on the device.
    pub async fn stop(mut self) -> Result<(), Error> {
        let (reply, stopped_) = oneshot::channel();
        let sent = self.commands.send(Command::Stop { reply }).await;
        sent.map_err(|_| stopped())?;
        let outcome = stopped_.await.unwrap_or_else(|_| Err(stopped()));
        // It has answered its last command and ends by itself.
        self.thread = None;
        outcome
    }
}

impl Drop for Quorum {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A full queue means that the thread is busy: then it ends when the handles do.
            if self.commands.try_send(Command::Abandon).is_ok() {
                thread.join().ok();
            }
        }
    }
}

#[cfg(test)]
mod tests;
