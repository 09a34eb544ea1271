"""The newest kafka-python, a client without a line of C."""

import kafka.errors
import kafka_python_common as common
from contract import PATIENCE_S, Cluster, Config, InvalidPartitions, TopicExists, UnknownTopic, equal, main
from kafka import OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, KafkaAdminClient, MemberToRemove, OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import InvalidPartitionsError, TopicAlreadyExistsError
from kafka_python_members import ensure_ok

SPECS = {"earliest": OffsetSpec.EARLIEST, "latest": OffsetSpec.LATEST, "max-timestamp": OffsetSpec.MAX_TIMESTAMP}


class Client(common.Client):
    consumer_options = {"allow_auto_create_topics": False}
    lists_max_timestamp = True

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.admin = KafkaAdminClient(**self.common)

    def reliability(self, idempotent):
        return {"enable_idempotence": idempotent, "delivery_timeout_ms": PATIENCE_S * 1000}

    def create_topic(self, topic, partitions, configs={}):
        options = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
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

    def cluster(self):
        described = self.admin.describe_cluster()
        brokers = {(b["broker_id"], b["host"], b["port"]) for b in described["brokers"]}
        return Cluster(described["cluster_id"], described["controller_id"], brokers)

    def create_partitions(self, topic, total):
        try:
            self.admin.create_partitions({topic: total})
        except InvalidPartitionsError as e:
            raise InvalidPartitions from e

    def described(self, kind, name):
        answer = self.admin.describe_configs([ConfigResource(kind, name)], config_filter="all")
        return {
            name: Config(c["value"], c["config_source"] == "DEFAULT_CONFIG", c["read_only"])
            for name, c in answer[kind.lower()][name].items()
        }

    def topic_configs(self, topic):
        # The library drops the error and answers with no configs at all.
        configs = self.described("TOPIC", topic)
        if not configs:
            raise UnknownTopic
        return configs

    def broker_configs(self, broker):
        return self.described("BROKER", str(broker))

    def alter_configs(self, topic, configs):
        answer = self.admin.alter_configs([ConfigResource("TOPIC", topic, dict(configs))])
        equal(answer["topic"][topic], "OK", "alter_configs")

    def delete_records(self, topic, offset):
        place = TopicPartition(topic, 0)
        return self.admin.delete_records({place: offset})[place]["low_watermark"]

    def log_dir_size(self, topic):
        ((broker),) = self.admin.describe_log_dirs({topic: [0]})
        ((directory),) = broker["log_dirs"]
        equal(directory["error_code"], 0, "error of the directory")
        ((found),) = directory["topics"]
        ((partition),) = found["partitions"]
        equal((partition["offset_lag"], partition["is_future_key"]), (0, False), "lag and future")
        return partition["partition_size"]

    def listed_offset(self, topic, asked):
        place = TopicPartition(topic, 0)
        return self.admin.list_partition_offsets({place: SPECS.get(asked, asked)})[place].offset

    def cooperative_assignor(self):
        return CooperativeStickyAssignor

    def static(self, instance):
        return {"group_instance_id": instance}

    def mend(self, consumer):
        """3.0.12 forgets to finish a rejoin that new partitions caused, if a poll ends meanwhile."""
        if consumer._coordinator.rejoining:
            consumer._coordinator.request_rejoin()

    def list_groups(self):
        return [group["group_id"] for group in self.admin.list_groups()]

    def describe_group(self, group):
        found = self.admin.describe_groups([group])[group]
        equal(found["error"], None, "error")
        owned = [
            [(topic["topic"], p) for topic in member["member_assignment"]["assigned_partitions"] for p in topic["partitions"]]
            for member in found["members"]
        ]
        return found["group_state"], found["protocol_data"], owned

    def group_offsets(self, group):
        found = self.admin.list_group_offsets(group)[group]
        return {tuple(place): offset.offset for place, offset in found.items()}

    def alter_offset(self, group, place, offset):
        place, offset = TopicPartition(*place), OffsetAndMetadata(offset, "", -1)
        ensure_ok(self.admin.alter_group_offsets(group, {place: offset})[place])

    def delete_offset(self, group, place):
        place = TopicPartition(*place)
        ensure_ok(self.admin.delete_group_offsets(group, [place])[place])

    def delete_group(self, group):
        # It answers with the names of its classes of errors.
        answer = self.admin.delete_groups([group])[group]
        if answer != "OK":
            ensure_ok(getattr(kafka.errors, answer))

    def remove_member(self, group, instance):
        removed = self.admin.remove_group_members(group, [MemberToRemove(group_instance_id=instance)])
        for error in removed.values():
            ensure_ok(error)


if __name__ == "__main__":
    main(Client)
