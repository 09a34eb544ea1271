import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.record.TimestampType;

/** Topic configs, altered and seen working. */
final class ConfigScenarios {
    private static final long HOUR_MS = 3_600_000;

    private final Cluster cluster;

    ConfigScenarios(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Scenarios scenarios) {
        scenarios.add("alter-retention", this::retention);
        scenarios.add("alter-timestamp-type", this::timestampType);
        scenarios.add("alter-compression", this::compression);
        scenarios.add("alter-max-message-bytes", this::maxMessageBytes);
        scenarios.add("large-batches", this::largeBatches);
    }

    /** Gives the topic these configs and waits until they are described. */
    private static void alter(AdminClient admin, String topic, Map<String, String> configs) throws Exception {
        Release.alterConfigs(admin, topic, configs);
        Cluster.await(configs + " described", () -> {
            Map<String, ConfigEntry> found = AdminScenarios.configs(admin, ConfigResource.Type.TOPIC, topic);
            return configs.entrySet().stream().allMatch(c -> found.get(c.getKey()).value().equals(c.getValue()));
        });
    }

    private static ProducerRecord<byte[], byte[]> record(TopicPartition partition, long timestamp, String value) {
        return new ProducerRecord<>(partition.topic(), 0, timestamp, null, value.getBytes());
    }

    private void retention() throws Exception {
        String topic = cluster.topic("alter-retention");
        String hour = String.valueOf(HOUR_MS);
        long now = System.currentTimeMillis();
        try (AdminClient admin = cluster.admin();
                Producer<byte[], byte[]> producer = cluster.producer()) {
            TopicPartition partition =
                    cluster.create(admin, topic, 1, Map.of("segment.ms", hour, "retention.ms", "-1")).partition();
            for (int i = 0; i < 3; i++) {
                Cluster.get(producer.send(record(partition, now - 2 * HOUR_MS, "old " + i)));
            }
            for (int i = 0; i < 2; i++) {
                Cluster.get(producer.send(record(partition, now, "new " + i)));
            }
            try (Consumer<byte[], byte[]> consumer = cluster.consumer(partition)) {
                Check.equal(Cluster.firstOffset(consumer, partition), 0L, "first offset before");
                alter(admin, topic, Map.of("segment.ms", hour, "retention.ms", hour));
                Cluster.await("the old records are gone", () -> Cluster.firstOffset(consumer, partition) == 3);
                Check.equal(Cluster.endOffset(consumer, partition), 5L, "end offset");
                consumer.seekToBeginning(List.of(partition));
                Check.values(Cluster.read(consumer, 2), 3, "new 0", "new 1");
            }
        }
    }

    private void timestampType() throws Exception {
        TopicPartition partition = cluster.create("alter-timestamp-type");
        long began = System.currentTimeMillis();
        AtomicInteger sent = new AtomicInteger(1);
        try (AdminClient admin = cluster.admin();
                Producer<byte[], byte[]> producer = cluster.producer()) {
            Cluster.get(producer.send(record(partition, began - HOUR_MS, "before")));
            alter(admin, partition.topic(), Map.of("message.timestamp.type", "LogAppendTime"));
            // A log of Kafka takes it over a moment after it is described.
            Cluster.await("LogAppendTime", () -> {
                sent.incrementAndGet();
                return Cluster.get(producer.send(record(partition, began - HOUR_MS, "after"))).timestamp() >= began;
            });
        }
        List<ConsumerRecord<byte[], byte[]>> records = cluster.readAll(partition, sent.get());
        ConsumerRecord<byte[], byte[]> last = records.get(records.size() - 1);
        Check.equal(records.get(0).timestamp(), began - HOUR_MS, "timestamp before");
        Check.equal(records.get(0).timestampType(), TimestampType.CREATE_TIME, "type before");
        long stamp = last.timestamp();
        Check.that(began <= stamp && stamp <= System.currentTimeMillis(), "timestamp " + stamp + " began " + began);
        Check.equal(last.timestampType(), TimestampType.LOG_APPEND_TIME, "type after");
    }

    private void compression() throws Exception {
        TopicPartition partition = cluster.create("alter-compression");
        String[] values = ProduceScenarios.numbered(200);
        try (AdminClient admin = cluster.admin();
                Producer<byte[], byte[]> producer = cluster.producer("linger.ms", "20")) {
            send(producer, partition, Arrays.copyOf(values, 100));
            alter(admin, partition.topic(), Map.of("compression.type", "gzip"));
            send(producer, partition, Arrays.copyOfRange(values, 100, 200));
        }
        Check.values(cluster.readAll(partition, 200), 0, values);
    }

    private static void send(Producer<byte[], byte[]> producer, TopicPartition partition, String... values)
            throws Exception {
        List<Future<RecordMetadata>> acks = new ArrayList<>();
        for (String value : values) {
            acks.add(producer.send(new ProducerRecord<>(partition.topic(), 0, null, value.getBytes())));
        }
        for (Future<RecordMetadata> ack : acks) {
            Cluster.get(ack);
        }
    }

    private static byte[] incompressible(int size) {
        byte[] value = new byte[size];
        new Random().nextBytes(value);
        return value;
    }

    private void maxMessageBytes() throws Exception {
        TopicPartition partition = cluster.create("alter-max-message-bytes");
        ProducerRecord<byte[], byte[]> record =
                new ProducerRecord<>(partition.topic(), 0, null, incompressible(5000));
        try (AdminClient admin = cluster.admin();
                Producer<byte[], byte[]> producer = cluster.producer()) {
            alter(admin, partition.topic(), Map.of("max.message.bytes", "2000"));
            try {
                Cluster.get(producer.send(record));
                throw new AssertionError("accepted");
            } catch (ExecutionException e) {
                Check.that(e.getCause() instanceof RecordTooLargeException, "got " + e.getCause());
            }
            alter(admin, partition.topic(), Map.of("max.message.bytes", "1048588"));
            Cluster.get(producer.send(record));
        }
        Check.bytes(cluster.readAll(partition, 1).get(0).value(), record.value(), "value");
    }

    private void largeBatches() throws Exception {
        String topic = cluster.topic("large-batches");
        List<byte[]> values = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            values.add(incompressible(1_000_000));
        }
        values.add(incompressible(6_000_000));
        TopicPartition partition;
        try (AdminClient admin = cluster.admin();
                // The linger ends when the batch is full, or with the flush.
                Producer<byte[], byte[]> producer = cluster.producer(
                        "linger.ms", "5000", "batch.size", "8000000", "max.request.size", "10000000")) {
            partition = cluster.create(admin, topic, 1, Map.of("max.message.bytes", "10485760")).partition();
            List<Future<RecordMetadata>> acks = new ArrayList<>();
            for (byte[] value : values.subList(0, 5)) {
                acks.add(producer.send(new ProducerRecord<>(topic, 0, null, value)));
            }
            producer.flush();
            acks.add(producer.send(new ProducerRecord<>(topic, 0, null, values.get(5))));
            producer.flush();
            ProduceScenarios.promisedOffsets(acks);
        }
        List<ConsumerRecord<byte[], byte[]>> records = cluster.readAll(partition, 6);
        for (int i = 0; i < 6; i++) {
            Check.bytes(records.get(i).value(), values.get(i), "value " + i);
        }
    }
}
