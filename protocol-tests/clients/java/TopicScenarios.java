import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.AdminClient;
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

    void addTo(Scenarios scenarios) {
        scenarios.add("create-topic", this::createTopic);
        scenarios.add("auto-create", this::autoCreate);
        scenarios.addWithDetail("delete-and-recreate", this::deleteAndRecreate);
    }

    private void createTopic() throws Exception {
        String topic = cluster.topic("create-topic");
        try (AdminClient admin = cluster.admin()) {
            Cluster.Created created = cluster.create(admin, topic, 3);
            Release.checkAnswer(created.result(), topic, 3);
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
            Cluster.get(producer.send(new ProducerRecord<>(partition.topic(), "first try".getBytes())));
        }
        Check.values(cluster.readAll(partition, 1), 0, "first try");
    }

    private String deleteAndRecreate() throws Exception {
        String topic = cluster.topic("delete-and-recreate");
        try (AdminClient admin = cluster.admin()) {
            Cluster.Created first = cluster.create(admin, topic, 1);
            cluster.sendAsOneBatch(first.partition(), "old 0", "old 1", "old 2");
            cluster.readAll(first.partition(), 3);

            Cluster.get(admin.deleteTopics(List.of(topic)).all());
            Cluster.await("topic gone", () -> !admin.listTopics().names().get().contains(topic));

            Cluster.Created second = cluster.create(admin, topic, 1);
            cluster.sendAsOneBatch(second.partition(), "new 0");
            Check.values(cluster.readAll(second.partition(), 1), 0, "new 0");
            Object oldId = Release.topicId(first.result(), topic);
            if (oldId == null) {
                return "does not know topic ids";
            }
            Check.that(!oldId.equals(Release.topicId(second.result(), topic)),
                    "the new topic has the old topic's id");
            return "";
        }
    }
}
