//! Tiered storage. See [`super`].

use crate::config::key::keys;
use crate::config::refusal;

keys! { pub(super) const KEYS:
    Refused(refusal::TIERED) Boolean "remote.log.storage.system.enable" = "false", Any, ReadOnly:
        "Whether old segments move to remote storage.";
    NotYet Long "log.local.retention.bytes" = "-2", AtLeast(-2), Dynamic:
        "The bytes a tiered partition keeps locally; -2 follows `log.retention.bytes`.";
    NotYet Long "log.local.retention.ms" = "-2", AtLeast(-2), Dynamic:
        "How long a tiered partition keeps records locally; -2 follows `log.retention.ms`.";
    NotYet Int "remote.fetch.max.wait.ms" = "500", AtLeast(1), Dynamic:
        "How long a fetch waits for remote storage.";
    NotYet Long "remote.list.offsets.request.timeout.ms" = "30000", AtLeast(1), Dynamic:
        "How long ListOffsets waits for remote storage.";
    NotYet Long "remote.log.index.file.cache.total.size.bytes" = "1073741824", AtLeast(1), Dynamic:
        "The disk space for indexes of remote segments.";
    NotYet Int "remote.log.manager.copier.thread.pool.size" = "10", AtLeast(1), Dynamic:
        "Threads that copy segments to remote storage.";
    NotYet Long "remote.log.manager.copy.max.bytes.per.second"
        = "9223372036854775807", AtLeast(1), Dynamic:
        "How fast segments are copied to remote storage.";
    NotYet Int "remote.log.manager.copy.quota.window.num" = "11", AtLeast(1), ReadOnly:
        "How many samples the throttle of copies to remote storage remembers.";
    NotYet Int "remote.log.manager.copy.quota.window.size.seconds" = "1", AtLeast(1), ReadOnly:
        "The length of one sample of the throttle of copies to remote storage.";
    NotYet Int "remote.log.manager.expiration.thread.pool.size" = "10", AtLeast(1), Dynamic:
        "Threads that delete remote segments.";
    NotYet Long "remote.log.manager.fetch.max.bytes.per.second"
        = "9223372036854775807", AtLeast(1), Dynamic:
        "How fast segments are read from remote storage.";
    NotYet Int "remote.log.manager.fetch.quota.window.num" = "11", AtLeast(1), ReadOnly:
        "How many samples the throttle of reads from remote storage remembers.";
    NotYet Int "remote.log.manager.fetch.quota.window.size.seconds" = "1", AtLeast(1), ReadOnly:
        "The length of one sample of the throttle of reads from remote storage.";
    NotYet Long "remote.log.manager.task.interval.ms" = "30000", AtLeast(1), ReadOnly:
        "How often remote storage is attended to.";
    NotYet Int "remote.log.manager.thread.pool.size" = "2", AtLeast(1), ReadOnly:
        "Threads that attend to remote storage.";
    NotYet Int "remote.log.metadata.custom.metadata.max.bytes" = "128", AtLeast(0), ReadOnly:
        "The most a storage plugin may keep with a segment.";
    NotYet String "remote.log.metadata.manager.class.name"
        = "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", NonEmpty, ReadOnly:
        "The class that keeps the catalogue of remote segments.";
    NotYet String "remote.log.metadata.manager.class.path" = null, Any, ReadOnly:
        "Where the class that keeps the catalogue of remote segments is found.";
    NotYet String "remote.log.metadata.manager.impl.prefix" = "rlmm.config.", NonEmpty, ReadOnly:
        "The prefix of settings for the class that keeps the catalogue of remote segments.";
    NotYet String "remote.log.metadata.manager.listener.name" = null, NonEmpty, ReadOnly:
        "The listener that the catalogue of remote segments is reached by.";
    NotYet Int "remote.log.reader.max.pending.tasks" = "100", AtLeast(1), ReadOnly:
        "How many reads of remote storage may wait.";
    NotYet Int "remote.log.reader.threads" = "10", AtLeast(1), Dynamic:
        "Threads that read remote storage.";
    NotYet String "remote.log.storage.manager.class.name" = null, NonEmpty, ReadOnly:
        "The class that stores remote segments.";
    NotYet String "remote.log.storage.manager.class.path" = null, Any, ReadOnly:
        "Where the class that stores remote segments is found.";
    NotYet String "remote.log.storage.manager.impl.prefix" = "rsm.config.", NonEmpty, ReadOnly:
        "The prefix of settings for the class that stores remote segments.";
}
