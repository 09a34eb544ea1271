"""Producing and consuming with kafka-python, the same in every release."""

from contextlib import closing, contextmanager

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import MessageSizeTooLargeError, OffsetOutOfRangeError

import kafka_python_members
from contract import PATIENCE_S, MessageTooLarge, OutOfRange, Record

LOG_APPEND_TIME = 1
POLL_MS = 500


class Client(kafka_python_members.Calls):
    # KafkaProducer.send raises TypeError and ValueError.
    sends_null_headers = False
    sends_null_key_with_null_value = False
    idempotent = True
    # What a release does not know, it refuses.
    consumer_options = {}

    def __init__(self, bootstrap):
        self.common = {"bootstrap_servers": bootstrap, "request_timeout_ms": 10_000}
        self.inspector = self.bare_consumer()

    def end_offsets(self, places):
        ends = self.inspector.end_offsets([TopicPartition(*place) for place in places])
        return {tuple(place): offset for place, offset in ends.items()}

    def end_offset(self, topic):
        return self.end_offsets([(topic, 0)])[topic, 0]

    def first_offset(self, topic):
        partition = TopicPartition(topic, 0)
        return self.inspector.beginning_offsets([partition])[partition]

    def offset_at(self, topic, timestamp):
        partition = TopicPartition(topic, 0)
        found = self.inspector.offsets_for_times({partition: timestamp})[partition]
        return found and found.offset

    def bare_consumer(self, **options):
        return KafkaConsumer(
            **self.common,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=50,
            **self.consumer_options,
            **options,
        )

    @contextmanager
    def consumer(self, places, start, metadata_age_ms=300_000):
        with closing(self.bare_consumer(metadata_max_age_ms=metadata_age_ms)) as consumer:
            reader = Reader(consumer)
            reader.assign(places, start)
            yield reader

    def reliability(self, idempotent):
        """The producer's options for delivery."""
        raise NotImplementedError

    @contextmanager
    def producer(
        self,
        codec="none",
        idempotent=True,
        linger_ms=0,
        batch_size=16384,
        max_request_size=1_000_000,
        in_flight=5,
        metadata_age_ms=300_000,
    ):
        producer = KafkaProducer(
            **self.common | self.reliability(idempotent),
            acks="all",
            max_block_ms=PATIENCE_S * 1000,
            compression_type=None if codec == "none" else codec,
            linger_ms=linger_ms,
            batch_size=batch_size,
            max_request_size=max_request_size,
            max_in_flight_requests_per_connection=in_flight,
            metadata_max_age_ms=metadata_age_ms,
        )
        try:
            yield Sender(producer)
        finally:
            producer.close(timeout=PATIENCE_S)


class Ack:
    def __init__(self, future):
        self.future = future

    def wait(self):
        try:
            return self.future.get(timeout=PATIENCE_S).offset
        except MessageSizeTooLargeError as e:
            raise MessageTooLarge from e


class Sender:
    def __init__(self, producer):
        self.producer = producer

    def partitions(self, topic):
        return set(self.producer.partitions_for(topic))

    def begin(self, topic, record):
        # The client's own size check raises here, not from the future.
        return Ack(
            self.producer.send(
                topic,
                partition=record.partition,
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp_ms=record.timestamp,
            )
        )

    def send(self, topic, records):
        acks = [self.begin(topic, record) for record in records]
        self.producer.flush(timeout=PATIENCE_S)
        return [ack.wait() for ack in acks]


class Reader:
    def __init__(self, consumer):
        self.consumer = consumer

    def assign(self, places, start):
        partitions = [TopicPartition(*place) for place in places]
        self.consumer.assign(partitions)
        if start == "earliest":
            self.consumer.seek_to_beginning(*partitions)
        elif start == "latest":
            self.consumer.seek_to_end(*partitions)
            self.consumer.position(partitions[0])  # seeking is lazy; this looks the position up now
        else:
            self.consumer.seek(partitions[0], start)

    def partitions(self, topic):
        return set(self.consumer.partitions_for_topic(topic) or ())

    def poll(self):
        try:
            batches = self.consumer.poll(timeout_ms=POLL_MS)
        except OffsetOutOfRangeError as e:
            raise OutOfRange from e
        return [self.record(message) for batch in batches.values() for message in batch]

    @staticmethod
    def record(message):
        return Record(
            message.key,
            message.value,
            list(message.headers),
            message.timestamp,
            message.offset,
            message.topic,
            message.partition,
            message.timestamp_type == LOG_APPEND_TIME,
        )
