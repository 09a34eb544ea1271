import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The scenarios of ../README.md with whatever version of kafka-clients is on the class path. */
public final class Main {
    private static final int SCENARIO_DEADLINE_S = 200;

    public static void main(String[] args) throws Exception {
        String bootstrap = null;
        String prefix = null;
        String topics = null;
        List<String> chosen = new ArrayList<>();
        boolean hostsMembers = args.length > 0 && args[args.length - 1].equals("--members");
        if (hostsMembers) {
            args = Arrays.copyOf(args, args.length - 1);
        }
        for (int i = 0; i + 1 < args.length; i += 2) {
            switch (args[i]) {
                case "--bootstrap" -> bootstrap = args[i + 1];
                case "--prefix" -> prefix = args[i + 1];
                case "--scenario" -> chosen.add(args[i + 1]);
                case "--read-topics" -> topics = args[i + 1];
                default -> usage();
            }
        }
        if (args.length % 2 != 0 || bootstrap == null || prefix == null) {
            usage();
        }
        Cluster cluster = new Cluster(bootstrap, prefix);
        if (hostsMembers) {
            new Members(cluster).serve();
            // Members that nobody closed have threads.
            System.exit(0);
        }
        if (topics != null) {
            new Formats(cluster).readTopics(List.of(topics.split(",")));
            System.exit(0);
        }
        Map<String, Scenarios.DetailedScenario> scenarios = scenarios(cluster).byName;
        if (!scenarios.keySet().containsAll(chosen)) {
            usage();
        }
        if (chosen.isEmpty()) {
            // They need somebody at the other end.
            scenarios.keySet().removeIf(name -> name.startsWith("restart-"));
        } else {
            scenarios.keySet().retainAll(chosen);
        }
        scenarios.forEach(Main::report);
        // A scenario that missed its deadline may have left a thread behind.
        System.exit(0);
    }

    private static Scenarios scenarios(Cluster cluster) {
        Scenarios all = new Scenarios();
        new TopicScenarios(cluster).addTo(all);
        new ProduceScenarios(cluster).addTo(all);
        new ConsumeScenarios(cluster).addTo(all);
        new AdminScenarios(cluster).addTo(all);
        new ConfigScenarios(cluster).addTo(all);
        new Formats(cluster).addTo(all);
        new RestartScenarios(cluster).addTo(all);
        return all;
    }

    private static void report(String name, Scenarios.DetailedScenario scenario) {
        CompletableFuture<String> outcome = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try {
                outcome.complete(scenario.run());
            } catch (Throwable e) {
                outcome.completeExceptionally(e);
            }
        }, name);
        thread.setDaemon(true);
        thread.start();
        String result;
        try {
            result = "ok\t" + outcome.get(SCENARIO_DEADLINE_S, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            thread.interrupt();
            result = "fail\tnot done within " + SCENARIO_DEADLINE_S + " s";
        } catch (ExecutionException e) {
            result = failure(e.getCause());
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        System.out.println(name + "\t" + result);
    }

    private static String failure(Throwable e) {
        if (e instanceof NotApplicable) {
            return "n/a\t" + e.getMessage();
        }
        e.printStackTrace();
        return "fail\t" + String.valueOf(e).replaceAll("\\s+", " ");
    }

    private static void usage() {
        System.err.println("usage: --bootstrap HOST:PORT --prefix UNIQUE "
                + "[--scenario NAME]... | --read-topics TOPIC,... | --members");
        System.exit(2);
    }
}
