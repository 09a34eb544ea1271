"""Group members and group administration of aiokafka."""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from contract import NotApplicable, Record
from members import COMMIT_MS, HEARTBEAT_MS, METADATA_AGE_MS, POLL_MS, SESSION_TIMEOUT_MS, Listening, Owned


class Listener(Listening, ConsumerRebalanceListener):
    pass


class Member:
    def __init__(self, client, group, options, tell):
        if options["assignor"] == "cooperative":
            raise NotApplicable("has no cooperative assignor")
        self.wait, self.loop, self.tell = client.wait, client.loop, tell
        self.consumer = self.wait(self.started(client, group, options))

    async def started(self, client, group, options):
        consumer = AIOKafkaConsumer(
            **client.common,
            group_id=group,
            group_instance_id=options.get("instance"),
            partition_assignment_strategy=[RangePartitionAssignor],
            session_timeout_ms=int(options.get("session", SESSION_TIMEOUT_MS)),
            heartbeat_interval_ms=HEARTBEAT_MS,
            metadata_max_age_ms=METADATA_AGE_MS,
            auto_offset_reset=options["reset"],
            enable_auto_commit=options["commits"] == "auto",
            auto_commit_interval_ms=COMMIT_MS,
            fetch_max_wait_ms=50,
        )
        topics = options.get("topics")
        consumer.subscribe(
            topics=topics.split(",") if topics else (),
            pattern=options.get("pattern"),
            listener=Listener(Owned(self.tell)),
        )
        await consumer.start()
        return consumer

    def poll(self):
        batches = self.wait(self.consumer.getmany(timeout_ms=POLL_MS))
        return [
            Record(value=m.value, offset=m.offset, topic=m.topic, partition=m.partition)
            for batch in batches.values()
            for m in batch
        ]

    def commit(self, how):
        if how == "sync":
            self.wait(self.consumer.commit())
            self.tell("committed")
        else:
            committing = asyncio.run_coroutine_threadsafe(self.consumer.commit(), self.loop)
            committing.add_done_callback(self.committed)

    def committed(self, future):
        error = future.exception()
        self.tell(*(("failed", error) if error else ("committed",)))

    def inside(self, call, *arguments):
        """Calls something that is to run on the loop's thread."""

        async def run():
            call(*arguments)

        self.wait(run())

    def pause(self, place):
        self.inside(self.consumer.pause, TopicPartition(*place))

    def resume(self, place):
        self.inside(self.consumer.resume, TopicPartition(*place))

    def seek(self, place, offset):
        self.inside(self.consumer.seek, TopicPartition(*place), offset)

    def close(self):
        self.wait(self.consumer.stop())


class Calls:
    def open_member(self, group, options, tell):
        return Member(self, group, options, tell)

    def list_groups(self):
        return [group for group, *_ in self.wait(self.admin.list_consumer_groups())]

    def describe_group(self, group):
        (answer,) = self.wait(self.admin.describe_consumer_groups([group]))
        ((_, _, state, _, protocol, members, *_),) = answer.groups
        owned = []
        for *_, assignment in members:
            topics = ConsumerProtocolMemberAssignment.decode(assignment).assignment
            owned.append([(topic, partition) for topic, partitions in topics for partition in partitions])
        return state, protocol, owned

    def group_offsets(self, group):
        found = self.wait(self.admin.list_consumer_group_offsets(group))
        return {tuple(place): offset.offset for place, offset in found.items()}

    def alter_offset(self, _group, _place, _offset):
        raise NotApplicable("does not alter offsets")

    def delete_offset(self, _group, _place):
        raise NotApplicable("does not delete offsets")

    def delete_group(self, _group):
        raise NotApplicable("does not delete groups")

    def remove_member(self, _group, _instance):
        raise NotApplicable("does not remove members")
