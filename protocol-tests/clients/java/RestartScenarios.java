import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

/** The broker is killed and started again in the middle of things. */
final class RestartScenarios {
    private static final int WINDOW = 100;
    private static final int AT_LEAST = 500;

    private final Cluster cluster;

    RestartScenarios(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Scenarios scenarios) {
        scenarios.add("restart-produce", this::produce);
        scenarios.add("restart-consume", this::consume);
    }

    /** A restart that the runner has been asked for. */
    private static final class Restart {
        private volatile boolean done;

        Restart() {
            System.out.println("restart-broker");
            Thread listener = new Thread(this::listen);
            listener.setDaemon(true);
            listener.start();
        }

        private void listen() {
            try {
                // One line at a time is what the runner writes.
                done = "restarted".equals(STDIN.readLine());
            } catch (IOException e) {
                e.printStackTrace();
            }
        }
    }

    private static final BufferedReader STDIN = new BufferedReader(new InputStreamReader(System.in));

    private void produce() throws Exception {
        TopicPartition partition = cluster.create("restart-produce");
        Restart restart = null;
        Deque<Future<RecordMetadata>> pending = new ArrayDeque<>();
        int sent = 0;
        int after = 0;
        // In flight: a real Kafka forgets the last but one batch of a producer when it starts.
        try (Producer<byte[], byte[]> producer = cluster.producer("enable.idempotence", "true",
                "max.in.flight.requests.per.connection", "1", "batch.size", "2000")) {
            for (long acknowledged = 0; after < AT_LEAST; acknowledged++) {
                for (; pending.size() < WINDOW; sent++) {
                    byte[] value = String.valueOf(sent).getBytes();
                    pending.add(producer.send(new ProducerRecord<>(partition.topic(), 0, null, value)));
                }
                Check.equal(Cluster.get(pending.remove()).offset(), acknowledged, "acknowledged offset");
                if (restart == null && acknowledged >= AT_LEAST) {
                    restart = new Restart();
                }
                if (restart != null && restart.done) {
                    after++;
                }
            }
            for (Future<RecordMetadata> ack : pending) {
                Cluster.get(ack);
            }
        }
        Check.values(cluster.readAll(partition, sent), 0, numbers(0, sent));
    }

    private static String[] numbers(int from, int to) {
        String[] values = new String[to - from];
        Arrays.setAll(values, i -> String.valueOf(from + i));
        return values;
    }

    private void consume() throws Exception {
        TopicPartition partition = cluster.create("restart-consume");
        try (Producer<byte[], byte[]> producer = cluster.producer("enable.idempotence", "true");
                Consumer<byte[], byte[]> consumer = cluster.consumer(partition)) {
            consumer.seekToBeginning(List.of(partition));
            send(producer, partition, 0, 100);
            Check.values(Cluster.read(consumer, 100), 0, numbers(0, 100));
            Restart restart = new Restart();
            while (!restart.done) {
                Check.equal(Release.poll(consumer, 100).count(), 0, "records while nothing is written");
            }
            send(producer, partition, 100, 200);
            Check.values(Cluster.read(consumer, 100), 100, numbers(100, 200));
            Check.equal(Release.poll(consumer, 500).count(), 0, "records behind the last");
        }
    }

    private static void send(Producer<byte[], byte[]> producer, TopicPartition partition, int from, int to)
            throws Exception {
        Deque<Future<RecordMetadata>> acks = new ArrayDeque<>();
        for (String value : numbers(from, to)) {
            acks.add(producer.send(new ProducerRecord<>(partition.topic(), 0, null, value.getBytes())));
        }
        for (Future<RecordMetadata> ack : acks) {
            Cluster.get(ack);
        }
    }
}
