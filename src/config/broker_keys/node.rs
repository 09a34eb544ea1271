//! Who this node is, where it listens, and its part in the controller quorum. See [`super`].

use crate::config::key::keys;

keys! { pub(super) const KEYS:
    Honoured List "process.roles" = null, OneOf(&["broker", "controller"]), ReadOnly:
        "The roles of this process. One node is both, `broker,controller`.";
    Honoured Int "node.id" = null, AtLeast(0), ReadOnly:
        "The id of this node in its cluster.";
    Honoured Int "broker.id" = "-1", Any, ReadOnly:
        "The older name of `node.id`.";
    Honoured String "broker.rack" = null, Any, ReadOnly:
        "The rack of this broker, sent to clients so that they can prefer near replicas.";
    Honoured String "listeners" = "PLAINTEXT://:9092", Any, ReadOnly:
        "Where this broker accepts connections: `NAME://host:port`, comma separated. An empty host means every IPv4 and IPv6 address.";
    Honoured String "advertised.listeners" = null, Any, Dynamic:
        "The addresses clients are told to connect to. Unset, they follow from `listeners`.";
    Honoured String "listener.security.protocol.map"
        = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Any, ReadOnly:
        "Which security protocol each listener name speaks.";
    Honoured String "inter.broker.listener.name" = null, Any, ReadOnly:
        "The listener other brokers connect to. Unset, the one named as `security.inter.broker.protocol`.";
    Honoured String "security.inter.broker.protocol"
        = "PLAINTEXT", OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly:
        "The protocol between brokers when `inter.broker.listener.name` is unset.";
    Honoured String "controller.listener.names" = null, Any, ReadOnly:
        "The listeners that belong to the controller, which a sole voter needs no socket for.";
    NoEffect String "early.start.listeners" = null, Any, ReadOnly:
        "Listeners that open before the broker is ready.";
    Honoured List "controller.quorum.voters" = "", Any, ReadOnly:
        "The members of the controller quorum as `id@host:port`.";
    Honoured List "controller.quorum.bootstrap.servers" = "", Any, ReadOnly:
        "Where to look for the controller quorum.";
    NotYet Int "controller.quorum.append.linger.ms" = "25", AtLeast(0), ReadOnly:
        "How long the quorum leader waits for more records before it writes.";
    NotYet Int "controller.quorum.election.backoff.max.ms" = "1000", AtLeast(0), ReadOnly:
        "The longest pause between two elections of the quorum.";
    NotYet Int "controller.quorum.election.timeout.ms" = "1000", AtLeast(0), ReadOnly:
        "How long a candidate waits for votes before it stands again.";
    NotYet Int "controller.quorum.fetch.timeout.ms" = "2000", AtLeast(0), ReadOnly:
        "How long a quorum member may hear nothing from the leader before it stands for election.";
    NotYet Int "controller.quorum.request.timeout.ms" = "2000", AtLeast(0), ReadOnly:
        "How long a quorum member waits for an answer of another.";
    NotYet Int "controller.quorum.retry.backoff.ms" = "20", AtLeast(0), ReadOnly:
        "The pause before a failed quorum request is sent again.";
    NotYet Int "controller.socket.timeout.ms" = "30000", Any, ReadOnly:
        "How long a controller waits on a connection to a broker.";
    NotYet Boolean "controlled.shutdown.enable" = "true", Any, ReadOnly:
        "Whether a stopping broker first moves its leaders away.";
    NotYet Int "broker.heartbeat.interval.ms" = "2000", Any, ReadOnly:
        "How often a broker reports to the controller.";
    NotYet Int "broker.session.timeout.ms" = "9000", Any, ReadOnly:
        "After how long without a heartbeat the controller fences a broker.";
    NotYet Int "initial.broker.registration.timeout.ms" = "60000", Any, ReadOnly:
        "How long a starting broker tries to register with the controller.";
    Honoured String "metadata.log.dir" = null, Any, ReadOnly:
        "Where the metadata log lives. Unset, the first of `log.dirs`.";
    NotYet Int "metadata.log.segment.bytes" = "1073741824", AtLeast(8388608), ReadOnly:
        "The size at which the metadata log starts a new segment.";
    NotYet Long "metadata.log.segment.ms" = "604800000", Any, ReadOnly:
        "The age at which the metadata log starts a new segment.";
    NotYet Long "metadata.log.max.record.bytes.between.snapshots"
        = "20971520", AtLeast(1), ReadOnly:
        "How many bytes of metadata records may gather before a snapshot is written.";
    NotYet Long "metadata.log.max.snapshot.interval.ms" = "3600000", AtLeast(0), ReadOnly:
        "How old unsnapshotted metadata records may become.";
    NotYet Int "metadata.max.idle.interval.ms" = "500", AtLeast(0), ReadOnly:
        "How often an idle controller writes an empty record.";
    NotYet Long "metadata.max.retention.bytes" = "104857600", Any, ReadOnly:
        "How many bytes of metadata log and snapshots are kept.";
    NotYet Long "metadata.max.retention.ms" = "604800000", Any, ReadOnly:
        "How long metadata log and snapshots are kept.";
    NoEffect Int "background.threads" = "10", AtLeast(1), Dynamic:
        "Threads for background work. Work is scheduled on shared threads here.";
    NoEffect Int "num.io.threads" = "8", AtLeast(1), Dynamic:
        "Threads that handle requests. Requests run on shared threads here.";
    NoEffect Int "num.network.threads" = "3", AtLeast(1), Dynamic:
        "Threads that read and write sockets. Sockets are served by shared threads here.";
    NoEffect Int "num.recovery.threads.per.data.dir" = "2", AtLeast(1), Dynamic:
        "Threads per log directory for recovery at start and flushing at stop.";
    NoEffect Int "num.replica.alter.log.dirs.threads" = null, Any, ReadOnly:
        "Threads that move replicas between log directories.";
    NotYet Int "request.timeout.ms" = "30000", Any, ReadOnly:
        "How long a broker waits for the answer to a request of its own.";
    NotYet Long "socket.connection.setup.timeout.ms" = "10000", Any, ReadOnly:
        "How long a broker waits for a connection of its own to open.";
    NotYet Long "socket.connection.setup.timeout.max.ms" = "30000", Any, ReadOnly:
        "The longest a broker waits for a connection of its own after repeated failures.";
}
