"""Group members of both generations of kafka-python."""

from contract import NotApplicable, Record
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor

from members import (
    COMMIT_MS,
    HEARTBEAT_MS,
    METADATA_AGE_MS,
    POLL_MS,
    SESSION_TIMEOUT_MS,
    Listening,
    Owned,
    Refused,
)


def ensure_ok(error):
    """`error` is one of the library's classes of errors."""
    if error.errno:
        raise Refused(error.message)


class Listener(Listening, ConsumerRebalanceListener):
    pass


class Member:
    def __init__(self, client, group, options, tell):
        self.client, self.tell = client, tell
        self.consumer = KafkaConsumer(
            **client.common,
            group_id=group,
            partition_assignment_strategy=[self.assignor(client, options["assignor"])],
            session_timeout_ms=int(options.get("session", SESSION_TIMEOUT_MS)),
            heartbeat_interval_ms=HEARTBEAT_MS,
            metadata_max_age_ms=METADATA_AGE_MS,
            auto_offset_reset=options["reset"],
            enable_auto_commit=options["commits"] == "auto",
            auto_commit_interval_ms=COMMIT_MS,
            fetch_max_wait_ms=50,
            **client.consumer_options,
            **client.static(options.get("instance")),
        )
        topics = options.get("topics")
        self.consumer.subscribe(
            topics=topics.split(",") if topics else (),
            pattern=options.get("pattern"),
            listener=Listener(Owned(tell)),
        )

    @staticmethod
    def assignor(client, name):
        return RangePartitionAssignor if name == "range" else client.cooperative_assignor()

    def poll(self):
        self.client.mend(self.consumer)
        batches = self.consumer.poll(timeout_ms=POLL_MS)
        return [
            Record(value=m.value, offset=m.offset, topic=m.topic, partition=m.partition)
            for batch in batches.values()
            for m in batch
        ]

    def commit(self, how):
        if how == "sync":
            self.consumer.commit()
            self.tell("committed")
        else:
            self.consumer.commit_async(callback=self.committed)

    def committed(self, _offsets, error):
        if isinstance(error, Exception):
            self.tell("failed", f"{error}")
        else:
            self.tell("committed")

    def pause(self, place):
        self.consumer.pause(TopicPartition(*place))

    def resume(self, place):
        self.consumer.resume(TopicPartition(*place))

    def seek(self, place, offset):
        self.consumer.seek(TopicPartition(*place), offset)

    def close(self):
        self.consumer.close()


class Calls:
    """Admin calls of the release without a name of their own yet."""

    def open_member(self, group, options, tell):
        return Member(self, group, options, tell)

    def cooperative_assignor(self):
        raise NotApplicable("has no cooperative assignor")

    def static(self, instance):
        """The options of a static member."""
        if instance:
            raise NotApplicable("has no static members")
        return {}

    def mend(self, consumer):
        """Is called before every poll, for what a release gets wrong."""

    def alter_offset(self, _group, _place, _offset):
        raise NotApplicable("does not alter offsets")

    def delete_offset(self, _group, _place):
        raise NotApplicable("does not delete offsets")

    def remove_member(self, _group, _instance):
        raise NotApplicable("does not remove members")
