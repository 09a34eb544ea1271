"""Admin calls, and configs seen working."""

import os
import time

from contract import (
    PATIENCE_S,
    InvalidPartitions,
    MessageTooLarge,
    OutOfRange,
    Record,
    UnknownTopic,
    check_values,
    equal,
    millis_ago,
    numbered,
    produce,
    read,
    read_all,
    refused,
    wait_until,
)

HOUR_MS = 3_600_000


def describe_cluster(client, _topic):
    cluster = client.cluster()
    ((broker, host, port),) = cluster.brokers
    equal(f"{host}:{port}", client.bootstrap, "address of the broker")
    equal(cluster.controller, broker, "controller")
    if cluster.id is None:
        return "does not tell the cluster's id"
    if not cluster.id or client.cluster().id != cluster.id:
        raise AssertionError(f"cluster id {cluster.id!r}, then {client.cluster().id!r}")


def create_partitions(client, topic):
    client.create_topic(topic, 1)
    with (
        client.producer(metadata_age_ms=500) as producer,
        client.consumer([(topic, 0)], "earliest", metadata_age_ms=500) as reader,
    ):
        producer.send(topic, [Record(value=b"in 0")])
        check_values(read(reader, 1), 0, [b"in 0"])
        client.create_partitions(topic, 3)
        wait_until("the producer knows 3 partitions", lambda: producer.partitions(topic) == {0, 1, 2})
        producer.send(topic, [Record(value=b"in %d" % p, partition=p) for p in range(3)])

        def consumer_knows():
            reader.poll()
            return reader.partitions(topic) == {0, 1, 2}

        wait_until("the consumer knows 3 partitions", consumer_knows)
        reader.assign([(topic, p) for p in range(3)], "earliest")
        found = {(r.partition, r.offset, r.value) for r in read(reader, 4)}
    equal(found, {(0, 0, b"in 0"), (0, 1, b"in 0"), (1, 0, b"in 1"), (2, 0, b"in 2")}, "records")
    with refused(InvalidPartitions):
        client.create_partitions(topic, 3)


def await_configs(client, topic, configs):
    """Waits until the topic is known, which takes a broker of Kafka a moment, and has these."""

    def described():
        try:
            found = client.topic_configs(topic)
        except UnknownTopic:
            return False
        return all(found[name].value == value for name, value in configs.items())

    wait_until(f"{configs} described", described)


def describe_configs(client, topic):
    client.create_topic(topic, 1, {"retention.ms": "86400000"})
    await_configs(client, topic, {"retention.ms": "86400000"})
    configs = client.topic_configs(topic)
    equal(tuple(configs["retention.ms"]), ("86400000", False, False), "retention.ms")
    equal(tuple(configs["segment.bytes"]), ("1073741824", True, False), "segment.bytes")
    ((broker, _, _),) = client.cluster().brokers
    node_id = client.broker_configs(broker)["node.id"]
    equal((node_id.value, node_id.read_only), (str(broker), True), "node.id")
    with refused(UnknownTopic):
        client.topic_configs(topic + "-absent")


def alter(client, topic, configs):
    """Gives the topic these and waits until they are described."""
    await_configs(client, topic, {})
    client.alter_configs(topic, configs)
    await_configs(client, topic, configs)


def alter_retention(client, topic):
    client.create_topic(topic, 1, {"segment.ms": str(HOUR_MS), "retention.ms": "-1"})
    now = millis_ago(0)
    with client.producer() as producer:
        producer.send(topic, [Record(value=b"old %d" % i, timestamp=now - 2 * HOUR_MS) for i in range(3)])
        producer.send(topic, [Record(value=b"new %d" % i, timestamp=now) for i in range(2)])
    equal(client.first_offset(topic), 0, "first offset before")
    alter(client, topic, {"segment.ms": str(HOUR_MS), "retention.ms": str(HOUR_MS)})
    wait_until("the old records are gone", lambda: client.first_offset(topic) == 3)
    equal(client.end_offset(topic), 5, "end offset")
    with client.consumer([(topic, 0)], "earliest") as reader:
        check_values(read(reader, 2), 3, [b"new 0", b"new 1"])


def alter_timestamp_type(client, topic):
    client.create_topic(topic, 1)
    began = millis_ago(0)
    before, after = (Record(value=v, timestamp=began - HOUR_MS) for v in (b"before", b"after"))
    with client.producer() as producer:
        producer.send(topic, [before])
        alter(client, topic, {"message.timestamp.type": "LogAppendTime"})
        producer.send(topic, [after])
    first, second = read_all(client, topic, 2)
    equal((first.timestamp, first.broker_time), (began - HOUR_MS, False), "timestamp before")
    equal(second.broker_time, True, "the broker's time")
    if not began <= second.timestamp <= millis_ago(0):
        raise AssertionError(f"timestamp {second.timestamp}, began at {began}")


def alter_compression(client, topic):
    client.create_topic(topic, 1)
    values = numbered(200)
    produce(client, topic, values[:100], linger_ms=20)
    alter(client, topic, {"compression.type": "gzip"})
    produce(client, topic, values[100:], linger_ms=20)
    check_values(read_all(client, topic, 200), 0, values)


def alter_max_message_bytes(client, topic):
    client.create_topic(topic, 1)
    value = os.urandom(5000)
    # Not idempotent: see record_too_large.
    with client.producer(idempotent=False) as producer:
        alter(client, topic, {"max.message.bytes": "2000"})
        with refused(MessageTooLarge):
            producer.send(topic, [Record(value=value)])
        alter(client, topic, {"max.message.bytes": "1048588"})
        producer.send(topic, [Record(value=value)])
    check_values(read_all(client, topic, 1), 0, [value])


def delete_records(client, topic):
    client.create_topic(topic, 1)
    values = [b"%d" % i for i in range(5)]
    produce(client, topic, values)
    equal(client.delete_records(topic, 3), 3, "low watermark")
    equal(client.first_offset(topic), 3, "first offset")
    with client.consumer([(topic, 0)], "earliest") as reader:
        check_values(read(reader, 2), 3, values[3:])
    with client.consumer([(topic, 0)], 0) as reader, refused(OutOfRange):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            reader.poll()
    equal(client.delete_records(topic, -1), 5, "low watermark at the end")
    equal((client.first_offset(topic), client.end_offset(topic)), (5, 5), "first offset and end")


def describe_log_dirs(client, topic):
    client.create_topic(topic, 1)
    produce(client, topic, [os.urandom(1000) for _ in range(10)])
    size = client.log_dir_size(topic)
    if not size > 10_000:
        raise AssertionError(f"{size} bytes")


def list_offsets(client, topic):
    client.create_topic(topic, 1)
    base = millis_ago(60_000)
    with client.producer() as producer:
        for at in (1000, 3000, 2000):
            producer.send(topic, [Record(value=b"at %d" % at, timestamp=base + at)])
    for asked, offset in (("earliest", 0), ("latest", 3), (base + 1500, 1)):
        equal(client.listed_offset(topic, asked), offset, f"{asked}")
    if not client.lists_max_timestamp:
        return "has no max timestamp"
    equal(client.listed_offset(topic, "max-timestamp"), 1, "max timestamp")


def large_batches(client, topic):
    client.create_topic(topic, 1, {"max.message.bytes": "10485760"})
    values = [os.urandom(1_000_000) for _ in range(5)]
    lone = os.urandom(6_000_000)
    # The linger ends when the batch is full, or with the flush.
    options = {"batch_size": 8_000_000, "max_request_size": 10_000_000}
    produce(client, topic, values, linger_ms=5000, **options)
    produce(client, topic, [lone], **options)
    check_values(read_all(client, topic, 6), 0, values + [lone])


ALL = {
    "describe-cluster": describe_cluster,
    "create-partitions": create_partitions,
    "describe-configs": describe_configs,
    "alter-retention": alter_retention,
    "alter-timestamp-type": alter_timestamp_type,
    "alter-compression": alter_compression,
    "alter-max-message-bytes": alter_max_message_bytes,
    "delete-records": delete_records,
    "describe-log-dirs": describe_log_dirs,
    "list-offsets": list_offsets,
    "large-batches": large_batches,
}
