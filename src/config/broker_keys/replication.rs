//! Followers, leaders and what they exchange. See [`super`].

use crate::config::key::keys;
use crate::config::refusal;

keys! { pub(super) const KEYS:
    NotYet Long "replica.lag.time.max.ms" = "30000", Any, ReadOnly:
        "How long a follower may lag before it leaves the in-sync set.";
    NotYet Int "replica.fetch.max.bytes" = "1048576", AtLeast(0), ReadOnly:
        "The bytes a follower asks for per partition.";
    NotYet Int "replica.fetch.min.bytes" = "1", Any, ReadOnly:
        "The bytes a leader waits for before it answers a follower.";
    NotYet Int "replica.fetch.wait.max.ms" = "500", Any, ReadOnly:
        "How long a leader waits for `replica.fetch.min.bytes`.";
    NotYet Int "replica.fetch.response.max.bytes" = "10485760", AtLeast(0), ReadOnly:
        "The bytes a follower asks for in one fetch.";
    NotYet Int "replica.fetch.backoff.ms" = "1000", AtLeast(0), ReadOnly:
        "How long a follower rests after a failed fetch.";
    Honoured Long "replica.high.watermark.checkpoint.interval.ms" = "5000", Any, ReadOnly:
        "How often high watermarks are written, and all other checkpoints with them.";
    NoEffect Int "replica.socket.receive.buffer.bytes" = "65536", Any, ReadOnly:
        "The receive buffer of a follower's connection.";
    NotYet Int "replica.socket.timeout.ms" = "30000", Any, ReadOnly:
        "How long a follower waits on its connection.";
    Refused(refusal::SELECTOR) String "replica.selector.class" = null, Any, ReadOnly:
        "A class that picks the replica a consumer reads from.";
    NotYet Int "num.replica.fetchers" = "1", Any, Dynamic:
        "How many connections a follower uses to each leader.";
    NotYet Boolean "unclean.leader.election.enable" = "false", Any, Dynamic:
        "Whether a replica that may lack records can become leader.";
    NoEffect Boolean "auto.leader.rebalance.enable" = "true", Any, ReadOnly:
        "Whether leadership returns to preferred replicas. One node has nothing to return.";
    NoEffect Long "leader.imbalance.check.interval.seconds" = "300", AtLeast(1), ReadOnly:
        "How often leaders are compared with preferred replicas.";
}
