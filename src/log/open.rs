//! From the files of a directory to a [`Log`]: lists, lets [`crate::log::recovery`] judge,
//! applies its result, and loads what else a log knows.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use crate::log::append::max_age_ms;
use crate::log::apply::apply;
use crate::log::context::{LogContext, Shared};
use crate::log::epochs::EpochCache;
use crate::log::flush::Durability;
use crate::log::index::Entries;
use crate::log::log_file::LogFile;
use crate::log::producer_limit::KnownProducers;
use crate::log::producers::ProducerStates;
use crate::log::recovery::{self, Kept, OnCorruption, Recovered, Torn, Trust, Walked, base_of};
use crate::log::replay::Refill;
use crate::log::segment::Segment;
use crate::log::walk::{HeaderWalk, Step};
use crate::log::{Active, EPOCHS_FILE, Error, Log, LogConfig, Sealed, partition_dirs};
use crate::types::{Millis, Offset, TopicId};

/// What is known about a log before its files are read.
#[derive(Clone, Copy, Debug)]
pub struct OpenAt {
    /// The last stop of the whole broker was clean.
    pub clean: bool,
    /// From the checkpoint; `Some(0)` if the checkpoint is readable and does not name the
    /// partition, `None` if it is unreadable: then all but the last segment is taken for synced
    /// and everything is scanned.
    pub recovery_point: Option<Offset>,
    pub log_start_offset: Option<Offset>,
    pub high_watermark: Option<Offset>,
    /// Leave the syncs of recovery (R9) to the caller: nothing may be served before a
    /// [`Log::start_flush`] of this log has been run and taken in.
    pub defer_sync: bool,
    /// Wall time, ms.
    pub now: Millis,
}

/// What opening a log found.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// Between log start and log end.
    pub high_watermark: Offset,
    /// Bytes read and checked.
    pub scanned_bytes: u64,
    /// Bytes cut from the end of the log, whole segments included.
    pub dropped_bytes: u64,
    /// What the log was cut for.
    pub torn: Option<Torn>,
    /// The checkpointed high watermark was above what is left: records `[log end, this)` had
    /// been committed and are lost on this replica.
    pub lost_below: Option<Offset>,
    /// The checkpoint knows of data, but there are no files.
    pub lost_everything: bool,
    /// The log ended below its start: its files were moved aside.
    pub moved_aside: bool,
}

impl RecoveryReport {
    /// Whether this replica may lack records it once acknowledged.
    pub fn lost_data(&self) -> bool {
        self.lost_below.is_some() || self.lost_everything
    }
}

impl Log {
    /// Opens the log in directory `name` (`topic-0`), or an empty one if there is no such
    /// directory: that is created by the first append.
    ///
    /// Errors: [`Error::Corrupt`] if synced data is damaged: the partition stays offline and its
    /// files untouched; [`Error::WrongTopicId`]; file errors.
    pub fn create_or_open(
        cx: &Arc<LogContext>,
        name: &str,
        topic_id: TopicId,
        config: LogConfig,
        at: OpenAt,
    ) -> Result<(Log, RecoveryReport), Error> {
        cx.check_online()?;
        let shared = Arc::new(Shared::new(name, cx.path().join(name)));
        open_shared(cx, shared, topic_id, config, at)
    }
}

pub(super) fn open_shared(
    cx: &Arc<LogContext>,
    shared: Arc<Shared>,
    topic_id: TopicId,
    config: LogConfig,
    at: OpenAt,
) -> Result<(Log, RecoveryReport), Error> {
    let mut opening = Opening {
        cx,
        shared,
        topic_id,
        config,
        at,
        report: RecoveryReport::default(),
    };
    let mut log = opening.open()?;
    if !at.defer_sync
        && let Some(work) = log.start_flush(at.now)
    {
        log.flushed(work.run())?;
    }
    opening.report(&log);
    Ok((log, opening.report))
}

struct Opening<'a> {
    cx: &'a Arc<LogContext>,
    shared: Arc<Shared>,
    topic_id: TopicId,
    config: LogConfig,
    at: OpenAt,
    report: RecoveryReport,
}

impl Opening<'_> {
    fn open(&mut self) -> Result<Log, Error> {
        let Some(names) = self.list()? else {
            return Ok(self.without_files());
        };
        let names = self.settle_names(names)?;
        self.check_topic_id()?;
        let found = self.segments(&names);
        let on_corruption = if self.cx.options.truncate_corruption {
            OnCorruption::Truncate
        } else {
            OnCorruption::Refuse
        };
        let interval = self.config.index_interval_bytes;
        let recovered = recovery::recover(&found, self.trust(), on_corruption, interval)?;
        self.check_end(&found, &recovered, on_corruption)?;
        let first = found.first().map(|(segment, _)| segment.base_offset());
        let start = self
            .at
            .log_start_offset
            .unwrap_or(0)
            .max(first.unwrap_or(0));
        if found.is_empty() {
            self.note_lost_files();
        }
        if recovered.next_offset < start {
            return self.begin_again(&names, start, !found.is_empty());
        }
        // Everything is read before anything is changed: damage that only shows here leaves the
        // files as they are.
        let mut log = self.log(&names, &found, &recovered, start)?;
        log.load_producers(&self.at)?;
        self.report.scanned_bytes = recovered.scanned_bytes;
        self.report.dropped_bytes = apply(self.cx, &self.shared, &names, &found, &recovered)
            .map_err(|e| self.cx.write_failed(e))?;
        self.report.torn = recovered.torn;
        Ok(log)
    }

    /// After a clean stop the log does not end below what was checkpointed.
    fn check_end(
        &self,
        found: &[(Arc<Segment>, u64)],
        recovered: &Recovered,
        on_corruption: OnCorruption,
    ) -> Result<(), Error> {
        let point = self.at.recovery_point.unwrap_or(0);
        match found.last() {
            Some((last, length))
                if self.at.clean
                    && point > recovered.next_offset
                    && on_corruption == OnCorruption::Refuse =>
            {
                Err(Error::Corrupt {
                    path: last.log().path().to_path_buf(),
                    position: *length,
                    offset: recovered.next_offset,
                    detail: format!("the log ends below its recovery point {point}"),
                })
            }
            _ => Ok(()),
        }
    }

    fn trust(&self) -> Trust {
        match self.at.recovery_point {
            _ if self.at.clean => Trust::Everything,
            Some(point) => Trust::Below(point),
            None => Trust::AllButTheLastSegment,
        }
    }

    fn list(&self) -> Result<Option<BTreeMap<String, u64>>, Error> {
        let names = self.cx.files.list(&self.shared.path);
        names.map_err(|e| Error::io("list", &self.shared.path, e))
    }

    /// A partition that was never written, or whose files are gone.
    fn without_files(&mut self) -> Log {
        self.note_lost_files();
        let start = self.at.log_start_offset.unwrap_or(0);
        self.empty(start)
    }

    fn note_lost_files(&mut self) {
        let point = self.at.recovery_point.unwrap_or(0);
        self.report.lost_everything = point.max(self.at.high_watermark.unwrap_or(0)) > 0;
    }

    fn empty(&self, start: Offset) -> Log {
        Log {
            cx: self.cx.clone(),
            shared: self.shared.clone(),
            topic_id: self.topic_id,
            config: self.config.clone(),
            sealed: Arc::default(),
            active: None,
            log_start_offset: start,
            log_end_offset: start,
            producers: ProducerStates::default(),
            known_producers: KnownProducers::new(self.cx),
            refill: Refill::Nothing,
            epochs: EpochCache::default(),
            hot_tail: self.cx.hot_tails.tail(),
            durability: Durability::new(self.cx, start),
        }
    }

    /// R1, applied.
    fn settle_names(&self, names: BTreeMap<String, u64>) -> Result<BTreeMap<String, u64>, Error> {
        let swaps = names.iter().filter(|(name, _)| name.ends_with(".log.swap"));
        let mut ends = BTreeMap::new();
        for (name, &length) in swaps {
            if let Some(base) = base_of(name) {
                ends.insert(base, self.end_of_swap(name, base, length)?);
            }
        }
        let steps = recovery::name_steps(&names, &ends);
        if steps == recovery::NameSteps::default() {
            return Ok(names);
        }
        let path = |name: &str| self.shared.path.join(name);
        for name in &steps.delete {
            self.remove(&path(name))?;
        }
        for (from, to) in &steps.rename {
            let renamed = self.cx.files.rename(&path(from), &path(to));
            renamed.map_err(|e| self.failed("rename", &path(from), e))?;
        }
        info!(log = self.shared.name, ?steps, "leftover files settled");
        Ok(self.list()?.unwrap_or_default())
    }

    /// The end of the offsets in a compacted segment that has not got its final name.
    fn end_of_swap(&self, name: &str, base: Offset, length: u64) -> Result<Offset, Error> {
        let path = self.shared.path.join(name);
        let log = LogFile::existing(&self.cx.files, path);
        let mut walk = HeaderWalk::new(&log, base, 0, length);
        while walk.next_batch()?.is_some() {}
        Ok(walk.expected())
    }

    fn check_topic_id(&self) -> Result<(), Error> {
        let path = &self.shared.path;
        let found = partition_dirs::read_topic_id(path);
        let found = found.map_err(|e| Error::io("read", path, e))?;
        match found {
            Some(found) if found != self.topic_id => Err(Error::WrongTopicId {
                path: path.clone(),
                expected: self.topic_id,
                found,
            }),
            Some(_) => Ok(()),
            None => {
                let written = partition_dirs::write_topic_id(path, self.topic_id);
                written.map_err(|e| self.failed("write", path, e))
            }
        }
    }

    fn segments(&self, names: &BTreeMap<String, u64>) -> Vec<(Arc<Segment>, u64)> {
        let logs = names.iter().filter(|(name, _)| name.ends_with(".log"));
        logs.filter_map(|(name, &length)| {
            let base = base_of(name)?;
            let segment = Segment::sealed(&self.cx.files, &self.shared.path, base, length);
            Some((Arc::new(segment), length))
        })
        .collect()
    }

    /// R2: what is left ends below the start offset, so nothing of it may be read.
    fn begin_again(
        &mut self,
        names: &BTreeMap<String, u64>,
        start: Offset,
        had_segments: bool,
    ) -> Result<Log, Error> {
        for name in names.keys().filter(|name| base_of(name).is_some()) {
            let from = self.shared.path.join(name);
            let to = self.shared.path.join(format!("{name}.aside"));
            let renamed = self.cx.files.rename(&from, &to);
            renamed.map_err(|e| self.failed("rename", &from, e))?;
        }
        if had_segments {
            warn!(
                log = self.shared.name,
                start, "log ended below its start, beginning again"
            );
        }
        self.report.moved_aside = had_segments;
        Ok(self.empty(start))
    }

    fn log(
        &mut self,
        names: &BTreeMap<String, u64>,
        found: &[(Arc<Segment>, u64)],
        recovered: &Recovered,
        start: Offset,
    ) -> Result<Log, Error> {
        let mut log = self.empty(start);
        log.log_end_offset = recovered.next_offset;
        let point = match self.trust() {
            Trust::Everything => recovered.next_offset,
            Trust::Below(point) => point.min(recovered.next_offset).max(start),
            Trust::AllButTheLastSegment => recovered.scan_start.max(start),
        };
        log.durability = Durability::new(self.cx, point);
        if recovered.kept.len() < found.len() {
            log.durability.names_changed();
        }
        log.epochs = self.epochs(found, recovered, &mut log.durability)?;
        let mut sealed = Vec::new();
        for (index, kept) in recovered.kept.iter().enumerate() {
            let (segment, length) = &found[index];
            if let Some(walked) = &kept.walked
                && index + 1 == recovered.kept.len()
            {
                let is_cut = kept.size < *length;
                let d = &mut log.durability;
                log.active = Some(self.activate(segment, kept.size, is_cut, walked.clone(), d)?);
            } else {
                sealed.push(seal(segment, kept, &mut log.durability));
            }
        }
        log.sealed = Arc::new(sealed);
        let kept = snapshots(names).map(|(offset, _)| offset);
        let kept = kept.filter(|&offset| offset <= log.log_end_offset);
        log.durability.set_snapshots(kept.collect());
        Ok(log)
    }

    fn activate(
        &self,
        segment: &Arc<Segment>,
        size: u64,
        is_cut: bool,
        walked: Walked,
        durability: &mut Durability,
    ) -> Result<Active, Error> {
        let first_timestamp = match segment.walk(0, size).peek()? {
            Step::Batch(header) => Some(header.max_timestamp),
            Step::End | Step::Bad(_) => None,
        };
        let Walked {
            indexes,
            offsets_in_file,
            times_in_file,
            is_scanned,
            rule,
        } = walked;
        let whole =
            offsets_in_file == indexes.offsets.len() && times_in_file == indexes.times.len();
        if !self.at.clean || !whole || rule.clone().close().is_some() {
            durability.indexes_behind();
        }
        if is_scanned || is_cut {
            segment.log().mark_dirty();
        }
        segment.activate(
            Entries::loaded(indexes.offsets, offsets_in_file),
            Entries::loaded(indexes.times, times_in_file),
        );
        Ok(Active {
            max_age_ms: max_age_ms(&self.config, &self.shared.name, segment),
            segment: segment.clone(),
            size,
            rule,
            first_timestamp,
            created_at: self.at.now,
            allocated: size,
        })
    }

    /// R8: entries of the file up to where the scan began, then what the scan saw; without a
    /// readable file, what the batch headers say.
    fn epochs(
        &self,
        found: &[(Arc<Segment>, u64)],
        recovered: &Recovered,
        durability: &mut Durability,
    ) -> Result<EpochCache, Error> {
        let path = self.shared.path.join(EPOCHS_FILE);
        let bytes = self.cx.files.read_file(&path);
        let bytes = bytes.map_err(|e| Error::io("read", &path, e))?;
        // A text that does not know the first batch is not the whole one.
        let first = found
            .first()
            .map_or(0, |(segment, _)| segment.base_offset());
        let begins_at = first.max(self.at.log_start_offset.unwrap_or(0));
        let is_needed = recovered.scan_start > begins_at;
        let stored = match bytes.as_deref().map(EpochCache::from_text) {
            Some(Ok(stored)) if is_needed && stored.epoch_of(begins_at).is_none() => None,
            Some(Ok(stored)) => Some(stored),
            Some(Err(_)) | None => None,
        };
        if stored.is_none() && is_needed {
            warn!(path = %path.display(), "epochs are not readable, rebuilding them");
        }
        let mut cache = match &stored {
            Some(stored) => stored.clone(),
            None => epochs_of(found, recovered)?,
        };
        cache.truncate_from_start(begins_at);
        // A clean stop keeps the epoch that began at the log end.
        let keep_below = match self.at.clean {
            true => recovered.next_offset + 1,
            false => recovered.scan_start,
        };
        cache.truncate_from_end(keep_below);
        for &(epoch, offset) in &recovered.epochs {
            if epoch >= 0 && Some(epoch) > cache.latest() {
                cache.assign(epoch, offset);
            }
        }
        if stored.as_ref() != Some(&cache) {
            durability.epochs_changed();
        }
        Ok(cache)
    }

    fn report(&mut self, log: &Log) {
        let end = log.log_end_offset;
        let high_watermark = self.at.high_watermark.unwrap_or(log.log_start_offset);
        self.report.lost_below = (high_watermark > end).then_some(high_watermark);
        self.report.high_watermark = high_watermark.clamp(log.log_start_offset, end);
        if let Some(lost_below) = self.report.lost_below {
            warn!(
                log = log.name(),
                end, lost_below, "committed records are lost on this replica"
            );
        }
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        let removed = self.cx.files.remove(path);
        removed.map_err(|e| self.failed("remove", path, e))
    }

    fn failed(&self, action: &'static str, path: &Path, error: io::Error) -> Error {
        self.cx.write_failed(Error::io(action, path, error))
    }
}

fn seal(segment: &Arc<Segment>, kept: &Kept, durability: &mut Durability) -> Sealed {
    let sealed = Sealed {
        segment: segment.clone(),
        size: kept.size,
    };
    segment.seal(kept.size);
    if let Some(walked) = &kept.walked {
        if walked.is_scanned {
            segment.log().mark_dirty();
        }
        durability.sealed(sealed.clone());
    }
    sealed
}

/// Producer snapshots by offset.
pub(super) fn snapshots(names: &BTreeMap<String, u64>) -> impl Iterator<Item = (Offset, &String)> {
    let named = names.keys().filter(|name| name.ends_with(".snapshot"));
    named.filter_map(|name| Some((base_of(name)?, name)))
}

/// The epochs of a log from its batch headers. Epochs never decrease along a log, so a segment
/// that begins with the epoch the next one begins with is not walked.
fn epochs_of(found: &[(Arc<Segment>, u64)], recovered: &Recovered) -> Result<EpochCache, Error> {
    let mut firsts = Vec::new();
    for (kept, (segment, _)) in recovered.kept.iter().zip(found) {
        if let Some((_, header)) = segment.walk(0, kept.size).next_batch()? {
            firsts.push((segment, kept.size, header.partition_leader_epoch));
        }
    }
    let mut cache = EpochCache::default();
    for (index, (segment, size, first)) in firsts.iter().enumerate() {
        let next = firsts.get(index + 1).map(|(_, _, next)| *next);
        let mut walk = segment.walk(0, *size);
        while let Some((_, header)) = walk.next_batch()? {
            let epoch = header.partition_leader_epoch;
            if epoch >= 0 && Some(epoch) > cache.latest() {
                cache.assign(epoch, header.base_offset);
            }
            if next == Some(*first) {
                break;
            }
        }
    }
    Ok(cache)
}
