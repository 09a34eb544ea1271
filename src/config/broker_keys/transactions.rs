//! Idempotent producers and transactions. See [`super`].

use crate::config::key::keys;

keys! { pub(super) const KEYS:
    Honoured Int "producer.id.expiration.ms" = "86400000", AtLeast(1), Dynamic:
        "How long the sequence numbers of an idle idempotent producer are remembered.";
    NotYet Int "transaction.max.timeout.ms" = "900000", AtLeast(1), ReadOnly:
        "The longest transaction timeout a producer may ask for.";
    NotYet Int "transactional.id.expiration.ms" = "604800000", AtLeast(1), ReadOnly:
        "How long an unused transactional id is remembered.";
    NotYet Int "transaction.abort.timed.out.transaction.cleanup.interval.ms"
        = "10000", AtLeast(1), ReadOnly:
        "How often transactions are checked for their timeout.";
    NotYet Int "transaction.remove.expired.transaction.cleanup.interval.ms"
        = "3600000", AtLeast(1), ReadOnly:
        "How often transactional ids are checked for expiry.";
    NotYet Boolean "transaction.partition.verification.enable" = "true", Any, Dynamic:
        "Whether a leader asks the coordinator before it takes a transaction's first write.";
    NotYet Boolean "transaction.two.phase.commit.enable" = "false", Any, ReadOnly:
        "Whether producers may take part in two-phase commit.";
    NoEffect Int "transaction.state.log.load.buffer.size" = "5242880", AtLeast(1), ReadOnly:
        "The read buffer for loading transaction state.";
    NotYet Int "transaction.state.log.min.isr" = "2", AtLeast(1), ReadOnly:
        "How many replicas of the transaction topic must be in sync.";
    NotYet Int "transaction.state.log.num.partitions" = "50", AtLeast(1), ReadOnly:
        "The partitions of the transaction topic.";
    NotYet Short "transaction.state.log.replication.factor" = "3", AtLeast(1), ReadOnly:
        "The replicas of the transaction topic.";
    NotYet Int "transaction.state.log.segment.bytes" = "104857600", AtLeast(1), ReadOnly:
        "The segment size of the transaction topic.";
    NotYet Int "add.partitions.to.txn.retry.backoff.ms" = "20", AtLeast(1), ReadOnly:
        "How long the broker waits before it asks again to add a partition to a transaction.";
    NotYet Int "add.partitions.to.txn.retry.backoff.max.ms" = "100", AtLeast(0), ReadOnly:
        "For how long in all the broker asks again to add a partition to a transaction.";
}
