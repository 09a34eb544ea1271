"""confluent-kafka, the Python face of librdkafka."""

from contextlib import contextmanager

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

import confluent_members
from contract import (
    PATIENCE_S,
    Cluster,
    Config,
    InvalidPartitions,
    MessageTooLarge,
    NotApplicable,
    OutOfRange,
    Record,
    TopicExists,
    UnknownTopic,
    equal,
    main,
)

STARTS = {"earliest": OFFSET_BEGINNING, "latest": OFFSET_END}
SPECS = {"earliest": OffsetSpec.earliest, "latest": OffsetSpec.latest, "max-timestamp": OffsetSpec.max_timestamp}
POLL_S = 0.5


class Client(confluent_members.Calls):
    sends_null_headers = True
    sends_null_key_with_null_value = True
    idempotent = True
    lists_max_timestamp = True

    def __init__(self, bootstrap):
        self.common = {"bootstrap.servers": bootstrap, "socket.timeout.ms": 10_000}
        self.admin = AdminClient(self.common)
        self.inspector = self.bare_consumer()

    def create_topic(self, topic, partitions, configs={}):
        new = NewTopic(topic, partitions, 1, config=configs)
        with translated({KafkaError.TOPIC_ALREADY_EXISTS: TopicExists}):
            self.admin.create_topics([new])[topic].result(PATIENCE_S)

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])[topic].result(PATIENCE_S)

    def topics(self):
        return self.admin.list_topics(timeout=PATIENCE_S).topics

    def topic_id(self, topic):
        described = self.admin.describe_topics(TopicCollection([topic]))[topic].result(PATIENCE_S)
        return str(described.topic_id)

    def led_partitions(self, topic):
        known = self.topics().get(topic)
        return {p.id for p in known.partitions.values() if p.leader >= 0} if known else set()

    def cluster(self):
        described = self.admin.describe_cluster().result(PATIENCE_S)
        nodes = {(n.id, n.host, n.port) for n in described.nodes}
        return Cluster(described.cluster_id, described.controller.id, nodes)

    def create_partitions(self, topic, total):
        with translated({KafkaError.INVALID_PARTITIONS: InvalidPartitions}):
            self.admin.create_partitions([NewPartitions(topic, total)])[topic].result(PATIENCE_S)

    def described(self, kind, name):
        resource = ConfigResource(kind, name)
        entries = self.admin.describe_configs([resource])[resource].result(PATIENCE_S).values()
        default = ConfigSource.DEFAULT_CONFIG.value
        return {e.name: Config(e.value, e.source == default, e.is_read_only) for e in entries}

    def topic_configs(self, topic):
        with translated({KafkaError.UNKNOWN_TOPIC_OR_PART: UnknownTopic}):
            return self.described(ResourceType.TOPIC, topic)

    def broker_configs(self, broker):
        return self.described(ResourceType.BROKER, str(broker))

    def alter_configs(self, topic, configs):
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in configs.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        self.admin.incremental_alter_configs([resource])[resource].result(PATIENCE_S)

    def delete_records(self, topic, offset):
        place = TopicPartition(topic, 0, OFFSET_END if offset == -1 else offset)
        return self.admin.delete_records([place])[place].result(PATIENCE_S).low_watermark

    def log_dir_size(self, _topic):
        raise NotApplicable("has no call for log directories")

    def listed_offset(self, topic, asked):
        place = TopicPartition(topic, 0)
        spec = SPECS[asked]() if asked in SPECS else OffsetSpec.for_timestamp(asked)
        return self.admin.list_offsets({place: spec})[place].result(PATIENCE_S).offset

    def end_offsets(self, places):
        return {place: self.watermarks(*place)[1] for place in places}

    def end_offset(self, topic):
        return self.watermarks(topic)[1]

    def first_offset(self, topic):
        return self.watermarks(topic)[0]

    def watermarks(self, topic, partition=0):
        return self.inspector.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE_S)

    def offset_at(self, topic, timestamp):
        asked = [TopicPartition(topic, 0, timestamp)]
        (found,) = self.inspector.offsets_for_times(asked, timeout=PATIENCE_S)
        if found.error:
            raise KafkaException(found.error)
        return None if found.offset == OFFSET_END else found.offset

    def bare_consumer(self, **options):
        return Consumer(
            self.common
            | {
                # The library insists on a group; it is never joined and nothing is committed.
                "group.id": "unused",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            }
            | options
        )

    @contextmanager
    def consumer(self, places, start, metadata_age_ms=300_000):
        consumer = self.bare_consumer(**{"topic.metadata.refresh.interval.ms": metadata_age_ms})
        try:
            reader = Reader(consumer)
            reader.assign(places, start)
            yield reader
        finally:
            consumer.close()

    @contextmanager
    def producer(
        self,
        codec="none",
        idempotent=False,
        linger_ms=0,
        batch_size=16384,
        max_request_size=1_000_000,
        in_flight=5,
        metadata_age_ms=300_000,
    ):
        yield Sender(
            Producer(
                self.common
                | {
                    "acks": "all",
                    "message.timeout.ms": PATIENCE_S * 1000,
                    "compression.type": codec,
                    "enable.idempotence": idempotent,
                    "linger.ms": linger_ms,
                    "batch.size": batch_size,
                    "message.max.bytes": max_request_size,
                    "max.in.flight.requests.per.connection": in_flight,
                    "topic.metadata.refresh.interval.ms": metadata_age_ms,
                }
            )
        )


@contextmanager
def translated(errors):
    try:
        yield
    except KafkaException as e:
        raise errors.get(e.args[0].code(), type(e))(*e.args) from e


class Ack:
    """A delivery report, filled in by the producer's poll."""

    def __init__(self, producer):
        self.producer, self.error, self.message = producer, None, None

    def delivered(self, error, message):
        self.error, self.message = error, message

    def wait(self):
        while self.message is None:  # message.timeout.ms bounds it
            self.producer.poll(POLL_S)
        # The library's own size check raises in produce() instead.
        if self.error and self.error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            raise MessageTooLarge
        if self.error:
            raise KafkaException(self.error)
        return self.message.offset()


class Sender:
    def __init__(self, producer):
        self.producer = producer

    def partitions(self, topic):
        return set(self.producer.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions)

    def begin(self, topic, record):
        ack = Ack(self.producer)
        self.producer.produce(
            topic,
            partition=record.partition,
            key=record.key,
            value=record.value,
            headers=record.headers,
            timestamp=record.timestamp or 0,
            on_delivery=ack.delivered,
        )
        return ack

    def send(self, topic, records):
        acks = [self.begin(topic, record) for record in records]
        equal(self.producer.flush(PATIENCE_S), 0, "records without a delivery report")
        return [ack.wait() for ack in acks]


class Reader:
    def __init__(self, consumer):
        self.consumer = consumer

    def assign(self, places, start):
        self.consumer.assign([TopicPartition(*place, STARTS.get(start, start)) for place in places])
        if start == "latest":
            # Positions are looked up in the background; the end has been found when it is reached.
            event = self.consumer.poll(PATIENCE_S)
            equal(event.error().code(), KafkaError._PARTITION_EOF, "event at the end of the partition")

    def partitions(self, topic):
        return set(self.consumer.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions)

    def poll(self):
        records = []
        first = self.consumer.poll(POLL_S)
        for message in ([first] if first else []) + self.consumer.consume(1000, 0):
            if message.error():
                code = message.error().code()
                if code == KafkaError._AUTO_OFFSET_RESET:
                    raise OutOfRange(message.error())
                # Connections come and go when a broker is restarted.
                if code not in (KafkaError._PARTITION_EOF, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                    raise KafkaException(message.error())
                continue
            timestamp_type, timestamp = message.timestamp()
            records.append(
                Record(
                    message.key(),
                    message.value(),
                    message.headers() or [],
                    timestamp,
                    message.offset(),
                    message.topic(),
                    message.partition(),
                    timestamp_type == TIMESTAMP_LOG_APPEND_TIME,
                )
            )
        return records


if __name__ == "__main__":
    main(Client)
