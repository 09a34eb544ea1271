import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import java.util.TreeMap;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;

/** The records that every client writes for every other, and reading those of the others. */
final class Formats {
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");

    private static final int BULK = 50;

    private final Cluster cluster;

    Formats(Cluster cluster) {
        this.cluster = cluster;
    }

    record Sample(byte[] key, byte[] value, List<Header> headers) {}

    void addTo(Scenarios scenarios) {
        for (String codec : CODECS) {
            scenarios.add("formats-" + codec, () -> write(codec));
        }
    }

    static void require(String codec) {
        if (codec.equals("zstd") && !Release.HAS_ZSTD) {
            throw new NotApplicable("has no zstd");
        }
    }

    private void write(String codec) throws Exception {
        require(codec);
        TopicPartition partition = cluster.create("formats-" + codec);
        try (Producer<byte[], byte[]> producer =
                cluster.producer("compression.type", codec, "linger.ms", "20")) {
            roundTrip(cluster, producer, partition, table());
        }
    }

    /** The table of ../README.md. */
    private static List<Sample> table() {
        byte[] empty = {};
        List<Header> headers = everyKindOfHeader();
        List<Sample> table = new ArrayList<>(List.of(
                new Sample("key".getBytes(), "value".getBytes(), headers.subList(0, 4)),
                new Sample(null, "no key".getBytes(), List.of()),
                new Sample("no value".getBytes(), null, List.of()),
                new Sample(empty, empty, List.of()),
                new Sample("bytes".getBytes(), everyByte(), List.of()),
                new Sample(null, null, List.of()),
                new Sample("null header".getBytes(), "value".getBytes(), headers.subList(4, 5))));
        for (int n = 0; n < BULK; n++) {
            String value = "record " + n + " " + "abcdefgh".repeat(20);
            table.add(new Sample(("key " + n).getBytes(), value.getBytes(), List.of(header("bulk", "yes"))));
        }
        return table;
    }

    static List<Header> everyKindOfHeader() {
        return List.of(header("twice", "1"), header("other", "x"), header("twice", "2"),
                header("empty", ""), new RecordHeader("null", (byte[]) null));
    }

    private static Header header(String key, String value) {
        return new RecordHeader(key, value.getBytes());
    }

    static byte[] everyByte() {
        byte[] bytes = new byte[256];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) i;
        }
        return bytes;
    }

    /** Sends `samples` with the timestamps of a minute ago and on, and reads them back. */
    static void roundTrip(Cluster cluster, Producer<byte[], byte[]> producer, TopicPartition partition,
            List<Sample> samples) throws Exception {
        long minuteAgo = System.currentTimeMillis() - 60_000;
        List<Future<RecordMetadata>> acks = new ArrayList<>();
        for (Sample s : samples) {
            acks.add(producer.send(new ProducerRecord<>(
                    partition.topic(), 0, minuteAgo + acks.size(), s.key, s.value, s.headers)));
        }
        ProduceScenarios.promisedOffsets(acks);
        List<ConsumerRecord<byte[], byte[]>> records = cluster.readAll(partition, samples.size());
        for (int i = 0; i < samples.size(); i++) {
            ConsumerRecord<byte[], byte[]> got = records.get(i);
            Check.bytes(got.key(), samples.get(i).key, "key " + i);
            Check.bytes(got.value(), samples.get(i).value, "value " + i);
            Check.equal(Arrays.asList(got.headers().toArray()), samples.get(i).headers, "headers " + i);
            Check.equal(got.timestamp(), minuteAgo + i, "timestamp " + i);
            Check.equal(got.timestampType(), TimestampType.CREATE_TIME, "timestamp type");
            Check.equal(got.offset(), (long) i, "offset");
        }
    }

    /** Prints every record of `topics`, and then a result for each topic. */
    void readTopics(List<String> topics) {
        List<TopicPartition> readable = new ArrayList<>();
        for (String topic : topics) {
            if (topic.endsWith("-zstd") && !Release.HAS_ZSTD) {
                System.out.println(topic + "\tn/a\thas no zstd");
            } else {
                readable.add(new TopicPartition(topic, 0));
            }
        }
        String result;
        try (Consumer<byte[], byte[]> consumer = cluster.consumer(readable)) {
            long count = consumer.endOffsets(readable).values().stream().mapToLong(n -> n).sum();
            consumer.seekToBeginning(readable);
            Map<String, List<ConsumerRecord<byte[], byte[]>>> read = new TreeMap<>();
            for (ConsumerRecord<byte[], byte[]> record : Cluster.read(consumer, (int) count)) {
                read.computeIfAbsent(record.topic(), t -> new ArrayList<>()).add(record);
            }
            read.values().forEach(records -> records.forEach(Formats::print));
            result = "ok\t";
        } catch (Exception | AssertionError e) {
            e.printStackTrace();
            result = "fail\t" + String.valueOf(e).replaceAll("\\s+", " ");
        }
        for (TopicPartition partition : readable) {
            System.out.println(partition.topic() + "\t" + result);
        }
    }

    private static void print(ConsumerRecord<byte[], byte[]> record) {
        StringJoiner headers = new StringJoiner(",");
        for (Header header : record.headers()) {
            headers.add(hexadecimal(header.key().getBytes()) + "=" + hexadecimal(header.value()));
        }
        System.out.println(String.join("\t", "record", record.topic(), "" + record.offset(),
                "" + record.timestamp(), hexadecimal(record.key()), hexadecimal(record.value()), "" + headers));
    }

    private static String hexadecimal(byte[] bytes) {
        if (bytes == null) {
            return "-";
        }
        StringBuilder text = new StringBuilder();
        for (byte b : bytes) {
            text.append(String.format("%02x", b));
        }
        return text.toString();
    }
}
