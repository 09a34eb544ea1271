//! What is called, in order: later calls see what earlier ones did. `@` is the broker's address,
//! `%` the directory of its data, `~` a blank inside an argument; a word that begins with `{` is
//! the content of a file, and so is what follows a `!`. No call waits for a timeout of its client: clients ask for a minute
//! where a partition or a coordinator is unknown.

const SCRIPTS: [&str; 12] = [
    TOPICS,
    CONFIGS,
    RECORDS,
    OFFSETS,
    LOG_DIRS,
    FILES,
    CLUSTER,
    OPERATIONS,
    GROUPS,
    RESETS,
    COORDINATORS,
    CLEANUP,
];

const CLEANUP: &str = "
    topics --bootstrap-server @ --delete --topic .*
    topics --bootstrap-server @ --list --exclude-internal
";

pub fn calls() -> impl Iterator<Item = &'static str> {
    let lines = SCRIPTS.iter().flat_map(|script| script.lines());
    lines.map(str::trim).filter(|line| !line.is_empty())
}

const TOPICS: &str = "
    topics --bootstrap-server @ --list
    topics --bootstrap-server @ --create --topic one
    topics --bootstrap-server @ --create --topic two --partitions 2 --replication-factor 1 --config retention.ms=3600000 --config cleanup.policy=delete
    topics --bootstrap-server @ --create --topic placed --replica-assignment 1,1,1
    topics --bootstrap-server @ --create --topic dotted.name
    topics --bootstrap-server @ --create --topic under_score
    topics --bootstrap-server @ --create --topic one
    topics --bootstrap-server @ --create --topic one --if-not-exists
    topics --bootstrap-server @ --create --topic zero --partitions 0
    topics --bootstrap-server @ --create --topic three --replication-factor 3
    topics --bootstrap-server @ --create --topic elsewhere --replica-assignment 9
    topics --bootstrap-server @ --create --topic twice --replica-assignment 1:1
    topics --bootstrap-server @ --create --topic bad~name
    topics --bootstrap-server @ --create --topic dotted_name
    topics --bootstrap-server @ --create --topic __cluster_metadata
    topics --bootstrap-server @ --create --topic strange --config no.such.key=1
    topics --bootstrap-server @ --create --topic strange --config retention.ms=soon
    topics --bootstrap-server @ --create --topic strange --config cleanup.policy=burn
    topics --bootstrap-server @ --list
    topics --bootstrap-server @ --list --exclude-internal
    topics --bootstrap-server @ --list --topic o.*
    topics --bootstrap-server @ --describe
    topics --bootstrap-server @ --describe --topic two
    topics --bootstrap-server @ --describe --topic two --partition-size-limit-per-response 1
    topics --bootstrap-server @ --describe --exclude-internal
    topics --bootstrap-server @ --describe --topics-with-overrides
    topics --bootstrap-server @ --describe --under-replicated-partitions
    topics --bootstrap-server @ --describe --unavailable-partitions
    topics --bootstrap-server @ --describe --under-min-isr-partitions
    topics --bootstrap-server @ --describe --at-min-isr-partitions --topic two
    topics --bootstrap-server @ --describe --topic absent
    topics --bootstrap-server @ --describe --topic absent --if-exists
    topics --bootstrap-server @ --describe --topic-id AAAAAAAAAAAAAAAAAAAAAA
    topics --bootstrap-server @ --describe --topic-id 5L6g3nShT-eMCtK--X86sw
    topics --bootstrap-server @ --describe --topic-id nonsense
    topics --bootstrap-server @ --alter --topic two --partitions 4
    topics --bootstrap-server @ --alter --topic two --partitions 4
    topics --bootstrap-server @ --alter --topic two --partitions 3
    topics --bootstrap-server @ --alter --topic placed --partitions 4 --replica-assignment 1,1,1,1
    topics --bootstrap-server @ --alter --topic placed --partitions 5 --replica-assignment 1,1,1,1,9
    topics --bootstrap-server @ --alter --topic absent --partitions 4
    topics --bootstrap-server @ --alter --topic absent --partitions 4 --if-exists
    topics --bootstrap-server @ --describe --topic two
    topics --bootstrap-server @ --describe --topic placed
    topics --bootstrap-server @ --delete --topic under_score
    topics --bootstrap-server @ --delete --topic under_score
    topics --bootstrap-server @ --delete --topic under_score --if-exists
    topics --bootstrap-server @ --list
    topics --bootstrap-server @
    topics --bootstrap-server @ --nonsense
";

const CONFIGS: &str = "
    configs --bootstrap-server @ --describe --entity-type topics --entity-name two
    configs --bootstrap-server @ --describe --entity-type topics --entity-name two --all
    configs --bootstrap-server @ --describe --entity-type topics
    configs --bootstrap-server @ --describe --topic absent
    configs --bootstrap-server @ --alter --topic one --add-config retention.bytes=1000000,max.message.bytes=200000
    configs --bootstrap-server @ --alter --topic one --add-config cleanup.policy=[compact,delete]
    configs --bootstrap-server @ --describe --topic one
    configs --bootstrap-server @ --alter --topic one --delete-config retention.bytes,cleanup.policy
    configs --bootstrap-server @ --alter --topic one --delete-config retention.bytes
    configs --bootstrap-server @ --describe --topic one
    configs --bootstrap-server @ --describe --topic one --all
    configs --bootstrap-server @ --alter --topic one --add-config no.such.key=1
    configs --bootstrap-server @ --alter --topic one --add-config retention.ms=soon
    configs --bootstrap-server @ --alter --topic absent --add-config retention.ms=1
    configs --bootstrap-server @ --describe --broker 1
    configs --bootstrap-server @ --describe --broker 1 --all
    configs --bootstrap-server @ --describe --broker-defaults
    configs --bootstrap-server @ --describe --broker 9
    configs --bootstrap-server @ --alter --broker-defaults --add-config log.retention.ms=7200000
    configs --bootstrap-server @ --alter --broker 1 --add-config log.retention.bytes=123456789
    configs --bootstrap-server @ --describe --broker-defaults
    configs --bootstrap-server @ --describe --broker 1
    configs --bootstrap-server @ --describe --topic two --all
    configs --bootstrap-server @ --alter --broker-defaults --delete-config log.retention.ms
    configs --bootstrap-server @ --alter --broker 1 --delete-config log.retention.bytes
    configs --bootstrap-server @ --alter --broker 1 --add-config broker.id=7
    configs --bootstrap-server @ --alter --broker 1 --add-config log.cleaner.threads=nine
    configs --bootstrap-server @ --alter --broker-defaults --add-config listeners=PLAINTEXT://:1
    configs --bootstrap-server @ --describe --broker-logger 1
    configs --bootstrap-server @ --alter --broker-logger 1 --add-config root=WARN
    configs --bootstrap-server @ --describe --broker-logger 1
    configs --bootstrap-server @ --alter --broker-logger 1 --add-config root=INFO
    configs --bootstrap-server @ --alter --broker-logger 1 --delete-config root
    configs --bootstrap-server @ --alter --broker-logger 1 --add-config root=LOUD
    configs --bootstrap-server @ --alter --broker-logger 1 --add-config no.such.Logger=DEBUG
";

const RECORDS: &str = "
    producer-perf-test --topic two --num-records 40 --record-size 100 --throughput -1 --producer-props bootstrap.servers=@ batch.size=1 linger.ms=0 max.in.flight.requests.per.connection=1 enable.idempotence=false partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner
    producer-perf-test --topic one --num-records 30 --record-size 100 --throughput -1 --producer-props bootstrap.servers=@ batch.size=1 linger.ms=0 acks=1
    producer-perf-test --topic one --num-records 20 --record-size 300 --throughput 1000 --producer-props bootstrap.servers=@ batch.size=1 linger.ms=0 compression.type=lz4 enable.idempotence=true
    producer-perf-test --topic dotted.name --num-records 1 --record-size 10 --throughput -1 --producer-props bootstrap.servers=@
";

const OFFSETS: &str = "
    get-offsets --bootstrap-server @ --exclude-internal-topics
    get-offsets --bootstrap-server @ --topic one
    get-offsets --bootstrap-server @ --topic one --time latest
    get-offsets --bootstrap-server @ --topic one --time earliest
    get-offsets --bootstrap-server @ --topic dotted.name --time max-timestamp
    get-offsets --bootstrap-server @ --topic one --time earliest-local
    get-offsets --bootstrap-server @ --topic one --time latest-tiered
    get-offsets --bootstrap-server @ --topic one --time -1
    get-offsets --bootstrap-server @ --topic one --time -2
    get-offsets --bootstrap-server @ --topic dotted.name --time -3
    get-offsets --bootstrap-server @ --topic placed --time -3
    get-offsets --bootstrap-server @ --topic one --time -4
    get-offsets --bootstrap-server @ --topic one --time -5
    get-offsets --bootstrap-server @ --topic one --time 1000
    get-offsets --bootstrap-server @ --topic one --time 99999999999999
    get-offsets --bootstrap-server @ --topic-partitions one:0,two:1-3
    get-offsets --bootstrap-server @ --topic t.* --exclude-internal-topics
    get-offsets --bootstrap-server @ --topic absent
    get-offsets --bootstrap-server @ --topic one --time never
    delete-records --bootstrap-server @ --offset-json-file {\"partitions\":[{\"topic\":\"one\",\"partition\":0,\"offset\":12},{\"topic\":\"two\",\"partition\":0,\"offset\":-1}],\"version\":1}
    delete-records --bootstrap-server @ --offset-json-file {\"partitions\":[{\"topic\":\"one\",\"partition\":0,\"offset\":9999}],\"version\":1}
    get-offsets --bootstrap-server @ --topic one --time earliest
    get-offsets --bootstrap-server @ --topic two --time earliest
";

const LOG_DIRS: &str = "
    log-dirs --bootstrap-server @ --describe --topic-list one,two
    log-dirs --bootstrap-server @ --describe --broker-list 1 --topic-list one
    log-dirs --bootstrap-server @ --describe --topic-list absent
    log-dirs --bootstrap-server @ --describe --broker-list 9
";

/// The segment that is written; `dump_log` judges all files of a broker that has stopped.
const FILES: &str = "
    dump-log --files %/one-0/00000000000000000000.log
    dump-log --files %/one-0/00000000000000000000.log --deep-iteration --print-data-log
    dump-log --files %/one-0/00000000000000000000.log --max-bytes 400
    dump-log --files %/absent-0/00000000000000000000.log
";

const CLUSTER: &str = "
    cluster cluster-id --bootstrap-server @
    cluster list-endpoints --bootstrap-server @
    cluster list-endpoints --bootstrap-server @ --include-fenced-brokers
    cluster unregister --bootstrap-server @ --id 99
    broker-api-versions --bootstrap-server @
    metadata-quorum --bootstrap-server @ describe --status
    metadata-quorum --bootstrap-server @ describe --replication
    features --bootstrap-server @ describe
";

const OPERATIONS: &str = "
    leader-election --bootstrap-server @ --election-type preferred --all-topic-partitions
    leader-election --bootstrap-server @ --election-type preferred --topic one --partition 0
    leader-election --bootstrap-server @ --election-type unclean --topic one --partition 0
    leader-election --bootstrap-server @ --election-type preferred --topic absent --partition 0
    reassign-partitions --bootstrap-server @ --list
    transactions --bootstrap-server @ describe-producers --topic one --partition 0
    transactions --bootstrap-server @ list
    acls --bootstrap-server @ --list
    acls --bootstrap-server @ --add --allow-principal User:a --operation Read --topic one
    acls --bootstrap-server @ --remove --force --allow-principal User:a --operation Read --topic one
";

/// `member` is the harness itself: a static member that joins and stands still.
const GROUPS: &str = "
    consumer-groups --bootstrap-server @ --list
    consumer-groups --bootstrap-server @ --describe --group absent
    consumer-groups --bootstrap-server @ --describe --group absent --members
    consumer-groups --bootstrap-server @ --describe --group absent --state
    consumer-groups --bootstrap-server @ --describe --all-groups
    console-consumer --bootstrap-server @ --topic one --group read --from-beginning --max-messages 10 --property print.offset=true
    console-consumer --bootstrap-server @ --topic one --group read --max-messages 5 --property print.offset=true --property print.value=false
    consumer-perf-test --bootstrap-server @ --topic one --group measured --messages 20 --timeout 60000
    topics --bootstrap-server @ --create --topic verified
    verifiable-producer --bootstrap-server @ --topic verified --max-messages 100 --acks -1 --value-prefix 7
    verifiable-consumer --bootstrap-server @ --topic verified --group-id verified --max-messages 100 --reset-policy earliest
    member join live two 4
    consumer-groups --bootstrap-server @ --list
    consumer-groups --bootstrap-server @ --list --state
    consumer-groups --bootstrap-server @ --list --state stable
    consumer-groups --bootstrap-server @ --list --state Empty,Dead
    consumer-groups --bootstrap-server @ --list --state sleepy
    consumer-groups --bootstrap-server @ --list --type
    consumer-groups --bootstrap-server @ --list --type classic --state
    consumer-groups --bootstrap-server @ --list --type consumer
    consumer-groups --bootstrap-server @ --list --type share
    consumer-groups --bootstrap-server @ --list --type nothing
    consumer-groups --bootstrap-server @ --describe --group read
    consumer-groups --bootstrap-server @ --describe --group read --offsets --verbose
    consumer-groups --bootstrap-server @ --describe --group read --members
    consumer-groups --bootstrap-server @ --describe --group read --state
    consumer-groups --bootstrap-server @ --describe --group live
    consumer-groups --bootstrap-server @ --describe --group live --verbose
    consumer-groups --bootstrap-server @ --describe --group live --members
    consumer-groups --bootstrap-server @ --describe --group live --members --verbose
    consumer-groups --bootstrap-server @ --describe --group live --state
    consumer-groups --bootstrap-server @ --describe --group live --state --verbose
    consumer-groups --bootstrap-server @ --describe --group read --group live --state
    consumer-groups --bootstrap-server @ --describe --all-groups
    consumer-groups --bootstrap-server @ --describe --all-groups --members
    consumer-groups --bootstrap-server @ --describe --all-groups --state
    consumer-groups --bootstrap-server @ --describe --group read --members --state
    consumer-groups --bootstrap-server @ --describe
    consumer-groups --bootstrap-server @ --list --describe
    consumer-groups --bootstrap-server @
    consumer-groups --bootstrap-server @ --delete --group live
    consumer-groups --bootstrap-server @ --delete --group absent
    consumer-groups --bootstrap-server @ --delete --group live --group measured
    consumer-groups --bootstrap-server @ --delete-offsets --group read --topic absent
    consumer-groups --bootstrap-server @ --delete-offsets --group read --topic absent:0
    consumer-groups --bootstrap-server @ --delete-offsets --group absent --topic absent
    consumer-groups --bootstrap-server @ --delete-offsets --group absent --topic absent:0
    consumer-groups --bootstrap-server @ --delete-offsets --group live --topic two
    consumer-groups --bootstrap-server @ --delete-offsets --group live --topic one
    consumer-groups --bootstrap-server @ --delete-offsets --group absent --topic one
    consumer-groups --bootstrap-server @ --reset-offsets --group live --topic two --to-earliest --execute
";

const RESETS: &str = "
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --to-earliest
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --to-earliest --dry-run
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --to-latest --execute
    consumer-groups --bootstrap-server @ --describe --group read
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --to-offset 20 --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --to-offset 9999 --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --to-offset 1 --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --shift-by 3 --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --shift-by -100 --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --to-current --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --to-datetime 2000-01-01T00:00:00.000 --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --to-datetime 2990-01-01T00:00:00.000 --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --to-datetime yesterday --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --by-duration PT1H --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --by-duration PT0S --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --topic one --to-latest --export
    consumer-groups --bootstrap-server @ --reset-offsets --group read --all-topics --to-earliest --export
    consumer-groups --bootstrap-server @ --reset-offsets --group read --from-file !one,0,15 --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group read --from-file !one,0,16 --export
    consumer-groups --bootstrap-server @ --reset-offsets --group fresh --topic two:0,1 --topic one --to-earliest --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group fresh --topic absent --to-earliest --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group fresh --topic one --to-earliest --to-latest --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group fresh --to-earliest --execute
    consumer-groups --bootstrap-server @ --reset-offsets --group fresh --topic one --execute
    consumer-groups --bootstrap-server @ --reset-offsets --all-groups --topic one --to-latest --dry-run
    consumer-groups --bootstrap-server @ --describe --group fresh
    consumer-groups --bootstrap-server @ --delete-offsets --group fresh --topic two:0
    consumer-groups --bootstrap-server @ --delete-offsets --group fresh --topic two --topic one
    consumer-groups --bootstrap-server @ --describe --group fresh
    consumer-groups --bootstrap-server @ --delete --group measured
    consumer-groups --bootstrap-server @ --delete --group measured
    member leave live
    consumer-groups --bootstrap-server @ --describe --group live --state
    consumer-groups --bootstrap-server @ --delete --group live
    consumer-groups --bootstrap-server @ --delete --group verified
    consumer-groups --bootstrap-server @ --list --state
";

/// The records of the coordinators; at last Kafka gets Ottla's, with a group that only Ottla had.
const COORDINATORS: &str = "
    topics --bootstrap-server @ --describe --topic __consumer_offsets
    configs --bootstrap-server @ --describe --topic __consumer_offsets
    console-consumer --bootstrap-server @ --topic __consumer_offsets --partition 0 --offset earliest --timeout-ms 12000 --formatter org.apache.kafka.tools.consumer.OffsetsMessageFormatter
    console-consumer --bootstrap-server @ --topic __consumer_offsets --partition 0 --offset earliest --timeout-ms 12000 --formatter org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter
    dump-log --files %/__consumer_offsets-0/00000000000000000000.log --offsets-decoder
    adopt ours one 17
    consumer-groups --bootstrap-server @ --list --state
    consumer-groups --bootstrap-server @ --describe --group ours
    consumer-groups --bootstrap-server @ --describe --all-groups
    console-consumer --bootstrap-server @ --topic one --group read --max-messages 5 --property print.offset=true
";
