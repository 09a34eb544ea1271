//! A compacted segment takes the place of those it was made of.
//!
//! First in the log's list, under its lock; readers that planned before keep the old ones. Then
//! the names follow without the lock, while the gate keeps everybody else away from the files: the
//! swap names, which a start completes, are the commit point; the old files get deleted names; the
//! new ones get theirs, the log last. A crash before the commit point leaves the old segments.
//! (Kafka: LocalLog.replaceSegments, which does it in the other order, under its lock.)

use std::path::PathBuf;
use std::sync::{Arc, MutexGuard};

use super::output::remove_cleaned;
use crate::faults::crash_point;
use crate::log::context::{LogContext, Shared, TryEnter};
use crate::log::flush::sync_directory;
use crate::log::log_file::Name;
use crate::log::segment::Segment;
use crate::log::{Error, Log, Sealed};

/// A segment that waits to take the place of others.
pub struct Cleaned {
    cx: Arc<LogContext>,
    shared: Arc<Shared>,
    truncations: u64,
    segment: Arc<Segment>,
    size: u64,
    inputs: Vec<Arc<Segment>>,
}

impl Cleaned {
    pub(super) fn new(
        cx: Arc<LogContext>,
        shared: Arc<Shared>,
        truncations: u64,
        segment: Segment,
        size: u64,
        inputs: Vec<Arc<Segment>>,
    ) -> Cleaned {
        crash_point("compaction.written");
        Cleaned {
            cx,
            shared,
            truncations,
            segment: Arc::new(segment),
            size,
            inputs,
        }
    }

    /// For who holds the partition's lock: the right to change the log's files by name.
    pub fn try_enter(&self) -> TryEnter<'_> {
        self.shared.try_enter()
    }

    /// Waits until [`Cleaned::try_enter`] is worth another try. Hold no lock.
    pub fn wait(&self) {
        drop(self.shared.enter());
    }

    /// Retention, a truncation or the end of the log was faster: nothing happened.
    pub fn discard(&self) {
        remove_cleaned(&self.cx, &self.shared.path, self.segment.base_offset());
    }

    /// After [`Log::replace`] and without the partition's lock: the names. Returns the files that
    /// were replaced, to be unlinked `file.delete.delay.ms` later.
    pub fn rename(&self, gate: MutexGuard<'_, bool>) -> Result<Vec<PathBuf>, Error> {
        let renamed = self.rename_all();
        drop(gate);
        renamed.inspect_err(|error| {
            // The log's list says what the names do not, a full disk included: only a start, which
            // goes by the names, brings them together again.
            self.cx.directory.mark_offline(error);
        })
    }

    fn rename_all(&self) -> Result<Vec<PathBuf>, Error> {
        let directory = &self.shared.path;
        crash_point("compaction.replaced");
        self.segment.rename_cleaned(Name::Swap)?;
        sync_directory(&self.cx, directory)?;
        crash_point("compaction.committed");
        let mut replaced = Vec::new();
        for input in &self.inputs {
            replaced.extend(input.rename_deleted()?);
        }
        crash_point("compaction.old-renamed");
        self.segment.rename_cleaned(Name::Final)?;
        sync_directory(&self.cx, directory)?;
        crash_point("compaction.renamed");
        Ok(replaced)
    }
}

impl Log {
    /// Puts the compacted segment in the place of those it was made of, with the gate held; false
    /// if they are no longer all there.
    pub fn replace(&mut self, cleaned: &Cleaned) -> bool {
        let inputs = &cleaned.inputs;
        let is_first = |sealed: &Sealed| Arc::ptr_eq(&sealed.segment, &inputs[0]);
        let Some(at) = self.sealed.iter().position(is_first) else {
            return false;
        };
        let there = self.sealed[at..].iter().map(|sealed| &sealed.segment);
        let are_there = there.take(inputs.len()).zip(inputs);
        let count = are_there
            .filter(|(there, input)| Arc::ptr_eq(there, input))
            .count();
        let is_cut = cleaned.truncations != self.shared.truncations();
        if count < inputs.len()
            || is_cut
            || self.cx.check_online().is_err()
            || self.shared.check_undamaged().is_err()
        {
            return false;
        }
        let compacted = Sealed {
            segment: cleaned.segment.clone(),
            size: cleaned.size,
        };
        Arc::make_mut(&mut self.sealed).splice(at..at + inputs.len(), [compacted]);
        self.durability.segments_replaced(inputs);
        // Its batches know positions in files that are no longer the log's.
        self.hot_tail.clear();
        true
    }
}
