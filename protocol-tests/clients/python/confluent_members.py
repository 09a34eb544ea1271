"""Group members and group administration of confluent-kafka."""

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from contract import PATIENCE_S, NotApplicable, Record
from members import COMMIT_MS, HEARTBEAT_MS, METADATA_AGE_MS, POLL_MS, SESSION_TIMEOUT_MS, Owned, Refused

STRATEGIES = {"range": "range", "cooperative": "cooperative-sticky"}


def awaited(future):
    try:
        return future.result(PATIENCE_S)
    except KafkaException as e:
        raise Refused(e.args[0].name()) from e


def places(partitions):
    return [(p.topic, p.partition) for p in partitions]


class Member:
    def __init__(self, client, group, options, tell):
        self.tell, self.owned = tell, Owned(tell)
        settings = {
            "group.id": group,
            "partition.assignment.strategy": STRATEGIES[options["assignor"]],
            "session.timeout.ms": int(options.get("session", SESSION_TIMEOUT_MS)),
            "heartbeat.interval.ms": HEARTBEAT_MS,
            "topic.metadata.refresh.interval.ms": METADATA_AGE_MS,
            "auto.offset.reset": options["reset"],
            "enable.auto.commit": options["commits"] == "auto",
            "auto.commit.interval.ms": COMMIT_MS,
            "fetch.wait.max.ms": 50,
            "on_commit": self.committed,
        }
        if "instance" in options:
            settings["group.instance.id"] = options["instance"]
        self.consumer = Consumer(client.common | settings)
        # A topic whose name begins with ^ is a pattern.
        self.consumer.subscribe(
            [options["pattern"]] if "pattern" in options else options["topics"].split(","),
            on_assign=lambda _, assigned: self.owned.assign(places(assigned)),
            on_revoke=lambda _, revoked: self.owned.revoke(places(revoked)),
        )

    def poll(self):
        records = []
        first = self.consumer.poll(POLL_MS / 1000)
        for m in ([first] if first else []) + self.consumer.consume(1000, 0):
            if not m.error():
                records.append(Record(value=m.value(), offset=m.offset(), topic=m.topic(), partition=m.partition()))
            # Connections come and go when a broker is restarted.
            elif m.error().code() not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                raise KafkaException(m.error())
        return records

    def commit(self, how):
        if how == "sync":
            self.consumer.commit(asynchronous=False)
            self.tell("committed")
        else:
            self.consumer.commit(asynchronous=True)
            self.awaits_commit = True

    awaits_commit = False

    def committed(self, error, _partitions):
        """Called for synchronous commits too."""
        if self.awaits_commit:
            self.awaits_commit = False
            self.tell(*(("failed", error) if error else ("committed",)))

    def pause(self, place):
        self.consumer.pause([TopicPartition(*place)])

    def resume(self, place):
        self.consumer.resume([TopicPartition(*place)])

    def seek(self, place, offset):
        self.consumer.seek(TopicPartition(*place, offset))

    def close(self):
        self.consumer.close()


class Calls:
    def open_member(self, group, options, tell):
        return Member(self, group, options, tell)

    def list_groups(self):
        return [group.group_id for group in awaited(self.admin.list_consumer_groups()).valid]

    def describe_group(self, group):
        found = awaited(self.admin.describe_consumer_groups([group])[group])
        owned = [places(member.assignment.topic_partitions) for member in found.members]
        return found.state.name, found.partition_assignor, owned

    def group_offsets(self, group):
        asked = [ConsumerGroupTopicPartitions(group)]
        found = awaited(self.admin.list_consumer_group_offsets(asked)[group])
        return {(p.topic, p.partition): p.offset for p in found.topic_partitions}

    def alter_offset(self, group, place, offset):
        asked = [ConsumerGroupTopicPartitions(group, [TopicPartition(*place, offset)])]
        awaited(self.admin.alter_consumer_group_offsets(asked)[group])

    def delete_offset(self, _group, _place):
        raise NotApplicable("does not delete offsets")

    def delete_group(self, group):
        awaited(self.admin.delete_consumer_groups([group])[group])

    def remove_member(self, _group, _instance):
        raise NotApplicable("does not remove members")
