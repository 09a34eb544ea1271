"""The scenarios of ../README.md for Python clients."""

import functools

import admin_scenarios
import format_scenarios
import restart_scenarios
from contract import (
    MessageTooLarge,
    NotApplicable,
    Record,
    TopicExists,
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

# A lone record with a value of this size makes a batch of 1048588 bytes: max.message.bytes.
LARGEST_VALUE = 1048516
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def create_topic(client, topic):
    client.create_topic(topic, 3)
    wait_until("three partitions in the metadata", lambda: client.led_partitions(topic) == {0, 1, 2})
    with refused(TopicExists):
        client.create_topic(topic, 3)


def auto_create(client, topic):
    equal(produce(client, topic, [b"first try"]), [0], "acknowledged offsets")
    check_values(read_all(client, topic, 1), 0, [b"first try"])


def delete_and_recreate(client, topic):
    client.create_topic(topic, 1)
    old_id = client.topic_id(topic)
    produce(client, topic, [b"old 0", b"old 1", b"old 2"])
    read_all(client, topic, 3)
    client.delete_topic(topic)
    wait_until("topic gone", lambda: topic not in client.topics())
    client.create_topic(topic, 1)
    produce(client, topic, [b"new 0"])
    check_values(read_all(client, topic, 1), 0, [b"new 0"])
    if old_id is None:
        return "does not know topic ids"
    if client.topic_id(topic) == old_id:
        raise AssertionError(f"the new topic has the old topic's id {old_id}")


def produce_consume(client, topic):
    client.create_topic(topic, 1)
    headers = [("twice", b"1"), ("other", b"x"), ("twice", b"2"), ("empty", b"")]
    samples = [
        Record(b"key", b"value", headers),
        Record(None, b"no key"),
        Record(b"no value", None),
        Record(b"", b""),
        Record(b"\x00\xff", bytes(range(256))),
    ]
    if client.sends_null_headers:
        samples.append(Record(b"key", b"value", [("null", None)]))
    if client.sends_null_key_with_null_value:
        samples.append(Record(None, None))
    base = millis_ago(60_000)
    samples = [s._replace(timestamp=base + i, offset=i, topic=topic) for i, s in enumerate(samples)]
    with client.producer() as producer:
        equal(producer.send(topic, samples), [s.offset for s in samples], "acknowledged offsets")
    for got, wanted in zip(read_all(client, topic, len(samples)), samples):
        equal(got, wanted, "record")
    return format_scenarios.left_out(client)


def codec(name, client, topic):
    client.create_topic(topic, 1)
    values = numbered(200)
    equal(produce(client, topic, values, codec=name, linger_ms=20), list(range(200)), "acknowledged offsets")
    check_values(read_all(client, topic, len(values)), 0, values)


def idempotent_produce(client, topic):
    if not client.idempotent:
        raise NotApplicable("has no idempotent producer")
    client.create_topic(topic, 1)
    values = numbered(5000)
    # Small batches: several requests in flight, a few hundred sequences.
    offsets = produce(client, topic, values, idempotent=True, batch_size=2000, linger_ms=1)
    equal(offsets, list(range(5000)), "acknowledged offsets")
    check_values(read_all(client, topic, len(values)), 0, values)


def record_at_limit(client, topic):
    client.create_topic(topic, 1)
    value = (bytes(range(256)) * 4096)[:LARGEST_VALUE]
    produce(client, topic, [value], max_request_size=2_000_000)
    check_values(read_all(client, topic, 1), 0, [value])


def record_too_large(client, topic):
    client.create_topic(topic, 1)
    # Not idempotent: that producer of kafka-python takes the error as fatal and never sends again.
    with client.producer(idempotent=False, max_request_size=2_000_000) as producer:
        with refused(MessageTooLarge):
            producer.send(topic, [Record(value=bytes(LARGEST_VALUE + 1))])
        producer.send(topic, [Record(value=b"fits")])
    check_values(read_all(client, topic, 1), 0, [b"fits"])


def consume_earliest(client, topic):
    client.create_topic(topic, 1)
    produce(client, topic, [b"a", b"b"], linger_ms=5000)
    produce(client, topic, [b"c"])
    with client.consumer([(topic, 0)], "earliest") as reader:
        check_values(read(reader, 3), 0, [b"a", b"b", b"c"])


def consume_latest(client, topic):
    client.create_topic(topic, 1)
    produce(client, topic, [b"before 0", b"before 1"])
    with client.consumer([(topic, 0)], "latest") as reader:
        produce(client, topic, [b"after 2", b"after 3"])
        check_values(read(reader, 2), 2, [b"after 2", b"after 3"])


def consume_from_offset(client, topic):
    client.create_topic(topic, 1)
    produce(client, topic, [b"0", b"1", b"2", b"3", b"4"], linger_ms=5000)
    with client.consumer([(topic, 0)], 3) as reader:
        check_values(read(reader, 2), 3, [b"3", b"4"])


def consume_from_timestamp(client, topic):
    """The answer is the first offset whose timestamp is not below the one asked for."""
    client.create_topic(topic, 1)
    base = millis_ago(60_000)
    with client.producer() as producer:
        for at in (1000, 3000, 2000, 4000):
            producer.send(topic, [Record(value=b"at %d" % at, timestamp=base + at)])
    for at, offset in ((0, 0), (1000, 0), (1001, 1), (3001, 3), (4001, None)):
        equal(client.offset_at(topic, base + at), offset, f"first offset at or after {at}")
    with client.consumer([(topic, 0)], client.offset_at(topic, base + 2500)) as reader:
        check_values(read(reader, 3), 1, [b"at 3000", b"at 2000", b"at 4000"])


def many_partitions(client, topic):
    partitions, each = 100, 10
    client.create_topic(topic, partitions)
    wait_until("all have leaders", lambda: len(client.led_partitions(topic)) == partitions)
    # In flight: where a real Kafka is not leader yet, retries without idempotence change the order.
    with client.producer(linger_ms=20, in_flight=1) as producer:
        producer.send(
            topic, [Record(value=b"%d of %d" % (n, p), partition=p) for n in range(each) for p in range(partitions)]
        )
    with client.consumer([(topic, p) for p in range(partitions)], "earliest") as reader:
        records = read(reader, partitions * each)
    for p in range(partitions):
        of_p = [r for r in records if r.partition == p]
        check_values(of_p, 0, [b"%d of %d" % (n, p) for n in range(each)])


ALL = {
    "create-topic": create_topic,
    "auto-create": auto_create,
    "delete-and-recreate": delete_and_recreate,
    "produce-consume": produce_consume,
    **{f"codec-{c}": functools.partial(codec, c) for c in CODECS},
    "idempotent-produce": idempotent_produce,
    "record-at-limit": record_at_limit,
    "record-too-large": record_too_large,
    "consume-earliest": consume_earliest,
    "consume-latest": consume_latest,
    "consume-from-offset": consume_from_offset,
    "consume-from-timestamp": consume_from_timestamp,
    "many-partitions": many_partitions,
    **admin_scenarios.ALL,
    **{f"formats-{c}": functools.partial(format_scenarios.formats, c) for c in CODECS},
    **restart_scenarios.ALL,
}
NEED_THE_RUNNER = restart_scenarios.ALL
