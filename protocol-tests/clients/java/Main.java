import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The scenarios of ../README.md with whatever version of kafka-clients is on the class path. */
public final class Main {
    private static final int SCENARIO_DEADLINE_S = 40;

    interface Scenario {
        /** Throws to fail. */
        void run() throws Exception;
    }

    public static void main(String[] args) {
        String bootstrap = null;
        String prefix = null;
        List<String> chosen = new ArrayList<>();
        for (int i = 0; i + 1 < args.length; i += 2) {
            switch (args[i]) {
                case "--bootstrap" -> bootstrap = args[i + 1];
                case "--prefix" -> prefix = args[i + 1];
                case "--scenario" -> chosen.add(args[i + 1]);
                default -> usage();
            }
        }
        if (args.length % 2 != 0 || bootstrap == null || prefix == null) {
            usage();
        }
        Map<String, Scenario> scenarios = scenarios(new Cluster(bootstrap, prefix));
        if (!scenarios.keySet().containsAll(chosen)) {
            usage();
        }
        if (!chosen.isEmpty()) {
            scenarios.keySet().retainAll(chosen);
        }
        scenarios.forEach(Main::report);
        // A scenario that missed its deadline may have left a thread behind.
        System.exit(0);
    }

    private static Map<String, Scenario> scenarios(Cluster cluster) {
        Map<String, Scenario> all = new LinkedHashMap<>();
        new TopicScenarios(cluster).addTo(all);
        new ProduceScenarios(cluster).addTo(all);
        new ConsumeScenarios(cluster).addTo(all);
        return all;
    }

    private static void report(String name, Scenario scenario) {
        CompletableFuture<Void> outcome = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try {
                scenario.run();
                outcome.complete(null);
            } catch (Throwable e) {
                outcome.completeExceptionally(e);
            }
        }, name);
        thread.setDaemon(true);
        thread.start();
        String result;
        try {
            outcome.get(SCENARIO_DEADLINE_S, TimeUnit.SECONDS);
            result = "ok\t";
        } catch (TimeoutException e) {
            thread.interrupt();
            result = "fail\tnot done within " + SCENARIO_DEADLINE_S + " s";
        } catch (ExecutionException e) {
            e.getCause().printStackTrace();
            result = "fail\t" + String.valueOf(e.getCause()).replaceAll("\\s+", " ");
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        System.out.println(name + "\t" + result);
    }

    private static void usage() {
        System.err.println("usage: --bootstrap HOST:PORT --prefix UNIQUE [--scenario NAME]...");
        System.exit(2);
    }
}
