import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.Errors;

/** Groups in kafka-clients 2.8 and younger; errors are their names, null is none. */
@SuppressWarnings({"deprecation", "removal"}) // what replaces them is younger than 2.8
final class ReleaseGroups {
    private ReleaseGroups() {}

    record Described(String state, String protocol, List<Collection<TopicPartition>> owned) {}

    static String assignor(String name) {
        return (name.equals("range") ? RangeAssignor.class : CooperativeStickyAssignor.class).getName();
    }

    static String instanceKey() {
        return "group.instance.id";
    }

    static List<String> list(AdminClient admin) throws Exception {
        return Cluster.get(admin.listConsumerGroups().all()).stream()
                .map(ConsumerGroupListing::groupId)
                .collect(Collectors.toList());
    }

    static Described describe(AdminClient admin, String group) throws Exception {
        ConsumerGroupDescription found = Cluster.get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
        List<Collection<TopicPartition>> owned = found.members().stream()
                .<Collection<TopicPartition>>map(member -> member.assignment().topicPartitions())
                .collect(Collectors.toList());
        return new Described(found.state().toString(), found.partitionAssignor(), owned);
    }

    static Map<TopicPartition, OffsetAndMetadata> offsets(AdminClient admin, String group) throws Exception {
        return Cluster.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    static String alterOffset(AdminClient admin, String group, TopicPartition place, long offset) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = Map.of(place, new OffsetAndMetadata(offset));
        return error(admin.alterConsumerGroupOffsets(group, offsets).all());
    }

    static String deleteOffset(AdminClient admin, String group, TopicPartition place) throws Exception {
        return error(admin.deleteConsumerGroupOffsets(group, Set.of(place)).partitionResult(place));
    }

    static String delete(AdminClient admin, String group) throws Exception {
        return error(admin.deleteConsumerGroups(List.of(group)).all());
    }

    static String removeMember(AdminClient admin, String group, String instance) throws Exception {
        Set<MemberToRemove> members = Set.of(new MemberToRemove(instance));
        return error(admin.removeMembersFromConsumerGroup(
                group, new RemoveMembersFromConsumerGroupOptions(members)).all());
    }

    private static String error(Future<?> future) throws Exception {
        try {
            Cluster.get(future);
            return null;
        } catch (ExecutionException e) {
            Errors error = Errors.forException(e.getCause());
            if (error == Errors.UNKNOWN_SERVER_ERROR) {
                throw e;
            }
            return error.name();
        }
    }
}
