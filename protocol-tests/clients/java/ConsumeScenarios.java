import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

/** Where a consumer without a group may begin. */
final class ConsumeScenarios {
    private static final int PARTITIONS = 100;
    private static final int IN_EACH = 10;

    private final Cluster cluster;

    ConsumeScenarios(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Scenarios scenarios) {
        scenarios.add("consume-earliest", this::earliest);
        scenarios.add("consume-latest", this::latest);
        scenarios.add("consume-from-offset", this::fromOffset);
        scenarios.add("consume-from-timestamp", this::fromTimestamp);
        scenarios.add("many-partitions", this::manyPartitions);
    }

    private void earliest() throws Exception {
        TopicPartition partition = cluster.create("consume-earliest");
        cluster.sendAsOneBatch(partition, "a", "b");
        cluster.sendAsOneBatch(partition, "c");
        try (Consumer<byte[], byte[]> consumer = cluster.consumer(partition)) {
            Check.equal(consumer.beginningOffsets(List.of(partition)).get(partition), 0L, "first offset");
            consumer.seekToBeginning(List.of(partition));
            Check.values(Cluster.read(consumer, 3), 0, "a", "b", "c");
        }
    }

    private void latest() throws Exception {
        TopicPartition partition = cluster.create("consume-latest");
        cluster.sendAsOneBatch(partition, "before 0", "before 1");
        try (Consumer<byte[], byte[]> consumer = cluster.consumer(partition)) {
            consumer.seekToEnd(List.of(partition));
            // Seeking is lazy; asking for the position looks the end up before more arrives.
            Check.equal(consumer.position(partition), 2L, "position");
            cluster.sendAsOneBatch(partition, "after 2", "after 3");
            Check.values(Cluster.read(consumer, 2), 2, "after 2", "after 3");
        }
    }

    private void fromOffset() throws Exception {
        TopicPartition partition = cluster.create("consume-from-offset");
        cluster.sendAsOneBatch(partition, "0", "1", "2", "3", "4");
        try (Consumer<byte[], byte[]> consumer = cluster.consumer(partition)) {
            consumer.seek(partition, 3);
            Check.values(Cluster.read(consumer, 2), 3, "3", "4");
        }
    }

    /** The answer is the first offset whose timestamp is not below the one asked for. */
    private void fromTimestamp() throws Exception {
        TopicPartition partition = cluster.create("consume-from-timestamp");
        long base = System.currentTimeMillis() - 60_000;
        try (Producer<byte[], byte[]> producer = cluster.producer()) {
            for (int at : List.of(1000, 3000, 2000, 4000)) {
                Cluster.get(producer.send(new ProducerRecord<>(
                        partition.topic(), 0, base + at, null, ("at " + at).getBytes())));
            }
        }
        try (Consumer<byte[], byte[]> consumer = cluster.consumer(partition)) {
            Check.equal(offsetAt(consumer, partition, base), 0L, "before all");
            Check.equal(offsetAt(consumer, partition, base + 1000), 0L, "equal to the first");
            Check.equal(offsetAt(consumer, partition, base + 1001), 1L, "between two");
            Check.equal(offsetAt(consumer, partition, base + 3001), 3L, "above one out of order");
            Check.equal(offsetAt(consumer, partition, base + 4001), null, "after all");
            consumer.seek(partition, offsetAt(consumer, partition, base + 2500));
            Check.values(Cluster.read(consumer, 3), 1, "at 3000", "at 2000", "at 4000");
        }
    }

    private static Long offsetAt(Consumer<?, ?> consumer, TopicPartition partition, long timestamp) {
        OffsetAndTimestamp found = consumer
                .offsetsForTimes(Collections.singletonMap(partition, timestamp))
                .get(partition);
        return found == null ? null : found.offset();
    }

    private void manyPartitions() throws Exception {
        String topic = cluster.topic("many-partitions");
        List<TopicPartition> partitions = new ArrayList<>();
        for (int p = 0; p < PARTITIONS; p++) {
            partitions.add(new TopicPartition(topic, p));
        }
        try (AdminClient admin = cluster.admin()) {
            cluster.create(admin, topic, PARTITIONS);
        }
        // In flight: where a real Kafka is not leader yet, retries without idempotence change the order.
        try (Producer<byte[], byte[]> producer =
                cluster.producer("linger.ms", "20", "max.in.flight.requests.per.connection", "1")) {
            List<Future<RecordMetadata>> acks = new ArrayList<>();
            for (int n = 0; n < IN_EACH; n++) {
                for (TopicPartition p : partitions) {
                    byte[] value = (n + " of " + p.partition()).getBytes();
                    acks.add(producer.send(new ProducerRecord<>(topic, p.partition(), null, value)));
                }
            }
            for (Future<RecordMetadata> ack : acks) {
                Cluster.get(ack);
            }
        }
        Map<Integer, List<ConsumerRecord<byte[], byte[]>>> read = new TreeMap<>();
        try (Consumer<byte[], byte[]> consumer = cluster.consumer(partitions)) {
            consumer.seekToBeginning(partitions);
            for (ConsumerRecord<byte[], byte[]> record : Cluster.read(consumer, PARTITIONS * IN_EACH)) {
                read.computeIfAbsent(record.partition(), p -> new ArrayList<>()).add(record);
            }
        }
        Check.equal(read.size(), PARTITIONS, "partitions read");
        read.forEach((p, records) -> {
            String[] wanted = new String[IN_EACH];
            Arrays.setAll(wanted, n -> n + " of " + p);
            Check.values(records, 0, wanted);
        });
    }
}
