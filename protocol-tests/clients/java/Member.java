import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;

/** One member of a group, in a thread of its own. */
final class Member implements ConsumerRebalanceListener {
    /** Between two looks at the commands. */
    private static final int POLL_MS = 50;

    private final String name;
    private final Queue<String[]> commands = new ConcurrentLinkedQueue<>();
    private final Set<TopicPartition> owned = new HashSet<>();
    private Consumer<byte[], byte[]> consumer;
    private boolean isOpen = true;

    Member(Cluster cluster, String name, String[] arguments) {
        this.name = name;
        Thread thread = new Thread(() -> run(cluster, arguments), name);
        thread.setDaemon(true);
        thread.start();
    }

    void command(String command, String[] arguments) {
        List<String> words = new ArrayList<>(List.of(command));
        words.addAll(Arrays.asList(arguments));
        commands.add(words.toArray(String[]::new));
    }

    private void run(Cluster cluster, String[] arguments) {
        boolean goesOn = Members.attempt(name, () -> open(cluster, arguments)) && consumer != null;
        while (goesOn && isOpen) {
            goesOn = Members.attempt(name, this::step);
        }
    }

    private Void open(Cluster cluster, String[] arguments) {
        Map<String, String> options = new HashMap<>(Map.of("reset", "earliest", "assignor", "range"));
        for (String option : Arrays.copyOfRange(arguments, 1, arguments.length)) {
            String[] pair = option.split("=", 2);
            options.put(pair[0], pair[1]);
        }
        List<String> settings = new ArrayList<>(List.of(
                "group.id", arguments[0],
                "session.timeout.ms", options.getOrDefault("session", "6000"),
                "heartbeat.interval.ms", "300",
                "metadata.max.age.ms", "500",
                "enable.auto.commit", "" + "auto".equals(options.get("commits")),
                "auto.commit.interval.ms", "100",
                "auto.offset.reset", options.get("reset"),
                "partition.assignment.strategy", ReleaseGroups.assignor(options.get("assignor"))));
        if (options.containsKey("instance")) {
            settings.addAll(List.of(ReleaseGroups.instanceKey(), options.get("instance")));
        }
        consumer = cluster.member(settings.toArray(String[]::new));
        if (options.containsKey("pattern")) {
            consumer.subscribe(Pattern.compile(options.get("pattern")), this);
        } else {
            consumer.subscribe(List.of(options.get("topics").split(",")), this);
        }
        return null;
    }

    private Void step() {
        for (String[] words = commands.poll(); words != null; words = commands.poll()) {
            obey(words);
            if (!isOpen) {
                return null;
            }
        }
        for (ConsumerRecord<byte[], byte[]> record : Release.poll(consumer, POLL_MS)) {
            Members.tell(name, "record", record.topic(), "" + record.partition(), "" + record.offset(),
                    new String(record.value()));
        }
        return null;
    }

    private void obey(String[] words) {
        switch (words[0]) {
            case "close" -> {
                consumer.close();
                isOpen = false;
                Members.tell(name, "closed");
            }
            case "commit" -> commit(words[1]);
            case "pause" -> {
                consumer.pause(Set.of(place(words)));
                Members.tell(name, "paused");
            }
            case "resume" -> {
                consumer.resume(Set.of(place(words)));
                Members.tell(name, "resumed");
            }
            case "seek" -> {
                consumer.seek(place(words), Long.parseLong(words[3]));
                Members.tell(name, "sought");
            }
            default -> throw new IllegalArgumentException(words[0]);
        }
    }

    private void commit(String how) {
        if (how.equals("sync")) {
            consumer.commitSync();
            Members.tell(name, "committed");
        } else {
            consumer.commitAsync((offsets, error) ->
                    Members.tell(name, error == null ? "committed" : "failed", String.valueOf(error)));
        }
    }

    private static TopicPartition place(String[] words) {
        return new TopicPartition(words[1], Integer.parseInt(words[2]));
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
        owned.addAll(assigned);
        Members.tell(name, "assigned", Members.spelled(owned));
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
        owned.removeAll(revoked);
        Members.tell(name, "revoked", Members.spelled(revoked));
    }
}
