import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What an operator's program asks for. */
final class AdminScenarios {
    private final Cluster cluster;

    AdminScenarios(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Scenarios scenarios) {
        scenarios.add("describe-cluster", this::describeCluster);
        scenarios.add("create-partitions", this::createPartitions);
        scenarios.add("describe-configs", this::describeConfigs);
        scenarios.add("delete-records", this::deleteRecords);
        scenarios.add("describe-log-dirs", this::describeLogDirs);
        scenarios.addWithDetail("list-offsets", this::listOffsets);
    }

    private static Node onlyBroker(AdminClient admin) throws Exception {
        List<Node> nodes = new ArrayList<>(Cluster.get(admin.describeCluster().nodes()));
        Check.equal(nodes.size(), 1, "brokers");
        return nodes.get(0);
    }

    private void describeCluster() throws Exception {
        try (AdminClient admin = cluster.admin()) {
            DescribeClusterResult described = admin.describeCluster();
            Node broker = onlyBroker(admin);
            Check.equal(broker.host() + ":" + broker.port(), cluster.bootstrap(), "address of the broker");
            Check.equal(Cluster.get(described.controller()).id(), broker.id(), "controller");
            String id = Cluster.get(described.clusterId());
            Check.that(!id.isEmpty(), "the cluster id is empty");
            Check.equal(Cluster.get(admin.describeCluster().clusterId()), id, "cluster id, asked again");
        }
    }

    private void createPartitions() throws Exception {
        String topic = cluster.topic("create-partitions");
        TopicPartition first = cluster.create("create-partitions");
        List<TopicPartition> all = List.of(first, new TopicPartition(topic, 1), new TopicPartition(topic, 2));
        try (AdminClient admin = cluster.admin();
                Producer<byte[], byte[]> producer = cluster.producer("metadata.max.age.ms", "500");
                Consumer<byte[], byte[]> consumer = cluster.consumer(List.of(first), "metadata.max.age.ms", "500")) {
            send(producer, first);
            consumer.seekToBeginning(List.of(first));
            Check.values(Cluster.read(consumer, 1), 0, "in 0");
            Release.createPartitions(admin, topic, 3);
            Cluster.await("the producer knows 3 partitions", () -> producer.partitionsFor(topic).size() == 3);
            for (TopicPartition partition : all) {
                send(producer, partition);
            }
            Cluster.await("the consumer knows 3 partitions", () -> {
                Release.poll(consumer, 10);
                return consumer.partitionsFor(topic).size() == 3;
            });
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Set<String> found = new HashSet<>();
            for (ConsumerRecord<byte[], byte[]> record : Cluster.read(consumer, 4)) {
                found.add(record.partition() + "@" + record.offset() + " " + new String(record.value()));
            }
            Check.equal(found, Set.of("0@0 in 0", "0@1 in 0", "1@0 in 1", "2@0 in 2"), "records");
            try {
                Release.createPartitions(admin, topic, 3);
                throw new AssertionError("the same count was accepted");
            } catch (ExecutionException e) {
                Check.that(e.getCause() instanceof InvalidPartitionsException, "got " + e.getCause());
            }
        }
    }

    private static void send(Producer<byte[], byte[]> producer, TopicPartition partition) throws Exception {
        byte[] value = ("in " + partition.partition()).getBytes();
        Cluster.get(producer.send(new ProducerRecord<>(partition.topic(), partition.partition(), null, value)));
    }

    static Map<String, ConfigEntry> configs(AdminClient admin, ConfigResource.Type type, String name)
            throws Exception {
        ConfigResource resource = new ConfigResource(type, name);
        Config config = Cluster.get(admin.describeConfigs(List.of(resource)).all()).get(resource);
        return config.entries().stream().collect(Collectors.toMap(ConfigEntry::name, entry -> entry));
    }

    private void describeConfigs() throws Exception {
        String topic = cluster.topic("describe-configs");
        try (AdminClient admin = cluster.admin()) {
            cluster.create(admin, topic, 1, Map.of("retention.ms", "86400000"));
            Cluster.await("the topic's own value", () -> configs(admin, ConfigResource.Type.TOPIC, topic)
                    .get("retention.ms").value().equals("86400000"));
            Map<String, ConfigEntry> found = configs(admin, ConfigResource.Type.TOPIC, topic);
            ConfigEntry retention = found.get("retention.ms");
            Check.that(!retention.isDefault() && !retention.isReadOnly(), "found " + retention);
            ConfigEntry segment = found.get("segment.bytes");
            Check.equal(segment.value(), "1073741824", "segment.bytes");
            Check.that(segment.isDefault() && !segment.isReadOnly(), "found " + segment);

            String broker = onlyBroker(admin).idString();
            ConfigEntry nodeId = configs(admin, ConfigResource.Type.BROKER, broker).get("node.id");
            Check.equal(nodeId.value(), broker, "node.id");
            Check.that(nodeId.isReadOnly(), "node.id is not read-only");
            try {
                configs(admin, ConfigResource.Type.TOPIC, topic + "-absent");
                throw new AssertionError("an absent topic was described");
            } catch (ExecutionException e) {
                Check.that(e.getCause() instanceof UnknownTopicOrPartitionException, "got " + e.getCause());
            }
        }
    }

    private void deleteRecords() throws Exception {
        TopicPartition partition = cluster.create("delete-records");
        cluster.sendAsOneBatch(partition, "0", "1", "2", "3", "4");
        try (AdminClient admin = cluster.admin();
                Consumer<byte[], byte[]> consumer = cluster.consumer(partition)) {
            Check.equal(Release.deleteRecords(admin, partition, 3), 3L, "low watermark");
            Check.equal(Cluster.firstOffset(consumer, partition), 3L, "first offset");
            consumer.seekToBeginning(List.of(partition));
            Check.values(Cluster.read(consumer, 2), 3, "3", "4");
            consumer.seek(partition, 0);
            expectOutOfRange(consumer);
            Check.equal(Release.deleteRecords(admin, partition, -1), 5L, "low watermark at the end");
            Check.equal(Cluster.firstOffset(consumer, partition), 5L, "first offset at the end");
            Check.equal(Cluster.endOffset(consumer, partition), 5L, "end offset");
        }
    }

    private static void expectOutOfRange(Consumer<?, ?> consumer) {
        long deadline = System.nanoTime() + Cluster.PATIENCE.toNanos();
        try {
            while (System.nanoTime() < deadline) {
                Release.poll(consumer, 100);
            }
        } catch (OffsetOutOfRangeException e) {
            return;
        }
        throw new AssertionError("no error at an offset that is gone");
    }

    private void describeLogDirs() throws Exception {
        TopicPartition partition = cluster.create("describe-log-dirs");
        Random random = new Random();
        byte[] value = new byte[1000];
        try (AdminClient admin = cluster.admin();
                Producer<byte[], byte[]> producer = cluster.producer()) {
            for (int i = 0; i < 10; i++) {
                random.nextBytes(value);
                Cluster.get(producer.send(new ProducerRecord<>(partition.topic(), 0, null, value.clone())));
            }
            long size = Release.logDirSize(admin, onlyBroker(admin).id(), partition);
            Check.that(size > 10_000, size + " bytes");
        }
    }

    private String listOffsets() throws Exception {
        TopicPartition partition = cluster.create("list-offsets");
        long base = System.currentTimeMillis() - 60_000;
        try (Producer<byte[], byte[]> producer = cluster.producer()) {
            for (int at : List.of(1000, 3000, 2000)) {
                Cluster.get(producer.send(new ProducerRecord<>(
                        partition.topic(), 0, base + at, null, ("at " + at).getBytes())));
            }
        }
        try (AdminClient admin = cluster.admin()) {
            listed(admin, partition, Cluster.At.Kind.EARLIEST, 0, 0);
            listed(admin, partition, Cluster.At.Kind.LATEST, 0, 3);
            listed(admin, partition, Cluster.At.Kind.TIMESTAMP, base + 1500, 1);
            try {
                listed(admin, partition, Cluster.At.Kind.MAX_TIMESTAMP, 0, 1);
                return "";
            } catch (NotApplicable e) {
                return e.getMessage();
            }
        } catch (NotApplicable e) {
            try (Consumer<byte[], byte[]> consumer = cluster.consumer(partition)) {
                Check.equal(Cluster.firstOffset(consumer, partition), 0L, "earliest");
                Check.equal(Cluster.endOffset(consumer, partition), 3L, "latest");
                Check.equal(consumer.offsetsForTimes(Collections.singletonMap(partition, base + 1500))
                        .get(partition).offset(), 1L, "by timestamp");
            }
            return e.getMessage();
        }
    }

    private static void listed(AdminClient admin, TopicPartition partition, Cluster.At.Kind kind,
            long timestamp, long wanted) throws Exception {
        Check.equal(Release.listedOffset(admin, partition, new Cluster.At(kind, timestamp)), wanted, "" + kind);
    }
}
