import java.util.Collections;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.DescribeLogDirsResponse.LogDirInfo;
import org.apache.kafka.common.requests.DescribeLogDirsResponse.ReplicaInfo;

/** What differs between releases of kafka-clients: here 1.1. */
final class Release {
    static final boolean HAS_ZSTD = false;

    private Release() {}

    static <K, V> ConsumerRecords<K, V> poll(Consumer<K, V> consumer, long timeoutMs) {
        return consumer.poll(timeoutMs);
    }

    /** What the client tells of the answer to a creation: nothing. */
    static void checkAnswer(CreateTopicsResult created, String topic, int partitions) {}

    /** Null where the client knows none. */
    static Object topicId(CreateTopicsResult created, String topic) {
        return null;
    }

    static void createPartitions(AdminClient admin, String topic, int total) throws Exception {
        Cluster.get(admin.createPartitions(Collections.singletonMap(topic, NewPartitions.increaseTo(total))).all());
    }

    /** `configs` are all that the topic is to have. */
    static void alterConfigs(AdminClient admin, String topic, Map<String, String> configs) throws Exception {
        Config config = new Config(configs.entrySet().stream()
                .map(e -> new ConfigEntry(e.getKey(), e.getValue()))
                .collect(Collectors.toList()));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Cluster.get(admin.alterConfigs(Collections.singletonMap(resource, config)).all());
    }

    /** The low watermark. */
    static long deleteRecords(AdminClient admin, TopicPartition partition, long before) throws Exception {
        return admin.deleteRecords(Collections.singletonMap(partition, RecordsToDelete.beforeOffset(before)))
                .lowWatermarks()
                .get(partition)
                .get(Cluster.PATIENCE.toSeconds(), TimeUnit.SECONDS)
                .lowWatermark();
    }

    static long logDirSize(AdminClient admin, int broker, TopicPartition partition) throws Exception {
        Map<Integer, Map<String, LogDirInfo>> described;
        try {
            described = Cluster.get(admin.describeLogDirs(Collections.singleton(broker)).all());
        } catch (ExecutionException e) {
            if (e.getCause() instanceof UnsupportedVersionException) {
                throw new NotApplicable("sends DescribeLogDirs 0, which Kafka 4 does not serve");
            }
            throw e;
        }
        for (LogDirInfo directory : described.get(broker).values()) {
            Check.equal(directory.error, Errors.NONE, "error of the directory");
            ReplicaInfo replica = directory.replicaInfos.get(partition);
            if (replica != null) {
                Check.equal(replica.offsetLag, 0L, "offset lag");
                Check.that(!replica.isFuture, "a future replica");
                return replica.size;
            }
        }
        throw new AssertionError("no directory lists " + partition);
    }

    static long listedOffset(AdminClient admin, TopicPartition partition, Cluster.At at) {
        throw new NotApplicable("its admin client does not list offsets");
    }
}
