//! Connections, requests, quotas and metrics. See [`super`].

use crate::config::key::keys;
use crate::config::refusal;

keys! { pub(super) const KEYS:
    Honoured Int "socket.request.max.bytes" = "104857600", AtLeast(1), ReadOnly:
        "The largest request.";
    NoEffect Int "socket.send.buffer.bytes" = "102400", Any, ReadOnly:
        "The send buffer of a connection. The system sizes it.";
    NoEffect Int "socket.receive.buffer.bytes" = "102400", Any, ReadOnly:
        "The receive buffer of a connection. The system sizes it.";
    Honoured Int "socket.listen.backlog.size" = "50", AtLeast(1), ReadOnly:
        "How many connections may wait to be accepted. Unset, at least 4096.";
    Honoured Long "connections.max.idle.ms" = "600000", Any, ReadOnly:
        "After how long an idle connection is closed.";
    NotYet Long "connections.max.reauth.ms" = "0", Any, ReadOnly:
        "After how long a SASL connection must authenticate again; 0 for never.";
    NotYet Int "connection.failed.authentication.delay.ms" = "100", AtLeast(0), ReadOnly:
        "How long a failed authentication waits for its answer.";
    Honoured Int "max.connections" = "2147483647", AtLeast(0), Dynamic:
        "How many connections the broker keeps; more wait to be accepted. `listener.name.L.max.connections` is the limit of one listener.";
    Honoured Int "max.connections.per.ip" = "2147483647", AtLeast(0), Dynamic:
        "How many connections one address may keep.";
    Honoured String "max.connections.per.ip.overrides" = "", Any, Dynamic:
        "Other limits for single addresses, as `host:count`.";
    Honoured Int "max.connection.creation.rate" = "2147483647", AtLeast(0), Dynamic:
        "How many connections the broker accepts per second. `listener.name.L.max.connection.creation.rate` is the rate of one listener.";
    Honoured Int "fetch.max.bytes" = "57671680", AtLeast(1024), ReadOnly:
        "The most bytes one fetch answers.";
    Honoured Int "max.incremental.fetch.session.cache.slots" = "1000", AtLeast(0), ReadOnly:
        "How many fetch sessions are kept.";
    Honoured Int "max.request.partition.size.limit" = "2000", AtLeast(1), ReadOnly:
        "The most partitions one DescribeTopicPartitions answers.";
    NoEffect Int "fetch.purgatory.purge.interval.requests" = "1000", Any, ReadOnly:
        "How many finished fetches gather before they are swept. Nothing gathers here.";
    NoEffect Int "producer.purgatory.purge.interval.requests" = "1000", Any, ReadOnly:
        "How many finished produce requests gather before they are swept. Nothing gathers here.";
    NoEffect Int "delete.records.purgatory.purge.interval.requests" = "1", Any, ReadOnly:
        "How many finished DeleteRecords requests gather before they are swept. Nothing gathers here.";
    NoEffect Int "share.fetch.purgatory.purge.interval.requests" = "1000", Any, ReadOnly:
        "How many finished share fetches gather before they are swept. Nothing gathers here.";
    NoEffect Int "queued.max.requests" = "500", AtLeast(1), ReadOnly:
        "How many requests may wait for a request thread.";
    Honoured Long "queued.max.request.bytes" = "-1", Any, ReadOnly:
        "How many bytes of requests may be in the broker at once; at least `socket.request.max.bytes`. Unset, a share of the memory limit.";
    Honoured Int "quota.window.num" = "11", AtLeast(1), ReadOnly:
        "How many samples the measured rate of new connections remembers.";
    Honoured Int "quota.window.size.seconds" = "1", AtLeast(1), ReadOnly:
        "The length of one sample of the measured rate of new connections.";
    NotYet Int "replication.quota.window.num" = "11", AtLeast(1), ReadOnly:
        "How many samples a replication throttle remembers.";
    NotYet Int "replication.quota.window.size.seconds" = "1", AtLeast(1), ReadOnly:
        "The length of one sample of a replication throttle.";
    NotYet Int "alter.log.dirs.replication.quota.window.num" = "11", AtLeast(1), ReadOnly:
        "How many samples the throttle of moves between directories remembers.";
    NotYet Int "alter.log.dirs.replication.quota.window.size.seconds" = "1", AtLeast(1), ReadOnly:
        "The length of one sample of the throttle of moves between directories.";
    NotYet Int "controller.quota.window.num" = "11", AtLeast(1), ReadOnly:
        "How many samples a controller mutation quota remembers.";
    NotYet Int "controller.quota.window.size.seconds" = "1", AtLeast(1), ReadOnly:
        "The length of one sample of a controller mutation quota.";
    Refused(refusal::PLUGIN) Class "client.quota.callback.class" = null, Any, ReadOnly:
        "A class that decides client quotas.";
    NoEffect List "metric.reporters" = "org.apache.kafka.common.metrics.JmxReporter", Any, Dynamic:
        "Classes that metrics are handed to.";
    NoEffect List "kafka.metrics.reporters" = "", Any, ReadOnly:
        "Classes that the older metrics are handed to.";
    NoEffect Int "kafka.metrics.polling.interval.secs" = "10", AtLeast(1), ReadOnly:
        "How often the classes of `kafka.metrics.reporters` are called.";
    NoEffect Int "metrics.num.samples" = "2", AtLeast(1), ReadOnly:
        "How many samples a metric is computed from.";
    NoEffect Long "metrics.sample.window.ms" = "30000", AtLeast(1), ReadOnly:
        "The length of one sample of a metric.";
    NoEffect String "metrics.recording.level" = "INFO", Any, ReadOnly:
        "Which metrics are recorded.";
    NotYet Int "telemetry.max.bytes" = "1048576", AtLeast(1), ReadOnly:
        "The largest telemetry push of a client.";
}
