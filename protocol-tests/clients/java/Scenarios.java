import java.util.LinkedHashMap;
import java.util.Map;

/** The scenarios by name, in the order in which they run. */
final class Scenarios {
    /** Throws to fail, NotApplicable if the client cannot express it. */
    interface Scenario {
        void run() throws Exception;
    }

    /** The same with a detail of a result that is ok; it may be empty. */
    interface DetailedScenario {
        String run() throws Exception;
    }

    final Map<String, DetailedScenario> byName = new LinkedHashMap<>();

    void add(String name, Scenario scenario) {
        addWithDetail(name, () -> {
            scenario.run();
            return "";
        });
    }

    void addWithDetail(String name, DetailedScenario scenario) {
        byName.put(name, scenario);
    }
}
