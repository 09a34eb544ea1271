//! Topics, partition logs and the records in them. See [`super`].

use crate::config::key::keys;
use crate::config::refusal;

keys! { pub(super) const KEYS:
    Honoured String "log.dir" = "/tmp/kafka-logs", Any, ReadOnly:
        "The one log directory, where `log.dirs` is unset.";
    Honoured String "log.dirs" = null, Any, ReadOnly:
        "The directories that hold partitions, comma separated.";
    NotYet Long "log.dir.failure.timeout.ms" = "30000", AtLeast(1), ReadOnly:
        "How long a broker with a failed log directory tries to tell the controller before it stops.";
    Honoured Int "log.segment.bytes" = "1073741824", SegmentBytes, Dynamic:
        "The size at which a partition starts a new segment file.";
    Honoured Long "log.roll.ms" = null, Any, Dynamic:
        "The age at which a partition starts a new segment file. Unset, `log.roll.hours` decides.";
    Honoured Int "log.roll.hours" = "168", AtLeast(1), ReadOnly:
        "`log.roll.ms` in hours.";
    Honoured Long "log.roll.jitter.ms" = null, Any, Dynamic:
        "By how much the age of `log.roll.ms` is shortened at random, so that segments do not all roll together.";
    Honoured Int "log.roll.jitter.hours" = "0", AtLeast(0), ReadOnly:
        "`log.roll.jitter.ms` in hours.";
    Honoured Long "log.retention.ms" = null, Any, Dynamic:
        "How long records are kept; -1 for ever. Unset, `log.retention.minutes` decides, then `log.retention.hours`.";
    Honoured Int "log.retention.minutes" = null, Any, ReadOnly:
        "`log.retention.ms` in minutes.";
    Honoured Int "log.retention.hours" = "168", Any, ReadOnly:
        "`log.retention.ms` in hours.";
    Honoured Long "log.retention.bytes" = "-1", Any, Dynamic:
        "How many bytes each partition keeps; -1 for no limit.";
    Honoured Long "log.retention.check.interval.ms" = "300000", AtLeast(1), ReadOnly:
        "How often segments are checked for deletion.";
    Honoured List "log.cleanup.policy" = "delete", OneOf(&["compact", "delete"]), Dynamic:
        "What happens to old records: `delete`, `compact`, or both.";
    Honoured Long "log.segment.delete.delay.ms" = "60000", AtLeast(0), Dynamic:
        "How long a deleted file stays on disk under another name.";
    Honoured Long "log.flush.interval.messages" = "9223372036854775807", AtLeast(1), Dynamic:
        "After how many records a partition is synced to disk; an append that reaches the number waits.";
    Honoured Long "log.flush.interval.ms" = null, Any, Dynamic:
        "How long a record may stay unsynced. Unset, `log.flush.scheduler.interval.ms` decides.";
    Honoured Long "log.flush.scheduler.interval.ms" = "9223372036854775807", Any, ReadOnly:
        "Where `log.flush.interval.ms` is unset: how long a record may stay unsynced.";
    Honoured Int "log.flush.offset.checkpoint.interval.ms" = "60000", AtLeast(0), ReadOnly:
        "How often recovery points are written, and all other checkpoints with them.";
    Honoured Int "log.flush.start.offset.checkpoint.interval.ms" = "60000", AtLeast(0), ReadOnly:
        "How often log start offsets are written, and all other checkpoints with them.";
    Honoured Int "log.index.interval.bytes" = "4096", AtLeast(0), Dynamic:
        "How many bytes of records lie between two entries of the offset index.";
    Honoured Int "log.index.size.max.bytes" = "10485760", AtLeast(4), Dynamic:
        "The largest offset index; a full one starts a new segment.";
    Honoured Boolean "log.preallocate" = "false", Any, Dynamic:
        "Whether a new segment file is created at its full size.";
    Honoured String "log.message.timestamp.type"
        = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Dynamic:
        "Whether a record carries its producer's time or the time of its append.";
    Honoured Long "log.message.timestamp.before.max.ms"
        = "9223372036854775807", AtLeast(0), Dynamic:
        "How far a record's timestamp may lie behind the broker's clock.";
    Honoured Long "log.message.timestamp.after.max.ms" = "3600000", AtLeast(0), Dynamic:
        "How far a record's timestamp may lie ahead of the broker's clock.";
    Honoured Boolean "log.cleaner.enable" = "true", Any, ReadOnly:
        "Whether the cleaner runs.";
    Honoured Int "log.cleaner.threads" = "1", AtLeast(0), Dynamic:
        "Threads of the cleaner.";
    Honoured Long "log.cleaner.backoff.ms" = "15000", AtLeast(0), Dynamic:
        "How long an idle cleaner sleeps.";
    Honoured Long "log.cleaner.dedupe.buffer.size" = "134217728", Any, Dynamic:
        "Memory for the cleaner's map of keys, over all its threads; 56 MiB for each are used at most.";
    Honoured Int "log.cleaner.io.buffer.size" = "524288", AtLeast(0), Dynamic:
        "Memory for the cleaner's reads and writes, over all its threads; 2 MiB for each are used at most.";
    Honoured Double "log.cleaner.io.buffer.load.factor" = "0.9", Any, Dynamic:
        "How full the cleaner's map of keys may become.";
    Honoured Double "log.cleaner.io.max.bytes.per.second" = "1.7976931348623157E308", Any, Dynamic:
        "The most the cleaner reads and writes per second.";
    Honoured Double "log.cleaner.min.cleanable.ratio" = "0.5", Between(0, 1), Dynamic:
        "Which part of a log must be unclean before the cleaner takes it.";
    Honoured Long "log.cleaner.delete.retention.ms" = "86400000", AtLeast(0), Dynamic:
        "How long a compacted partition keeps tombstones.";
    Honoured Long "log.cleaner.min.compaction.lag.ms" = "0", AtLeast(0), Dynamic:
        "How long a record stays uncompacted at least.";
    Honoured Long "log.cleaner.max.compaction.lag.ms" = "9223372036854775807", AtLeast(1), Dynamic:
        "How long a record may stay uncompacted.";
    Honoured Boolean "auto.create.topics.enable" = "true", Any, ReadOnly:
        "Whether asking for a missing topic creates it.";
    Honoured Boolean "delete.topic.enable" = "true", Any, ReadOnly:
        "Whether topics can be deleted.";
    Honoured Int "num.partitions" = "1", AtLeast(1), ReadOnly:
        "The partitions of a topic created without a number.";
    Honoured Int "default.replication.factor" = "1", Any, ReadOnly:
        "The replicas of a topic created without a number.";
    Honoured Int "min.insync.replicas" = "1", AtLeast(1), Dynamic:
        "How many replicas must be in sync for a write with acks=all.";
    Honoured Int "message.max.bytes" = "1048588", AtLeast(0), Dynamic:
        "The largest record batch a topic takes.";
    Honoured String "compression.type"
        = "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Dynamic:
        "The codec batches are stored in; `producer` keeps what the producer chose.";
    Honoured Int "compression.gzip.level" = "-1", GzipLevel, Dynamic:
        "The level of gzip where the broker compresses; -1 for its own default.";
    Honoured Int "compression.lz4.level" = "9", Between(1, 17), Dynamic:
        "The level of lz4 where the broker compresses.";
    Honoured Int "compression.zstd.level" = "3", Between(-131072, 22), Dynamic:
        "The level of zstd where the broker compresses.";
    Refused(refusal::PLUGIN) Class "create.topic.policy.class.name" = null, Any, ReadOnly:
        "A class that judges new topics.";
    Refused(refusal::PLUGIN) Class "alter.config.policy.class.name" = null, Any, ReadOnly:
        "A class that judges config changes.";
}
