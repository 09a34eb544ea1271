"""aiokafka: an event loop in a thread of its own, and the scenarios outside of it."""

import asyncio
import threading
from contextlib import contextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidPartitionsError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

import aio_members
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

DEFAULT_CONFIG = 5
LOG_APPEND_TIME = 1
POLL_MS = 500


class Client(aio_members.Calls):
    sends_null_headers = True
    sends_null_key_with_null_value = False  # AIOKafkaProducer.send asserts one of them
    idempotent = True
    lists_max_timestamp = False

    def __init__(self, bootstrap):
        self.common = {"bootstrap_servers": bootstrap, "request_timeout_ms": 10_000}
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.admin = self.wait(self.started(AIOKafkaAdminClient, **self.common))
        self.inspector = self.wait(self.started_consumer())

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)

    @staticmethod
    async def started(make, **options):
        # Its constructors want the running loop.
        made = make(**options)
        await made.start()
        return made

    def started_consumer(self, **options):
        return self.started(
            AIOKafkaConsumer,
            **self.common,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=50,
            **options,
        )

    def create_topic(self, topic, partitions, configs={}):
        new = NewTopic(topic, partitions, 1, topic_configs=configs)
        answer = self.wait(self.admin.create_topics([new], timeout_ms=PATIENCE_S * 1000))
        try:
            succeeded(answer.topic_errors)
        except TopicAlreadyExistsError as e:
            raise TopicExists from e

    def delete_topic(self, topic):
        succeeded(self.wait(self.admin.delete_topics([topic])).topic_error_codes)

    def topics(self):
        return self.wait(self.admin.list_topics())

    def topic_id(self, _topic):
        return None

    def led_partitions(self, topic):
        (described,) = self.wait(self.admin.describe_topics([topic]))
        return {p["partition"] for p in described["partitions"] if p["leader"] >= 0}

    def cluster(self):
        described = self.wait(self.admin.describe_cluster())
        brokers = {(b["node_id"], b["host"], b["port"]) for b in described["brokers"]}
        return Cluster(described.get("cluster_id"), described["controller_id"], brokers)

    def create_partitions(self, topic, total):
        try:
            self.wait(self.admin.create_partitions({topic: NewPartitions(total)}))
        except InvalidPartitionsError as e:
            raise InvalidPartitions from e

    def described(self, kind, name):
        (answer,) = self.wait(self.admin.describe_configs([ConfigResource(kind, name)]))
        ((error, _, _, _, entries),) = answer.resources
        if error == UnknownTopicOrPartitionError.errno:
            raise UnknownTopic
        equal(error, 0, "error of describe_configs")
        return {entry[0]: Config(entry[1], entry[3] == DEFAULT_CONFIG, entry[2]) for entry in entries}

    def topic_configs(self, topic):
        return self.described(ConfigResourceType.TOPIC, topic)

    def broker_configs(self, broker):
        return self.described(ConfigResourceType.BROKER, str(broker))

    def alter_configs(self, topic, configs):
        (answer,) = self.wait(self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)]))
        equal([resource[0] for resource in answer.resources], [0], "errors of alter_configs")

    def delete_records(self, topic, offset):
        place = TopicPartition(topic, 0)
        return self.wait(self.admin.delete_records({place: RecordsToDelete(offset)}))[place]

    def log_dir_size(self, _topic):
        raise NotApplicable("has no call for log directories")

    def listed_offset(self, topic, asked):
        if asked == "earliest":
            return self.first_offset(topic)
        return self.end_offset(topic) if asked == "latest" else self.offset_at(topic, asked)

    def end_offsets(self, places):
        ends = self.wait(self.inspector.end_offsets([TopicPartition(*place) for place in places]))
        return {tuple(place): offset for place, offset in ends.items()}

    def end_offset(self, topic):
        return self.end_offsets([(topic, 0)])[topic, 0]

    def first_offset(self, topic):
        partition = TopicPartition(topic, 0)
        return self.wait(self.inspector.beginning_offsets([partition]))[partition]

    def offset_at(self, topic, timestamp):
        partition = TopicPartition(topic, 0)
        found = self.wait(self.inspector.offsets_for_times({partition: timestamp}))[partition]
        return found and found.offset

    @contextmanager
    def consumer(self, places, start, metadata_age_ms=300_000):
        consumer = self.wait(self.started_consumer(metadata_max_age_ms=metadata_age_ms))
        try:
            reader = Reader(self, consumer)
            reader.assign(places, start)
            yield reader
        finally:
            self.wait(consumer.stop())

    @contextmanager
    def producer(
        self,
        codec="none",
        idempotent=False,
        linger_ms=0,
        batch_size=16384,
        max_request_size=1_000_000,
        in_flight=1,
        metadata_age_ms=300_000,
    ):
        # The library has one request in flight for a partition, whatever one asks for.
        producer = self.wait(
            self.started(
                AIOKafkaProducer,
                **self.common | {"request_timeout_ms": PATIENCE_S * 1000},
                acks="all",
                compression_type=None if codec == "none" else codec,
                enable_idempotence=idempotent,
                linger_ms=linger_ms,
                max_batch_size=batch_size,
                max_request_size=max_request_size,
                metadata_max_age_ms=metadata_age_ms,
            )
        )
        try:
            yield Sender(self, producer)
        finally:
            self.wait(producer.stop())


def succeeded(errors):
    """`errors` holds one tuple, the topic and its code first."""
    ((topic, code, *_),) = errors
    if code:
        raise for_code(code)(topic)


class Ack:
    def __init__(self, client, future):
        self.client, self.future = client, future

    def wait(self):
        try:
            return self.client.wait(self.acknowledged()).offset
        except MessageSizeTooLargeError as e:
            raise MessageTooLarge from e

    async def acknowledged(self):
        return await self.future


class Sender:
    def __init__(self, client, producer):
        self.client, self.producer = client, producer

    def partitions(self, topic):
        return set(self.client.wait(self.producer.partitions_for(topic)))

    async def post(self, topic, record):
        return await self.producer.send(
            topic,
            partition=record.partition,
            key=record.key,
            value=record.value,
            headers=record.headers,
            timestamp_ms=record.timestamp,
        )

    def begin(self, topic, record):
        return Ack(self.client, self.client.wait(self.post(topic, record)))

    def send(self, topic, records):
        async def all_sent():
            acks = [await self.post(topic, record) for record in records]
            await self.producer.flush()
            return [(await ack).offset for ack in acks]

        try:
            return self.client.wait(all_sent())
        except MessageSizeTooLargeError as e:
            raise MessageTooLarge from e


class Reader:
    def __init__(self, client, consumer):
        self.client, self.consumer = client, consumer

    def assign(self, places, start):
        partitions = [TopicPartition(*place) for place in places]
        self.client.wait(self.position(partitions, start))

    async def position(self, partitions, start):
        self.consumer.assign(partitions)
        if start == "earliest":
            await self.consumer.seek_to_beginning(*partitions)
        elif start == "latest":
            await self.consumer.seek_to_end(*partitions)
        else:
            self.consumer.seek(partitions[0], start)

    def partitions(self, topic):
        return set(self.consumer.partitions_for_topic(topic) or ())

    def poll(self):
        try:
            batches = self.client.wait(self.consumer.getmany(timeout_ms=POLL_MS))
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


if __name__ == "__main__":
    main(Client)
