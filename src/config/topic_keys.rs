//! The 33 topic keys, their checks with Kafka's sentences (R177), and the checks across keys
//! (LogConfig.validate). An error is the message of INVALID_CONFIG (40).

use std::collections::BTreeMap;

use crate::config::TopicDefaults;
use crate::config::key::{Key, Minima, keys};

keys! { pub const KEYS:
    Honoured List "cleanup.policy" = "delete", OneOf(&["compact", "delete"]), Dynamic, ["log.cleanup.policy"]:
        "What happens to old records: `delete`, `compact`, or both.";
    Honoured Int "compression.gzip.level" = "-1", GzipLevel, Dynamic, ["compression.gzip.level"]:
        "The level of gzip where the broker compresses; -1 for its own default.";
    Honoured Int "compression.lz4.level" = "9", Between(1, 17), Dynamic, ["compression.lz4.level"]:
        "The level of lz4 where the broker compresses.";
    Honoured String "compression.type"
        = "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Dynamic, ["compression.type"]:
        "The codec batches are stored in; `producer` keeps what the producer chose.";
    Honoured Int "compression.zstd.level" = "3", Between(-131072, 22), Dynamic, ["compression.zstd.level"]:
        "The level of zstd where the broker compresses.";
    Honoured Long "delete.retention.ms" = "86400000", AtLeast(0), Dynamic, ["log.cleaner.delete.retention.ms"]:
        "How long a compacted partition keeps tombstones.";
    Honoured Long "file.delete.delay.ms" = "60000", AtLeast(0), Dynamic, ["log.segment.delete.delay.ms"]:
        "How long a deleted file stays on disk under another name.";
    Honoured Long "flush.messages" = "9223372036854775807", AtLeast(1), Dynamic, ["log.flush.interval.messages"]:
        "After how many records a partition is synced to disk; an append that reaches the number waits.";
    Honoured Long "flush.ms"
        = "9223372036854775807", AtLeast(0), Dynamic, ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"]:
        "How long a record may stay unsynced.";
    NotYet List "follower.replication.throttled.replicas" = "", ThrottledReplicas, Dynamic:
        "The replicas whose followers are throttled, as `partition:broker`, or `*` for all.";
    Honoured Int "index.interval.bytes" = "4096", AtLeast(0), Dynamic, ["log.index.interval.bytes"]:
        "How many bytes of records lie between two entries of the offset index.";
    NotYet List "leader.replication.throttled.replicas" = "", ThrottledReplicas, Dynamic:
        "The replicas whose leaders are throttled, as `partition:broker`, or `*` for all.";
    NotYet Long "local.retention.bytes" = "-2", AtLeast(-2), Dynamic, ["log.local.retention.bytes"]:
        "The bytes a tiered partition keeps locally; -2 follows `retention.bytes`.";
    NotYet Long "local.retention.ms" = "-2", AtLeast(-2), Dynamic, ["log.local.retention.ms"]:
        "How long a tiered partition keeps records locally; -2 follows `retention.ms`.";
    Honoured Long "max.compaction.lag.ms" = "9223372036854775807", AtLeast(1), Dynamic, ["log.cleaner.max.compaction.lag.ms"]:
        "How long a record may stay uncompacted.";
    Honoured Int "max.message.bytes" = "1048588", AtLeast(0), Dynamic, ["message.max.bytes"]:
        "The largest record batch the topic takes.";
    Honoured Long "message.timestamp.after.max.ms" = "3600000", AtLeast(0), Dynamic, ["log.message.timestamp.after.max.ms"]:
        "How far a record's timestamp may lie ahead of the broker's clock.";
    Honoured Long "message.timestamp.before.max.ms"
        = "9223372036854775807", AtLeast(0), Dynamic, ["log.message.timestamp.before.max.ms"]:
        "How far a record's timestamp may lie behind the broker's clock.";
    Honoured String "message.timestamp.type"
        = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Dynamic, ["log.message.timestamp.type"]:
        "Whether a record carries its producer's time or the time of its append.";
    Honoured Double "min.cleanable.dirty.ratio" = "0.5", Between(0, 1), Dynamic, ["log.cleaner.min.cleanable.ratio"]:
        "Which part of a log must be unclean before the cleaner takes it.";
    Honoured Long "min.compaction.lag.ms" = "0", AtLeast(0), Dynamic, ["log.cleaner.min.compaction.lag.ms"]:
        "How long a record stays uncompacted at least.";
    Honoured Int "min.insync.replicas" = "1", AtLeast(1), Dynamic, ["min.insync.replicas"]:
        "How many replicas must be in sync for a write with acks=all.";
    Honoured Boolean "preallocate" = "false", Any, Dynamic, ["log.preallocate"]:
        "Whether a new segment file is created at its full size.";
    NotYet Boolean "remote.log.copy.disable" = "false", Any, Dynamic:
        "Whether a tiered topic stops moving segments to remote storage.";
    NotYet Boolean "remote.log.delete.on.disable" = "false", Any, Dynamic:
        "Whether remote segments are deleted when tiering is switched off.";
    NotYet Boolean "remote.storage.enable" = "false", Any, Dynamic:
        "Whether old segments move to remote storage.";
    Honoured Long "retention.bytes" = "-1", Any, Dynamic, ["log.retention.bytes"]:
        "How many bytes each partition keeps; -1 for no limit.";
    Honoured Long "retention.ms"
        = "604800000", AtLeast(-1), Dynamic, ["log.retention.ms", "log.retention.minutes", "log.retention.hours"]:
        "How long records are kept; -1 for ever.";
    Honoured Int "segment.bytes" = "1073741824", SegmentBytes, Dynamic, ["log.segment.bytes"]:
        "The size at which a partition starts a new segment file.";
    Honoured Int "segment.index.bytes" = "10485760", AtLeast(4), Dynamic, ["log.index.size.max.bytes"]:
        "The largest offset index; a full one starts a new segment.";
    Honoured Long "segment.jitter.ms" = "0", AtLeast(0), Dynamic, ["log.roll.jitter.ms", "log.roll.jitter.hours"]:
        "By how much `segment.ms` is shortened at random, so that segments do not all roll together.";
    Honoured Long "segment.ms" = "604800000", AtLeast(1), Dynamic, ["log.roll.ms", "log.roll.hours"]:
        "The age at which a partition starts a new segment file.";
    NotYet Boolean "unclean.leader.election.enable" = "false", Any, Dynamic, ["unclean.leader.election.enable"]:
        "Whether a replica that may lack records can become leader.";
}

// R56: accepted and not listed. Kafka's own tests make small segments with it.
keys! { pub const INTERNAL:
    Honoured Int "internal.segment.bytes" = null, AtLeast(14), Dynamic:
        "The size of a segment file, below the minimum of `segment.bytes`.";
}

/// Keys that Kafka 4.0 removed and old tools still send: accepted, without effect, never listed.
const REMOVED: [&str; 3] = [
    "message.downconversion.enable",
    "message.format.version",
    "message.timestamp.difference.max.ms",
];

/// The entry of a topic key.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().chain(INTERNAL).find(|key| key.name == name)
}

/// Whether the key is one that Kafka 4.0 removed: it passes [`validate`] and is not to be stored.
pub fn is_removed(name: &str) -> bool {
    REMOVED.contains(&name)
}

/// The canonical text of one value (R246), or Kafka's sentence about the key or the value.
pub fn validate(key: &str, value: &str) -> Result<String, String> {
    validate_with(key, value, Minima::Strict)
}

/// [`validate`] under the minima of the running profile (`Config::topics.minima`).
pub fn validate_with(key: &str, value: &str, minima: Minima) -> Result<String, String> {
    if is_removed(key) {
        return Ok(value.to_owned());
    }
    let Some(entry) = find(key) else {
        return Err(format!("Unknown topic config name: {key}"));
    };
    let canonical = entry.canonical(value, minima)?;
    if key == "remote.storage.enable" && canonical == "true" {
        return Err("Tiered Storage functionality is disabled in the broker. \
             Topic cannot be configured with remote log storage."
            .to_owned());
    }
    Ok(canonical)
}

/// All overrides of one topic: each key and value, then the checks across keys, for which an
/// absent key counts with the broker's default. Returns what to store: canonical values, without
/// the removed keys.
pub fn validate_all(
    overrides: &BTreeMap<String, String>,
    defaults: &TopicDefaults,
    minima: Minima,
) -> Result<BTreeMap<String, String>, String> {
    // Kafka looks at all names before it looks at any value.
    if let Some(unknown) = overrides
        .keys()
        .find(|key| find(key).is_none() && !is_removed(key))
    {
        return Err(format!("Unknown topic config name: {unknown}"));
    }
    let mut canonical = BTreeMap::new();
    for (key, value) in overrides {
        if !is_removed(key) {
            canonical.insert(key.clone(), validate_with(key, value, minima)?);
        }
    }
    let lag = |key: &str| {
        let value = canonical.get(key).map(String::as_str);
        value
            .or_else(|| defaults.value(key))
            .and_then(|value| value.parse::<i64>().ok())
    };
    let (min, max) = (lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"));
    match (min, max) {
        (Some(min), Some(max)) if min > max => Err(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > \
             max.compaction.lag.ms ({max})"
        )),
        _ => Ok(canonical),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const VALUES: &[(&str, &str)] = &[
        ("nope", "1"),
        ("retention.ms", "abc"),
        ("retention.ms", "-2"),
        ("retention.ms", " 5 "),
        ("retention.ms", "+5"),
        ("retention.ms", "5.0"),
        ("retention.ms", "9223372036854775808"),
        ("retention.ms", ""),
        ("retention.bytes", "-5"),
        ("cleanup.policy", "foo,compact"),
        ("cleanup.policy", ""),
        ("cleanup.policy", "compact,"),
        ("cleanup.policy", "compact , delete"),
        ("cleanup.policy", "Compact"),
        ("compression.type", "none"),
        ("compression.type", " gzip "),
        ("compression.gzip.level", "0"),
        ("compression.gzip.level", "x"),
        ("compression.lz4.level", "18"),
        ("segment.bytes", "1048575"),
        ("segment.bytes", "2147483648"),
        ("preallocate", "yes"),
        ("preallocate", "TRUE"),
        ("min.cleanable.dirty.ratio", "1.1"),
        ("min.cleanable.dirty.ratio", "-0.1"),
        ("min.cleanable.dirty.ratio", ".5"),
        ("min.cleanable.dirty.ratio", "0.0001"),
        ("min.cleanable.dirty.ratio", "1"),
        ("min.cleanable.dirty.ratio", "0.1f"),
        ("leader.replication.throttled.replicas", "*"),
        ("leader.replication.throttled.replicas", "1:2, 3:4"),
        ("leader.replication.throttled.replicas", "x"),
        ("leader.replication.throttled.replicas", "1:2,"),
        ("message.timestamp.type", "createtime"),
        ("message.format.version", "2.8"),
        ("remote.storage.enable", "true"),
    ];

    /// Compared with what `LogConfig.validate` of Kafka 4.1.2 said to the same values.
    #[test]
    fn r177_values_are_judged_in_kafkas_words() {
        let got: String = VALUES
            .iter()
            .map(|(key, value)| match validate(key, value) {
                Ok(canonical) => format!("{key}={value} -> {canonical}\n"),
                Err(text) => format!("{text}\n"),
            })
            .collect();
        expect![[r#"
            Unknown topic config name: nope
            Invalid value abc for configuration retention.ms: Not a number of type LONG
            Invalid value -2 for configuration retention.ms: Value must be at least -1
            retention.ms= 5  -> 5
            retention.ms=+5 -> 5
            Invalid value 5.0 for configuration retention.ms: Not a number of type LONG
            Invalid value 9223372036854775808 for configuration retention.ms: Not a number of type LONG
            Invalid value  for configuration retention.ms: Not a number of type LONG
            retention.bytes=-5 -> -5
            Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete
            cleanup.policy= -> 
            Invalid value  for configuration cleanup.policy: String must be one of: compact, delete
            cleanup.policy=compact , delete -> compact,delete
            Invalid value Compact for configuration cleanup.policy: String must be one of: compact, delete
            Invalid value none for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer
            compression.type= gzip  -> gzip
            Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1
            Invalid value x for configuration compression.gzip.level: Not a number of type INT
            Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17
            Invalid value 1048575 for configuration segment.bytes: Value must be at least 1048576
            Invalid value 2147483648 for configuration segment.bytes: Not a number of type INT
            Invalid value yes for configuration preallocate: Expected value to be either true or false
            preallocate=TRUE -> true
            Invalid value 1.1 for configuration min.cleanable.dirty.ratio: Value must be no more than 1
            Invalid value -0.1 for configuration min.cleanable.dirty.ratio: Value must be at least 0
            min.cleanable.dirty.ratio=.5 -> 0.5
            min.cleanable.dirty.ratio=0.0001 -> 1.0E-4
            min.cleanable.dirty.ratio=1 -> 1.0
            min.cleanable.dirty.ratio=0.1f -> 0.1
            leader.replication.throttled.replicas=* -> *
            leader.replication.throttled.replicas=1:2, 3:4 -> 1:2,3:4
            Invalid value [x] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...
            leader.replication.throttled.replicas=1:2, -> 1:2,
            Invalid value createtime for configuration message.timestamp.type: String must be one of: CreateTime, LogAppendTime
            message.format.version=2.8 -> 2.8
            Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.
        "#]].assert_eq(&got);
    }

    #[test]
    fn r177_the_compaction_lags_are_compared_with_each_other_and_with_the_defaults() {
        let defaults = TopicDefaults::builtin();
        let overrides = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let conflict = overrides(&[
            ("min.compaction.lag.ms", "10"),
            ("max.compaction.lag.ms", "5"),
        ]);
        assert_eq!(
            validate_all(&conflict, &defaults, Minima::Strict),
            Err(
                "conflict topic config setting min.compaction.lag.ms (10) > \
                 max.compaction.lag.ms (5)"
                    .to_owned()
            )
        );
        let alone = overrides(&[("min.compaction.lag.ms", "10"), ("retention.ms", "+7")]);
        assert_eq!(
            validate_all(&alone, &defaults, Minima::Strict),
            Ok(overrides(&[
                ("min.compaction.lag.ms", "10"),
                ("retention.ms", "7")
            ]))
        );
    }

    #[test]
    fn removed_keys_are_accepted_and_not_kept() {
        let overrides = BTreeMap::from([("message.format.version".to_owned(), "2.8".to_owned())]);
        let kept = validate_all(&overrides, &TopicDefaults::builtin(), Minima::Strict);
        assert_eq!(kept, Ok(BTreeMap::new()));
    }

    #[test]
    fn small_segments_need_the_development_profile() {
        assert!(validate("segment.bytes", "1024").is_err());
        let relaxed = validate_with("segment.bytes", "1024", Minima::Relaxed);
        assert_eq!(relaxed, Ok("1024".to_owned()));
    }
}
