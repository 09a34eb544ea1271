"""The scenarios of ../README.md for Python clients. A client file supplies an adapter, the class
`Client` described at the end of this file, and calls `main(Client)`.
"""

import argparse
import functools
import signal
import sys
import time
import traceback
from collections import namedtuple

SCENARIO_DEADLINE_S = 40
PATIENCE_S = 20
# A lone record with a value of this size makes a batch of 1048588 bytes: max.message.bytes.
LARGEST_VALUE = 1048516

Record = namedtuple("Record", "key value headers timestamp offset", defaults=(None, None, [], None, None))


class TopicExists(Exception):
    pass


class MessageTooLarge(Exception):
    """The broker's MESSAGE_TOO_LARGE; a refusal by the client itself is another exception."""


def equal(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: got {shorten(got)}, wanted {shorten(wanted)}")


def shorten(value):
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


def wait_until(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"still not: {what}")
        time.sleep(0.02)  # between two looks at the condition


def millis_ago(ms):
    return int(time.time() * 1000) - ms


def produce(client, topic, values, **options):
    """Sends `values` through a producer of their own and returns their offsets."""
    with client.producer(**options) as producer:
        return producer.send(topic, [Record(value=v) for v in values])


def read_all(client, topic, count):
    equal(client.end_offset(topic), count, "end offset")
    with client.consumer(topic, "earliest") as consumer:
        return consumer.read(count)


def check_values(records, first, values):
    equal([r.value for r in records], values, "values")
    equal([r.offset for r in records], list(range(first, first + len(values))), "offsets")


def create_topic(client, topic):
    client.create_topic(topic, 3)
    wait_until("three partitions in the metadata", lambda: client.led_partitions(topic) == {0, 1, 2})
    try:
        client.create_topic(topic, 3)
        raise AssertionError("created twice")
    except TopicExists:
        pass


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
    samples = [s._replace(timestamp=base + i, offset=i) for i, s in enumerate(samples)]
    with client.producer() as producer:
        equal(producer.send(topic, samples), [s.offset for s in samples], "acknowledged offsets")
    for got, wanted in zip(read_all(client, topic, len(samples)), samples):
        equal(got, wanted, "record")
    left_out = [] if client.sends_null_headers else ["null header value"]
    left_out += [] if client.sends_null_key_with_null_value else ["null key with null value"]
    return "refuses to send: " + ", ".join(left_out) if left_out else None


def numbered(count):
    """Each value alone shrinks under every codec: librdkafka keeps what does not as it is."""
    return [b"record %d " % i + b"abcdefgh" * 20 for i in range(count)]


def codec(name, client, topic):
    client.create_topic(topic, 1)
    values = numbered(200)
    equal(produce(client, topic, values, codec=name, linger_ms=20), list(range(200)), "acknowledged offsets")
    check_values(read_all(client, topic, len(values)), 0, values)


def idempotent_produce(client, topic):
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
        try:
            producer.send(topic, [Record(value=bytes(LARGEST_VALUE + 1))])
            raise AssertionError("accepted")
        except MessageTooLarge:
            producer.send(topic, [Record(value=b"fits")])
    check_values(read_all(client, topic, 1), 0, [b"fits"])


def consume_earliest(client, topic):
    client.create_topic(topic, 1)
    produce(client, topic, [b"a", b"b"], linger_ms=5000)
    produce(client, topic, [b"c"])
    with client.consumer(topic, "earliest") as consumer:
        check_values(consumer.read(3), 0, [b"a", b"b", b"c"])


def consume_latest(client, topic):
    client.create_topic(topic, 1)
    produce(client, topic, [b"before 0", b"before 1"])
    with client.consumer(topic, "latest") as consumer:
        produce(client, topic, [b"after 2", b"after 3"])
        check_values(consumer.read(2), 2, [b"after 2", b"after 3"])


def consume_from_offset(client, topic):
    client.create_topic(topic, 1)
    produce(client, topic, [b"0", b"1", b"2", b"3", b"4"], linger_ms=5000)
    with client.consumer(topic, 3) as consumer:
        check_values(consumer.read(2), 3, [b"3", b"4"])


def consume_from_timestamp(client, topic):
    """The answer is the first offset whose timestamp is not below the one asked for."""
    client.create_topic(topic, 1)
    base = millis_ago(60_000)
    with client.producer() as producer:
        for at in (1000, 3000, 2000, 4000):
            producer.send(topic, [Record(value=b"at %d" % at, timestamp=base + at)])
    for at, offset in ((0, 0), (1000, 0), (1001, 1), (3001, 3), (4001, None)):
        equal(client.offset_at(topic, base + at), offset, f"first offset at or after {at}")
    with client.consumer(topic, client.offset_at(topic, base + 2500)) as consumer:
        check_values(consumer.read(3), 1, [b"at 3000", b"at 2000", b"at 4000"])


SCENARIOS = {
    "create-topic": create_topic,
    "auto-create": auto_create,
    "delete-and-recreate": delete_and_recreate,
    "produce-consume": produce_consume,
    **{f"codec-{c}": functools.partial(codec, c) for c in ("none", "gzip", "snappy", "lz4", "zstd")},
    "idempotent-produce": idempotent_produce,
    "record-at-limit": record_at_limit,
    "record-too-large": record_too_large,
    "consume-earliest": consume_earliest,
    "consume-latest": consume_latest,
    "consume-from-offset": consume_from_offset,
    "consume-from-timestamp": consume_from_timestamp,
}


def deadline_passed(_signal, _frame):
    raise TimeoutError(f"not done within {SCENARIO_DEADLINE_S} s")


def run(client, name, topic):
    signal.alarm(SCENARIO_DEADLINE_S)
    try:
        return "ok", SCENARIOS[name](client, topic) or ""
    except Exception as e:
        traceback.print_exc(file=sys.stderr)
        return "fail", " ".join(f"{type(e).__name__}: {e}".split())
    finally:
        signal.alarm(0)


def main(make_client):
    """`make_client(bootstrap)` returns an adapter:

    create_topic(topic, partitions)      raises TopicExists
    delete_topic(topic), topics(), topic_id(topic)
    led_partitions(topic)                the numbers of the partitions that have a leader
    end_offset(topic)                    of partition 0, as everything below
    offset_at(topic, timestamp)          None when no record is that young
    producer(codec, idempotent, linger_ms, batch_size, max_request_size)
                                         a context manager, all keywords optional;
                                         send(topic, records) waits and returns the offsets,
                                         raises MessageTooLarge
    consumer(topic, start)               a context manager, without a group, positioned at
                                         "earliest", "latest" or an offset when it is entered;
                                         read(count) returns the next records as `Record`s
    sends_null_headers, sends_null_key_with_null_value
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    args = parser.parse_args()
    signal.signal(signal.SIGALRM, deadline_passed)
    client = make_client(args.bootstrap)
    for name in args.scenario or SCENARIOS:
        print(name, *run(client, name, f"{args.prefix}-{name}"), sep="\t", flush=True)
