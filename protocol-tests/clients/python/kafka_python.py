"""kafka-python, a client without a line of C."""

import time
from contextlib import closing, contextmanager

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import MessageSizeTooLargeError, TopicAlreadyExistsError

from scenarios import PATIENCE_S, MessageTooLarge, Record, TopicExists, equal, main

CREATE_TIME = 0


class Client:
    # KafkaProducer.send raises TypeError and ValueError.
    sends_null_headers = False
    sends_null_key_with_null_value = False

    def __init__(self, bootstrap):
        self.common = {"bootstrap_servers": bootstrap, "request_timeout_ms": 10_000}
        self.admin = KafkaAdminClient(**self.common)

    def create_topic(self, topic, partitions):
        options = {"num_partitions": partitions, "replication_factor": 1}
        try:
            self.admin.create_topics({topic: options}, timeout_ms=PATIENCE_S * 1000)
        except TopicAlreadyExistsError as e:
            raise TopicExists from e

    def delete_topic(self, topic):
        self.admin.delete_topics([topic], timeout_ms=PATIENCE_S * 1000)

    def topics(self):
        return self.admin.list_topics()

    def describe(self, topic):
        (described,) = self.admin.describe_topics([topic])
        return described

    def topic_id(self, topic):
        return str(self.describe(topic)["topic_id"])

    def led_partitions(self, topic):
        return {p["partition_index"] for p in self.describe(topic)["partitions"] if p["leader_id"] >= 0}

    def end_offset(self, topic):
        partition = TopicPartition(topic, 0)
        with closing(self.bare_consumer()) as consumer:
            return consumer.end_offsets([partition])[partition]

    def offset_at(self, topic, timestamp):
        partition = TopicPartition(topic, 0)
        with closing(self.bare_consumer()) as consumer:
            found = consumer.offsets_for_times({partition: timestamp})[partition]
        return found and found.offset

    def bare_consumer(self):
        return KafkaConsumer(
            **self.common,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            allow_auto_create_topics=False,
            fetch_max_wait_ms=50,
        )

    @contextmanager
    def consumer(self, topic, start):
        partition = TopicPartition(topic, 0)
        with closing(self.bare_consumer()) as consumer:
            consumer.assign([partition])
            if start == "earliest":
                consumer.seek_to_beginning(partition)
            elif start == "latest":
                consumer.seek_to_end(partition)
            else:
                consumer.seek(partition, start)
            consumer.position(partition)  # seeking is lazy; this looks the position up now
            yield Reader(consumer)

    @contextmanager
    def producer(self, codec="none", idempotent=True, linger_ms=0, batch_size=16384, max_request_size=1_000_000):
        producer = KafkaProducer(
            **self.common,
            acks="all",
            max_block_ms=PATIENCE_S * 1000,
            delivery_timeout_ms=PATIENCE_S * 1000,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent,
            linger_ms=linger_ms,
            batch_size=batch_size,
            max_request_size=max_request_size,
        )
        try:
            yield Sender(producer)
        finally:
            producer.close(timeout=PATIENCE_S)


class Sender:
    def __init__(self, producer):
        self.producer = producer

    def send(self, topic, records):
        # The client's own size check raises here, not from the future.
        acks = [
            self.producer.send(
                topic, partition=0, key=r.key, value=r.value, headers=r.headers, timestamp_ms=r.timestamp
            )
            for r in records
        ]
        self.producer.flush(timeout=PATIENCE_S)
        try:
            return [ack.get(timeout=PATIENCE_S).offset for ack in acks]
        except MessageSizeTooLargeError as e:
            raise MessageTooLarge from e


class Reader:
    def __init__(self, consumer):
        self.consumer = consumer

    def read(self, count):
        records = []
        deadline = time.monotonic() + PATIENCE_S
        while len(records) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"only {len(records)} of {count} records in {PATIENCE_S} s")
            for batch in self.consumer.poll(timeout_ms=500).values():
                records += [self.record(message) for message in batch]
        return records

    @staticmethod
    def record(message):
        equal(message.timestamp_type, CREATE_TIME, "timestamp type")
        return Record(message.key, message.value, list(message.headers), message.timestamp, message.offset)


if __name__ == "__main__":
    main(Client)
