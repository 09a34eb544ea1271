import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ReplicaInfo;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** What differs between releases of kafka-clients: here 2.8 and younger. */
final class Release {
    static final boolean HAS_ZSTD = true;

    private Release() {}

    static <K, V> ConsumerRecords<K, V> poll(Consumer<K, V> consumer, long timeoutMs) {
        return consumer.poll(Duration.ofMillis(timeoutMs));
    }

    /** What the client tells of the answer to a creation. */
    static void checkAnswer(CreateTopicsResult created, String topic, int partitions) throws Exception {
        Check.equal(created.numPartitions(topic).get(), partitions, "partitions in the answer");
    }

    /** Null where the client knows none. */
    static Object topicId(CreateTopicsResult created, String topic) throws Exception {
        return created.topicId(topic).get();
    }

    static void createPartitions(AdminClient admin, String topic, int total) throws Exception {
        Cluster.get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(total))).all());
    }

    /** `configs` are all that the topic is to have. */
    static void alterConfigs(AdminClient admin, String topic, Map<String, String> configs) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        configs.forEach((name, value) ->
                changes.add(new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET)));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Cluster.get(admin.incrementalAlterConfigs(Map.of(resource, changes)).all());
    }

    /** The low watermark. */
    static long deleteRecords(AdminClient admin, TopicPartition partition, long before) throws Exception {
        return admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(before)))
                .lowWatermarks()
                .get(partition)
                .get(Cluster.PATIENCE.toSeconds(), TimeUnit.SECONDS)
                .lowWatermark();
    }

    static long logDirSize(AdminClient admin, int broker, TopicPartition partition) throws Exception {
        for (LogDirDescription directory :
                Cluster.get(admin.describeLogDirs(List.of(broker)).allDescriptions()).get(broker).values()) {
            Check.equal(directory.error(), null, "error of the directory");
            ReplicaInfo replica = directory.replicaInfos().get(partition);
            if (replica != null) {
                Check.equal(replica.offsetLag(), 0L, "offset lag");
                Check.that(!replica.isFuture(), "a future replica");
                return replica.size();
            }
        }
        throw new AssertionError("no directory lists " + partition);
    }

    static long listedOffset(AdminClient admin, TopicPartition partition, Cluster.At at) throws Exception {
        OffsetSpec spec;
        switch (at.kind()) {
            case EARLIEST -> spec = OffsetSpec.earliest();
            case LATEST -> spec = OffsetSpec.latest();
            case TIMESTAMP -> spec = OffsetSpec.forTimestamp(at.timestamp());
            default -> {
                try {
                    // Since 3.0.
                    spec = (OffsetSpec) OffsetSpec.class.getMethod("maxTimestamp").invoke(null);
                } catch (NoSuchMethodException e) {
                    throw new NotApplicable("has no max timestamp");
                }
            }
        }
        return Cluster.get(admin.listOffsets(Map.of(partition, spec)).all()).get(partition).offset();
    }
}
