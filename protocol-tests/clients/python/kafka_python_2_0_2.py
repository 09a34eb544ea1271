"""kafka-python 2.0.2, of which many an installation still lives: it infers the broker's release from
the ranges of ApiVersions v0 and sends versions of Kafka 1.0 and 2.5.
"""

import kafka_python_common as common
from contract import (
    PATIENCE_S,
    Cluster,
    Config,
    InvalidPartitions,
    NotApplicable,
    TopicExists,
    UnknownTopic,
    equal,
    main,
)
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
from kafka.errors import (
    InvalidPartitionsError,
    KafkaConnectionError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from kafka_python_members import ensure_ok

DEFAULT_CONFIG = 5


class Client(common.Client):
    idempotent = False
    lists_max_timestamp = False

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.admin = KafkaAdminClient(**self.common)

    def reliability(self, _idempotent):
        # By default a restart of the broker is the application's affair: no retries, and the request's
        # timeout is also the time that a batch may wait.
        return {"retries": 1_000_000, "request_timeout_ms": PATIENCE_S * 1000}

    def create_topic(self, topic, partitions, configs={}):
        new = NewTopic(topic, partitions, 1, topic_configs=configs)
        try:
            try:
                self.admin.create_topics([new], timeout_ms=PATIENCE_S * 1000)
            except KafkaConnectionError:
                # Its admin client tells a connection that died meanwhile and does not try again.
                self.admin.create_topics([new], timeout_ms=PATIENCE_S * 1000)
        except TopicAlreadyExistsError as e:
            raise TopicExists from e

    def delete_topic(self, topic):
        self.admin.delete_topics([topic], timeout_ms=PATIENCE_S * 1000)

    def topics(self):
        return self.admin.list_topics()

    def topic_id(self, _topic):
        return None

    def led_partitions(self, topic):
        (described,) = self.admin.describe_topics([topic])
        return {p["partition"] for p in described["partitions"] if p["leader"] >= 0}

    def cluster(self):
        described = self.admin.describe_cluster()
        brokers = {(b["node_id"], b["host"], b["port"]) for b in described["brokers"]}
        return Cluster(described.get("cluster_id"), described["controller_id"], brokers)

    def create_partitions(self, topic, total):
        try:
            self.admin.create_partitions({topic: NewPartitions(total)})
        except InvalidPartitionsError as e:
            raise InvalidPartitions from e

    def described(self, kind, name):
        (answer,) = self.admin.describe_configs([ConfigResource(kind, name)])
        ((error, _, _, _, entries),) = answer.resources
        if error == UnknownTopicOrPartitionError.errno:
            raise UnknownTopic
        equal(error, 0, "error of describe_configs")
        # Version 1: a source where version 0 says whether it is the default.
        return {entry[0]: Config(entry[1], entry[3] == DEFAULT_CONFIG, entry[2]) for entry in entries}

    def topic_configs(self, topic):
        return self.described(ConfigResourceType.TOPIC, topic)

    def broker_configs(self, broker):
        return self.described(ConfigResourceType.BROKER, str(broker))

    def alter_configs(self, topic, configs):
        answer = self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
        equal([resource[0] for resource in answer.resources], [0], "errors of alter_configs")

    def delete_records(self, _topic, _offset):
        raise NotApplicable("has no call for deleting records")

    def log_dir_size(self, _topic):
        raise NotApplicable("has no call for log directories")

    def listed_offset(self, topic, asked):
        if asked == "earliest":
            return self.first_offset(topic)
        return self.end_offset(topic) if asked == "latest" else self.offset_at(topic, asked)

    def list_groups(self):
        return [group for group, _ in self.admin.list_consumer_groups()]

    def describe_group(self, group):
        (found,) = self.admin.describe_consumer_groups([group])
        owned = [
            [(topic, partition) for topic, partitions in member.member_assignment.assignment for partition in partitions]
            for member in found.members
        ]
        return found.state, found.protocol, owned

    def group_offsets(self, group):
        found = self.admin.list_consumer_group_offsets(group)
        return {tuple(place): offset.offset for place, offset in found.items()}

    def delete_group(self, group):
        ((_, error),) = self.admin.delete_consumer_groups([group])
        ensure_ok(error)


if __name__ == "__main__":
    main(Client)
