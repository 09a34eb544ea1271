"""The contract of ../README.md for Python clients, without its scenarios: the command line, the
result lines, and what scenarios and adapters share.
"""

import argparse
import signal
import sys
import time
import traceback
from collections import namedtuple
from contextlib import contextmanager

SCENARIO_DEADLINE_S = 200
READING_DEADLINE_S = 200
# A real Kafka on a busy machine takes that long to come back from kill -9.
PATIENCE_S = 120

Record = namedtuple(
    "Record",
    # `broker_time`: the timestamp is the broker's (LogAppendTime).
    "key value headers timestamp offset topic partition broker_time",
    defaults=(None, None, [], None, None, None, 0, False),
)
Config = namedtuple("Config", "value is_default read_only")
Cluster = namedtuple("Cluster", "id controller brokers")  # brokers: {(node id, host, port)}


class TopicExists(Exception):
    pass


class UnknownTopic(Exception):
    pass


class InvalidPartitions(Exception):
    pass


class OutOfRange(Exception):
    """OFFSET_OUT_OF_RANGE where no reset is configured."""


class MessageTooLarge(Exception):
    """The broker's MESSAGE_TOO_LARGE; a refusal by the client itself is another exception."""


class NotApplicable(Exception):
    """The client cannot express the scenario; says why."""


def equal(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: got {shorten(got)}, wanted {shorten(wanted)}")


def shorten(value):
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


@contextmanager
def refused(wanted):
    """The body must end in the exception `wanted`."""
    try:
        yield
    except wanted:
        return
    raise AssertionError(f"not refused with {wanted.__name__}")


def wait_until(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"still not: {what}")
        time.sleep(0.02)  # between two looks at the condition


def millis_ago(ms):
    return int(time.time() * 1000) - ms


def read(reader, count):
    """The next `count` records of all its partitions."""
    records = []
    deadline = time.monotonic() + PATIENCE_S
    while len(records) < count:
        if time.monotonic() > deadline:
            raise AssertionError(f"only {len(records)} of {count} records in {PATIENCE_S} s")
        records += reader.poll()
    equal(len(records), count, "records")
    return records


def read_all(client, topic, count):
    """All of partition 0, which must hold exactly `count` records."""
    equal(client.end_offset(topic), count, "end offset")
    with client.consumer([(topic, 0)], "earliest") as reader:
        return read(reader, count)


def check_values(records, first, values):
    equal([r.value for r in records], values, "values")
    equal([r.offset for r in records], list(range(first, first + len(values))), "offsets")


def produce(client, topic, values, **options):
    """Sends `values` through a producer of their own and returns their offsets."""
    with client.producer(**options) as producer:
        return producer.send(topic, [Record(value=v) for v in values])


def numbered(count):
    """Each value alone shrinks under every codec: librdkafka keeps what does not as it is."""
    return [b"record %d " % i + b"abcdefgh" * 20 for i in range(count)]


def deadline_passed(_signal, _frame):
    raise TimeoutError("not done within the deadline")


def run(scenario, deadline_s):
    """`scenario` returns a detail or None."""
    signal.alarm(deadline_s)
    try:
        return "ok", scenario() or ""
    except NotApplicable as e:
        return "n/a", str(e)
    except Exception as e:
        traceback.print_exc(file=sys.stderr)
        return "fail", " ".join(f"{type(e).__name__}: {e}".split())
    finally:
        signal.alarm(0)


def report(name, result):
    print(name, *result, sep="\t", flush=True)


def hexadecimal(data):
    return "-" if data is None else data.hex()


def print_record(record):
    headers = ",".join(f"{key.encode().hex()}={hexadecimal(value)}" for key, value in record.headers)
    fields = record.offset, record.timestamp, hexadecimal(record.key), hexadecimal(record.value), headers
    print("record", record.topic, *fields, sep="\t")


def read_topics(client, topics):
    places = [(topic, 0) for topic in topics]
    count = sum(client.end_offsets(places).values())
    with client.consumer(places, "earliest") as reader:
        for record in sorted(read(reader, count), key=lambda r: (r.topic, r.offset)):
            print_record(record)


def main(make_client):
    """`make_client(bootstrap)` returns an adapter:

    create_topic(topic, partitions, configs={})      raises TopicExists
    delete_topic(topic), topics(), topic_id(topic)
    led_partitions(topic)                the numbers of the partitions that have a leader
    end_offsets(places), first_offset(topic)         places are pairs (topic, partition)
    end_offset(topic)                    of partition 0, as all where no partition is named
    offset_at(topic, timestamp)          None when no record is that young
    listed_offset(topic, "earliest"|"latest"|"max-timestamp"|timestamp)
    cluster()                            a Cluster
    create_partitions(topic, total)      raises InvalidPartitions
    topic_configs(topic), broker_configs(id)         {name: Config}; the former raises UnknownTopic
    alter_configs(topic, configs)        `configs` are all that the topic is to have
    delete_records(topic, offset)        returns the low watermark
    log_dir_size(topic)
    producer(codec, idempotent, linger_ms, batch_size, max_request_size, in_flight, metadata_age_ms)
                                         a context manager, all keywords optional;
                                         send(topic, records) waits and returns the offsets,
                                         raises MessageTooLarge; each goes to its partition
                                         begin(topic, record) returns at once something with
                                         wait(), which returns the offset
                                         partitions(topic) it knows
    consumer(places, start, metadata_age_ms)
                                         a context manager, without a group, positioned at
                                         "earliest", "latest" or an offset when it is entered;
                                         poll() waits for a moment and returns Records, raises
                                         OutOfRange
                                         assign(places, start), partitions(topic) it knows
    sends_null_headers, sends_null_key_with_null_value, idempotent
    and what `members.serve` needs. What a client does not have raises NotApplicable.
    """
    from scenarios import ALL, NEED_THE_RUNNER

    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--scenario", action="append", choices=ALL)
    parser.add_argument("--read-topics")
    parser.add_argument("--members", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGALRM, deadline_passed)
    client = make_client(args.bootstrap)
    client.bootstrap = args.bootstrap
    if args.members:
        from members import serve

        return serve(client)
    if args.read_topics:
        topics = args.read_topics.split(",")
        result = run(lambda: read_topics(client, topics), READING_DEADLINE_S)
        for topic in topics:
            report(topic, result)
        return
    for name in args.scenario or [name for name in ALL if name not in NEED_THE_RUNNER]:
        report(name, run(lambda: ALL[name](client, f"{args.prefix}-{name}"), SCENARIO_DEADLINE_S))
