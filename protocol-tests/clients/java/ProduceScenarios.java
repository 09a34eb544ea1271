import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;

/** What was produced comes back byte for byte, at the promised offset. */
final class ProduceScenarios {
    /** A lone record with this value makes a batch of 1048588 bytes: max.message.bytes. */
    private static final int LARGEST_VALUE = 1048516;

    private final Cluster cluster;

    ProduceScenarios(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Scenarios scenarios) {
        scenarios.add("produce-consume", this::produceConsume);
        for (String codec : Formats.CODECS) {
            scenarios.add("codec-" + codec, () -> codec(codec));
        }
        scenarios.add("idempotent-produce", this::idempotentProduce);
        scenarios.add("record-at-limit", this::recordAtLimit);
        scenarios.add("record-too-large", this::recordTooLarge);
    }

    private static List<Formats.Sample> samples() {
        byte[] empty = {};
        return List.of(
                new Formats.Sample("key".getBytes(), "value".getBytes(), Formats.everyKindOfHeader()),
                new Formats.Sample(null, "no key".getBytes(), List.of()),
                new Formats.Sample("no value".getBytes(), null, List.of()),
                new Formats.Sample(empty, empty, List.of()),
                new Formats.Sample(null, null, List.of()),
                new Formats.Sample(new byte[] {0, -1}, Formats.everyByte(), List.of()));
    }

    private void produceConsume() throws Exception {
        TopicPartition partition = cluster.create("produce-consume");
        try (Producer<byte[], byte[]> producer = cluster.producer()) {
            Formats.roundTrip(cluster, producer, partition, samples());
        }
    }

    /** Every send is acknowledged, in order, from offset 0. */
    static void promisedOffsets(List<Future<RecordMetadata>> acks) throws Exception {
        for (int i = 0; i < acks.size(); i++) {
            RecordMetadata ack = Cluster.get(acks.get(i));
            Check.equal(ack.offset(), (long) i, "acknowledged offset");
        }
    }

    private void codec(String codec) throws Exception {
        Formats.require(codec);
        TopicPartition partition = cluster.create("codec-" + codec);
        String[] values = numbered(200);
        try (Producer<byte[], byte[]> producer =
                cluster.producer("compression.type", codec, "linger.ms", "20")) {
            send(producer, partition, values);
        }
        Check.values(cluster.readAll(partition, values.length), 0, values);
    }

    /** Values that every codec makes smaller. */
    static String[] numbered(int count) {
        String[] values = new String[count];
        Arrays.setAll(values, i -> "record " + i + " " + "abcdefgh".repeat(10));
        return values;
    }

    static void send(Producer<byte[], byte[]> producer, TopicPartition partition, String... values)
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
            Cluster.get(producer.send(lone(partition, value)));
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
                Cluster.get(producer.send(lone(partition, new byte[LARGEST_VALUE + 1])));
                throw new AssertionError("accepted");
            } catch (ExecutionException e) {
                Check.that(e.getCause() instanceof RecordTooLargeException, "got " + e.getCause());
                // The client's own check would throw the same class, with another sentence.
                Check.that(e.getCause().getMessage().contains("the server will accept"),
                        "refused by the client: " + e.getCause());
            }
            Cluster.get(producer.send(lone(partition, "fits".getBytes())));
        }
        Check.values(cluster.readAll(partition, 1), 0, "fits");
    }
}
