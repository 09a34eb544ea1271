import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** Expectations that fail a scenario with a sentence. */
final class Check {
    private Check() {}

    static void that(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    static void equal(Object got, Object wanted, String what) {
        that(Objects.equals(got, wanted), what + ": got " + got + ", wanted " + wanted);
    }

    /** Null and empty differ. */
    static void bytes(byte[] got, byte[] wanted, String what) {
        that(Arrays.equals(got, wanted), what + ": got " + show(got) + ", wanted " + show(wanted));
    }

    /** The values in order, at consecutive offsets from `first`. */
    static void values(List<ConsumerRecord<byte[], byte[]>> records, long first, String... wanted) {
        equal(records.size(), wanted.length, "records");
        for (int i = 0; i < wanted.length; i++) {
            equal(records.get(i).offset(), first + i, "offset");
            bytes(records.get(i).value(), wanted[i].getBytes(), "value at " + (first + i));
        }
    }

    private static String show(byte[] bytes) {
        if (bytes == null) {
            return "null";
        }
        String text = Arrays.toString(Arrays.copyOf(bytes, Math.min(bytes.length, 16)));
        return bytes.length + " bytes " + text;
    }
}
