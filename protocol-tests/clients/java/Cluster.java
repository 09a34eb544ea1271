import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The broker under test and what every scenario does with it. Keys and values are bytes. */
final class Cluster {
    /** A real Kafka on a busy machine takes that long to come back from kill -9. */
    static final Duration PATIENCE = Duration.ofSeconds(120);

    private final String bootstrap;
    private final String prefix;

    Cluster(String bootstrap, String prefix) {
        this.bootstrap = bootstrap;
        this.prefix = prefix;
    }

    String topic(String scenario) {
        return prefix + "-" + scenario;
    }

    /** Creates the scenario's topic with one partition and returns that partition. */
    TopicPartition create(String scenario) throws Exception {
        try (AdminClient admin = admin()) {
            return create(admin, topic(scenario), 1).partition;
        }
    }

    Created create(AdminClient admin, String topic, int partitions) throws Exception {
        return create(admin, topic, partitions, Map.of());
    }

    Created create(AdminClient admin, String topic, int partitions, Map<String, String> configs) throws Exception {
        CreateTopicsResult result = admin.createTopics(
                List.of(new NewTopic(topic, partitions, (short) 1).configs(configs)));
        get(result.all());
        return new Created(new TopicPartition(topic, 0), result);
    }

    record Created(TopicPartition partition, CreateTopicsResult result) {}

    /** A place in a partition for which one may ask the admin client. */
    record At(Kind kind, long timestamp) {
        enum Kind { EARLIEST, LATEST, MAX_TIMESTAMP, TIMESTAMP }
    }

    static <T> T get(Future<T> future) throws Exception {
        return future.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
    }

    String bootstrap() {
        return bootstrap;
    }

    AdminClient admin() {
        Properties p = common();
        p.put("default.api.timeout.ms", "120000");
        return AdminClient.create(p);
    }

    /** `overrides` alternates names and values. */
    Producer<byte[], byte[]> producer(String... overrides) {
        Properties p = common();
        p.put("acks", "all");
        p.put("max.block.ms", "120000");
        p.put("delivery.timeout.ms", "120000");
        // The default since 2.1; before, the first error of a leader that is not yet there was final.
        p.put("retries", "2147483647");
        for (int i = 0; i < overrides.length; i += 2) {
            p.put(overrides[i], overrides[i + 1]);
        }
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Reads `partition` without a group: position it before the first read. */
    Consumer<byte[], byte[]> consumer(TopicPartition partition) {
        return consumer(List.of(partition));
    }

    /** `overrides` alternates names and values. */
    Consumer<byte[], byte[]> consumer(List<TopicPartition> partitions, String... overrides) {
        Consumer<byte[], byte[]> consumer = member(overrides);
        consumer.assign(partitions);
        return consumer;
    }

    /** A consumer that is yet to subscribe; `settings` alternates names and values. */
    Consumer<byte[], byte[]> member(String... settings) {
        Properties p = common();
        p.put("default.api.timeout.ms", "120000");
        p.put("enable.auto.commit", "false");
        p.put("allow.auto.create.topics", "false");
        // Closing waits for the parked fetch: half a second per scenario by default.
        p.put("fetch.max.wait.ms", "50");
        // A wrong position must be an error, not a silent jump to the end.
        p.put("auto.offset.reset", "none");
        for (int i = 0; i < settings.length; i += 2) {
            p.put(settings[i], settings[i + 1]);
        }
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private Properties common() {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        // 1.1 wants more than its session timeout of 10 s.
        p.put("request.timeout.ms", "15000");
        return p;
    }

    /** Everything in `partition`, which must hold exactly `count` records. */
    List<ConsumerRecord<byte[], byte[]>> readAll(TopicPartition partition, int count) {
        try (Consumer<byte[], byte[]> consumer = consumer(partition)) {
            Check.equal(endOffset(consumer, partition), (long) count, "end offset");
            consumer.seekToBeginning(List.of(partition));
            return read(consumer, count);
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> read(Consumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (records.size() < count) {
            Check.that(System.nanoTime() < deadline,
                    "only " + records.size() + " of " + count + " records arrived");
            Release.poll(consumer, 500).forEach(records::add);
        }
        Check.equal(records.size(), count, "records");
        return records;
    }

    static long firstOffset(Consumer<?, ?> consumer, TopicPartition partition) {
        return consumer.beginningOffsets(Collections.singleton(partition)).get(partition);
    }

    static long endOffset(Consumer<?, ?> consumer, TopicPartition partition) {
        Map<TopicPartition, Long> ends = consumer.endOffsets(Collections.singleton(partition));
        return ends.get(partition);
    }

    /** Sends `values` as one batch and waits until all are acknowledged. */
    void sendAsOneBatch(TopicPartition partition, String... values) throws Exception {
        try (Producer<byte[], byte[]> producer = producer("linger.ms", "5000")) {
            var pending = Arrays.stream(values)
                    .map(v -> producer.send(new ProducerRecord<>(
                            partition.topic(), partition.partition(), null, v.getBytes())))
                    .toList();
            producer.flush();
            for (var ack : pending) {
                get(ack);
            }
        }
    }

    static <T> void await(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.call()) {
            Check.that(System.nanoTime() < deadline, "still not: " + what);
            Thread.sleep(20); // between two looks at the condition
        }
    }
}
