import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.common.TopicPartition;

/** Members of consumer groups in one process, as ../README.md tells under "Group members". */
final class Members {
    private final Cluster cluster;
    private final AdminClient admin;
    private final Map<String, Member> members = new HashMap<>();

    Members(Cluster cluster) {
        this.cluster = cluster;
        this.admin = cluster.admin();
    }

    /** Runs commands from standard input until it ends. */
    void serve() throws Exception {
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split("\t", -1);
            String name = words[1];
            String[] arguments = Arrays.copyOfRange(words, 2, words.length);
            if (words[0].equals("open")) {
                members.put(name, new Member(cluster, name, arguments));
            } else if (members.containsKey(name)) {
                members.get(name).command(words[0], arguments);
            } else {
                attempt(name, () -> call(words[0], name, arguments));
            }
        }
    }

    static synchronized void tell(String... words) {
        System.out.println(String.join("\t", words));
    }

    /** False if it failed, which is told. */
    static boolean attempt(String name, Callable<?> action) {
        try {
            action.call();
            return true;
        } catch (NotApplicable e) {
            tell(name, "n/a", e.getMessage());
            return true;
        } catch (Throwable e) {
            e.printStackTrace();
            tell(name, "failed", String.valueOf(e).replaceAll("\\s+", " "));
            return false;
        }
    }

    static String spelled(Collection<TopicPartition> places) {
        return places.stream().map(p -> p.topic() + ":" + p.partition()).sorted().collect(Collectors.joining(","));
    }

    private Void call(String call, String name, String[] arguments) throws Exception {
        if (call.equals("list")) {
            tell(name, "groups", String.join(",", ReleaseGroups.list(admin)));
            return null;
        }
        String group = arguments[0];
        switch (call) {
            case "describe" -> describe(name, group);
            case "offsets" -> {
                Map<String, Long> offsets = new TreeMap<>();
                ReleaseGroups.offsets(admin, group).forEach((p, at) -> offsets.put(spelled(List.of(p)), at.offset()));
                tell(name, "offsets", offsets.entrySet().stream()
                        .map(e -> e.getKey() + "=" + e.getValue())
                        .collect(Collectors.joining(",")));
            }
            case "alter-offsets" -> end(name, ReleaseGroups.alterOffset(
                    admin, group, place(arguments), Long.parseLong(arguments[3])));
            case "delete-offsets" -> end(name, ReleaseGroups.deleteOffset(admin, group, place(arguments)));
            case "delete-group" -> end(name, ReleaseGroups.delete(admin, group));
            case "remove-member" -> end(name, ReleaseGroups.removeMember(admin, group, arguments[1]));
            default -> throw new IllegalArgumentException(call);
        }
        return null;
    }

    private void describe(String name, String group) throws Exception {
        ReleaseGroups.Described found = ReleaseGroups.describe(admin, group);
        List<String> words = new ArrayList<>(List.of(name, "described", found.state(), found.protocol()));
        found.owned().forEach(owned -> words.add(spelled(owned)));
        tell(words.toArray(String[]::new));
    }

    private static TopicPartition place(String[] arguments) {
        return new TopicPartition(arguments[1], Integer.parseInt(arguments[2]));
    }

    /** `error` is the broker's, by its name, or null. */
    private static void end(String name, String error) {
        if (error == null) {
            tell(name, "done");
        } else {
            tell(name, "refused", error);
        }
    }
}
