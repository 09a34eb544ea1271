import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TopicExistsException;

/** Topics come, go and come again. */
final class TopicScenarios {
    private final Cluster cluster;

    TopicScenarios(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Map<String, Main.Scenario> scenarios) {
        scenarios.put("create-topic", this::createTopic);
        scenarios.put("auto-create", this::autoCreate);
        scenarios.put("delete-and-recreate", this::deleteAndRecreate);
    }

    private void createTopic() throws Exception {
        String topic = cluster.topic("create-topic");
        try (Admin admin = cluster.admin()) {
            Cluster.Created created = cluster.create(admin, topic, 3);
            Check.equal(created.result().numPartitions(topic).get(), 3, "partitions in the answer");
            try (Consumer<byte[], byte[]> consumer = cluster.consumer(created.partition())) {
                Cluster.await("three partitions in the metadata",
                        () -> partitions(consumer, topic).equals(Set.of(0, 1, 2)));
            }
            try {
                cluster.create(admin, topic, 3);
                throw new AssertionError("created twice");
            } catch (ExecutionException e) {
                Check.that(e.getCause() instanceof TopicExistsException, "second time: " + e.getCause());
            }
        }
    }

    private static Set<Integer> partitions(Consumer<?, ?> consumer, String topic) {
        Set<Integer> led = new HashSet<>();
        List<PartitionInfo> known = consumer.partitionsFor(topic);
        for (PartitionInfo p : known == null ? List.<PartitionInfo>of() : known) {
            if (p.leader() != null && p.replicas().length == 1 && p.inSyncReplicas().length == 1) {
                led.add(p.partition());
            }
        }
        return led;
    }

    private void autoCreate() throws Exception {
        TopicPartition partition = new TopicPartition(cluster.topic("auto-create"), 0);
        try (Producer<byte[], byte[]> producer = cluster.producer()) {
            producer.send(new ProducerRecord<>(partition.topic(), "first try".getBytes()))
                    .get(Cluster.PATIENCE.toSeconds(), TimeUnit.SECONDS);
        }
        Check.values(cluster.readAll(partition, 1), 0, "first try");
    }

    private void deleteAndRecreate() throws Exception {
        String topic = cluster.topic("delete-and-recreate");
        try (Admin admin = cluster.admin()) {
            Cluster.Created first = cluster.create(admin, topic, 1);
            cluster.sendAsOneBatch(first.partition(), "old 0", "old 1", "old 2");
            cluster.readAll(first.partition(), 3);

            admin.deleteTopics(List.of(topic)).all().get(Cluster.PATIENCE.toSeconds(), TimeUnit.SECONDS);
            Cluster.await("topic gone", () -> !admin.listTopics().names().get().contains(topic));

            Cluster.Created second = cluster.create(admin, topic, 1);
            cluster.sendAsOneBatch(second.partition(), "new 0");
            Check.values(cluster.readAll(second.partition(), 1), 0, "new 0");
            Check.that(!first.result().topicId(topic).get().equals(second.result().topicId(topic).get()),
                    "the new topic has the old topic's id");
        }
    }
}
