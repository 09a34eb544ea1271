"""confluent-kafka, the Python face of librdkafka."""

from contextlib import contextmanager

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_CREATE_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

from scenarios import PATIENCE_S, MessageTooLarge, Record, TopicExists, equal, main

STARTS = {"earliest": OFFSET_BEGINNING, "latest": OFFSET_END}


class Client:
    sends_null_headers = True
    sends_null_key_with_null_value = True

    def __init__(self, bootstrap):
        self.common = {"bootstrap.servers": bootstrap, "socket.timeout.ms": 10_000}
        self.admin = AdminClient(self.common)

    def create_topic(self, topic, partitions):
        try:
            self.admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(PATIENCE_S)
        except KafkaException as e:
            if e.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicExists from e
            raise

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

    def end_offset(self, topic):
        with self.bare_consumer() as consumer:
            return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE_S)[1]

    def offset_at(self, topic, timestamp):
        with self.bare_consumer() as consumer:
            asked = [TopicPartition(topic, 0, timestamp)]
            (found,) = consumer.offsets_for_times(asked, timeout=PATIENCE_S)
        if found.error:
            raise KafkaException(found.error)
        return None if found.offset == OFFSET_END else found.offset

    @contextmanager
    def bare_consumer(self):
        consumer = Consumer(
            self.common
            | {
                # The library insists on a group; it is never joined and nothing is committed.
                "group.id": "unused",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            }
        )
        try:
            yield consumer
        finally:
            consumer.close()

    @contextmanager
    def consumer(self, topic, start):
        with self.bare_consumer() as consumer:
            consumer.assign([TopicPartition(topic, 0, STARTS.get(start, start))])
            if start == "latest":
                # Positions are looked up in the background; the end has been found when it is reached.
                equal(next(events(consumer)), None, "event at the end of the partition")
            yield Reader(consumer)

    @contextmanager
    def producer(self, codec="none", idempotent=False, linger_ms=0, batch_size=16384, max_request_size=1_000_000):
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
                }
            )
        )


class Sender:
    def __init__(self, producer):
        self.producer = producer

    def send(self, topic, records):
        reports = []
        for r in records:
            self.producer.produce(
                topic,
                partition=0,
                key=r.key,
                value=r.value,
                headers=r.headers,
                timestamp=r.timestamp or 0,
                on_delivery=lambda error, message: reports.append((error, message)),
            )
        equal(self.producer.flush(PATIENCE_S), 0, "records without a delivery report")
        for error, _ in reports:
            # The library's own size check raises in produce() instead.
            if error and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise MessageTooLarge
            if error:
                raise KafkaException(error)
        return [message.offset() for _, message in reports]


def events(consumer):
    """Messages, and None whenever the end of the partition is reached."""
    while True:
        message = consumer.poll(PATIENCE_S)
        if message is None:
            raise AssertionError(f"nothing arrived in {PATIENCE_S} s")
        if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            yield None
        elif message.error():
            raise KafkaException(message.error())
        else:
            yield message


class Reader:
    def __init__(self, consumer):
        self.consumer = consumer

    def read(self, count):
        records = []
        for message in events(self.consumer):
            if message is None:
                continue
            timestamp_type, timestamp = message.timestamp()
            equal(timestamp_type, TIMESTAMP_CREATE_TIME, "timestamp type")
            records.append(
                Record(message.key(), message.value(), message.headers() or [], timestamp, message.offset())
            )
            if len(records) == count:
                return records


if __name__ == "__main__":
    main(Client)
