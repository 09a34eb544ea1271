import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.common.TopicPartition;

/** Groups in kafka-clients 1.1: the consumer knows them, the admin client does not. */
final class ReleaseGroups {
    private ReleaseGroups() {}

    record Described(String state, String protocol, List<Collection<TopicPartition>> owned) {}

    static String assignor(String name) {
        if (!name.equals("range")) {
            throw new NotApplicable("has no cooperative assignor");
        }
        return RangeAssignor.class.getName();
    }

    static String instanceKey() {
        throw new NotApplicable("has no static members");
    }

    static List<String> list(AdminClient admin) {
        throw none();
    }

    static Described describe(AdminClient admin, String group) {
        throw none();
    }

    static Map<TopicPartition, OffsetAndMetadata> offsets(AdminClient admin, String group) {
        throw none();
    }

    static String alterOffset(AdminClient admin, String group, TopicPartition place, long offset) {
        throw none();
    }

    static String deleteOffset(AdminClient admin, String group, TopicPartition place) {
        throw none();
    }

    static String delete(AdminClient admin, String group) {
        throw none();
    }

    static String removeMember(AdminClient admin, String group, String instance) {
        throw none();
    }

    private static NotApplicable none() {
        return new NotApplicable("its admin client knows no groups");
    }
}
