import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;

/** What was produced comes back byte for byte, at the promised offset. */
final class ProduceScenarios {
    /** A lone record with this value makes a batch of 1048588 bytes: max.message.bytes. */
    private static final int LARGEST_VALUE = 1048516;

    private final Cluster cluster;

    ProduceScenarios(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Map<String, Main.Scenario> scenarios) {
        scenarios.put("produce-consume", this::produceConsume);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            scenarios.put("codec-" + codec, () -> codec(codec));
        }
        scenarios.put("idempotent-produce", this::idempotentProduce);
        scenarios.put("record-at-limit", this::recordAtLimit);
        scenarios.put("record-too-large", this::recordTooLarge);
    }

    private record Sample(byte[] key, byte[] value, List<Header> headers) {}

    private static List<Sample> samples() {
        byte[] everyByte = new byte[256];
        for (int i = 0; i < everyByte.length; i++) {
            everyByte[i] = (byte) i;
        }
        byte[] empty = {};
        List<Header> headers = List.of(header("twice", "1"), header("other", "x"), header("twice", "2"),
                header("empty", ""), new RecordHeader("null", (byte[]) null));
        return List.of(
                new Sample("key".getBytes(), "value".getBytes(), headers),
                new Sample(null, "no key".getBytes(), List.of()),
                new Sample("no value".getBytes(), null, List.of()),
                new Sample(empty, empty, List.of()),
                new Sample(null, null, List.of()),
                new Sample(new byte[] {0, -1}, everyByte, List.of()));
    }

    private static Header header(String key, String value) {
        return new RecordHeader(key, value.getBytes());
    }

    private void produceConsume() throws Exception {
        TopicPartition partition = cluster.create("produce-consume");
        List<Sample> samples = samples();
        long minuteAgo = System.currentTimeMillis() - 60_000;
        try (Producer<byte[], byte[]> producer = cluster.producer()) {
            List<Future<RecordMetadata>> acks = new ArrayList<>();
            for (Sample s : samples) {
                acks.add(producer.send(new ProducerRecord<>(
                        partition.topic(), 0, minuteAgo + acks.size(), s.key, s.value, s.headers)));
            }
            promisedOffsets(acks);
        }
        List<ConsumerRecord<byte[], byte[]>> records = cluster.readAll(partition, samples.size());
        for (int i = 0; i < samples.size(); i++) {
            ConsumerRecord<byte[], byte[]> got = records.get(i);
            Check.bytes(got.key(), samples.get(i).key, "key " + i);
            Check.bytes(got.value(), samples.get(i).value, "value " + i);
            Check.equal(List.of(got.headers().toArray()), samples.get(i).headers, "headers " + i);
            Check.equal(got.timestamp(), minuteAgo + i, "timestamp " + i);
            Check.equal(got.timestampType(), TimestampType.CREATE_TIME, "timestamp type");
            Check.equal(got.offset(), (long) i, "offset");
        }
    }

    /** Every send is acknowledged, in order, from offset 0. */
    private static void promisedOffsets(List<Future<RecordMetadata>> acks) throws Exception {
        for (int i = 0; i < acks.size(); i++) {
            RecordMetadata ack = acks.get(i).get(Cluster.PATIENCE.toSeconds(), TimeUnit.SECONDS);
            Check.equal(ack.offset(), (long) i, "acknowledged offset");
        }
    }

    private void codec(String codec) throws Exception {
        TopicPartition partition = cluster.create("codec-" + codec);
        String[] values = numbered(200);
        try (Producer<byte[], byte[]> producer =
                cluster.producer("compression.type", codec, "linger.ms", "20")) {
            send(producer, partition, values);
        }
        Check.values(cluster.readAll(partition, values.length), 0, values);
    }

    /** Values that every codec makes smaller. */
    private static String[] numbered(int count) {
        String[] values = new String[count];
        Arrays.setAll(values, i -> "record " + i + " " + "abcdefgh".repeat(10));
        return values;
    }

    private static void send(Producer<byte[], byte[]> producer, TopicPartition partition, String... values)
            throws Exception {
        List<Future<RecordMetadata>> acks = new ArrayList<>();
        for (String value : values) {
            acks.add(producer.send(new ProducerRecord<>(
                    partition.topic(), 0, ("key " + value).getBytes(), value.getBytes())));
        }
        promisedOffsets(acks);
    }

    private void idempotentProduce() throws Exception {
        TopicPartition partition = cluster.create("idempotent-produce");
        String[] values = numbered(5000);
        // Small batches: several requests in flight, a few hundred sequences per producer.
        try (Producer<byte[], byte[]> producer =
                cluster.producer("enable.idempotence", "true", "batch.size", "2000", "linger.ms", "1")) {
            send(producer, partition, values);
        }
        Check.values(cluster.readAll(partition, values.length), 0, values);
    }

    private void recordAtLimit() throws Exception {
        TopicPartition partition = cluster.create("record-at-limit");
        byte[] value = new byte[LARGEST_VALUE];
        for (int i = 0; i < value.length; i++) {
            value[i] = (byte) i;
        }
        try (Producer<byte[], byte[]> producer = cluster.producer("max.request.size", "2000000")) {
            producer.send(lone(partition, value)).get(Cluster.PATIENCE.toSeconds(), TimeUnit.SECONDS);
        }
        Check.bytes(cluster.readAll(partition, 1).get(0).value(), value, "value");
    }

    private static ProducerRecord<byte[], byte[]> lone(TopicPartition partition, byte[] value) {
        return new ProducerRecord<>(partition.topic(), 0, null, value);
    }

    private void recordTooLarge() throws Exception {
        TopicPartition partition = cluster.create("record-too-large");
        try (Producer<byte[], byte[]> producer = cluster.producer("max.request.size", "2000000")) {
            try {
                producer.send(lone(partition, new byte[LARGEST_VALUE + 1]))
                        .get(Cluster.PATIENCE.toSeconds(), TimeUnit.SECONDS);
                throw new AssertionError("accepted");
            } catch (ExecutionException e) {
                Check.that(e.getCause() instanceof RecordTooLargeException, "got " + e.getCause());
                // The client's own check would throw the same class, with another sentence.
                Check.that(e.getCause().getMessage().contains("the server will accept"),
                        "refused by the client: " + e.getCause());
            }
            producer.send(lone(partition, "fits".getBytes()))
                    .get(Cluster.PATIENCE.toSeconds(), TimeUnit.SECONDS);
        }
        Check.values(cluster.readAll(partition, 1), 0, "fits");
    }
}
