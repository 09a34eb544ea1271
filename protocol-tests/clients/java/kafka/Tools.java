import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main classes of Kafka's command-line tools, one after the other in one JVM. Each line of
 * standard input is a class and its arguments, separated by tabs; each answer is a line
 * {@code status bytes-of-stdout bytes-of-stderr}, followed by these bytes.
 */
public final class Tools {
    private static final PrintStream ANSWERS = System.out;
    // Scala keeps what was the standard output when it first printed: that has to stay the same.
    private static final Switch OUT = new Switch();
    private static final Switch ERR = new Switch();

    public static void main(String[] args) throws Exception {
        System.setOut(new PrintStream(OUT, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(ERR, true, StandardCharsets.UTF_8));
        // A hook of the process would run when all tools are done.
        Exit.setShutdownHookAdder((name, hook) -> { });
        BufferedReader commands =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split("\t", -1);
            run(words[0], Arrays.copyOfRange(words, 1, words.length));
        }
        // Threads that tools left behind would keep the JVM.
        Runtime.getRuntime().halt(0);
    }

    private static void run(String tool, String[] arguments) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        OUT.target = out;
        ERR.target = err;
        CompletableFuture<Integer> ended = new CompletableFuture<>();
        Exit.Procedure end = (status, message) -> {
            ended.complete(status);
            // Nothing of the tool runs after its exit, not even what catches every Throwable.
            sleepForever();
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        Method main = Class.forName(tool).getMethod("main", String[].class);
        Thread thread = new Thread(() -> ended.complete(call(main, arguments)), tool);
        thread.setDaemon(true);
        thread.start();
        answer(ended.get(), out.toByteArray(), err.toByteArray());
    }

    private static int call(Method main, String[] arguments) {
        try {
            main.invoke(null, (Object) arguments);
            return 0;
        } catch (InvocationTargetException e) {
            // What the launcher of a JVM does.
            System.err.print("Exception in thread \"main\" ");
            e.getCause().printStackTrace();
            return 1;
        } catch (IllegalAccessException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void answer(int status, byte[] out, byte[] err) throws IOException {
        ANSWERS.printf("%d %d %d%n", status, out.length, err.length);
        ANSWERS.write(out);
        ANSWERS.write(err);
        ANSWERS.flush();
    }

    /** Passes on to what the running tool prints into. */
    private static final class Switch extends OutputStream {
        private volatile OutputStream target = OutputStream.nullOutputStream();

        @Override
        public void write(int b) throws IOException {
            target.write(b);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            target.write(bytes, offset, length);
        }
    }

    private static void sleepForever() {
        try {
            new CountDownLatch(1).await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
