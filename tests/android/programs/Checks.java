import android.content.Context;
import android.content.res.AssetFileDescriptor;
import android.content.res.AssetManager;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.CRC32;
import org.beexkeras.BeexClassifier;
import org.beexkeras.LceClassifier;
import org.beexkeras.ModelException;
import org.beexkeras.Prediction;
import org.beexkeras.TextException;

/** Checks NAME SINGLE PAIRS: one of its checks with a model of single texts and one of pairs. */
final class Checks {
    private static final String TEXT = "play some jazz";
    private static File single;
    private static File pairs;

    public static void main(String[] arguments) throws Exception {
        single = new File(arguments[1]);
        pairs = new File(arguments[2]);
        Checks.class.getDeclaredMethod(arguments[0]).invoke(null);
        System.out.println("ok");
    }

    private interface Call {
        void run() throws Exception;
    }

    /** The message of the exception, which is of that class and ends as a sentence does. */
    private static String raises(Class<? extends Exception> type, Call call) throws Exception {
        try {
            call.run();
        } catch (Exception error) {
            if (error.getClass() == type) {
                return error.getMessage();
            }
            throw error;
        }
        throw new AssertionError("no " + type);
    }

    private static void says(String part, String message) {
        require(message.contains(part) && message.endsWith("."), message);
    }

    private static void require(boolean truth, String what) {
        if (!truth) {
            throw new AssertionError(what);
        }
    }

    private static byte[] bytes(File file) throws IOException {
        return Files.readAllBytes(file.toPath());
    }

    static void errors() throws Exception {
        raises(FileNotFoundException.class, () -> BeexClassifier.fromFile(new File("missing.beex")));
        says("not a whole .beex file", raises(ModelException.class, () -> open(new byte[0])));
        says("not a whole .beex file", raises(ModelException.class, () -> open("hello".getBytes("UTF-8"))));
        byte[] damaged = bytes(single);
        damaged[damaged.length / 2] ^= 1;
        says("damaged", raises(ModelException.class, () -> open(damaged)));
        try (BeexClassifier one = BeexClassifier.fromFile(single); BeexClassifier two = BeexClassifier.fromFile(pairs)) {
            says("null", raises(NullPointerException.class, () -> one.classify((String) null)));
            says("null", raises(NullPointerException.class, () -> two.classify("a", null)));
            says("Text 2 is null", raises(NullPointerException.class, () -> one.classify(Arrays.asList("a", null))));
            for (String empty : new String[] {"", " \t", "\u0085\u2003\u001c"}) {
                says("is empty", raises(TextException.class, () -> one.classify(empty)));
            }
            says("Unicode", raises(TextException.class, () -> one.classify("half \ud83d")));
            says("give one text", raises(TextException.class, () -> one.classify("a", "b")));
            says("give a second text", raises(TextException.class, () -> two.classify("a")));
            says("Text 2 ", raises(TextException.class, () -> one.classify(Arrays.asList("a", "", "b"))));
            says("Pair 1 ", raises(TextException.class,
                    () -> one.classify(Collections.singletonList("a"), Collections.singletonList("b"))));
            says("one for each", raises(IllegalArgumentException.class,
                    () -> two.classify(Arrays.asList("a", "b"), Collections.singletonList("c"))));
            require(two.classify(Arrays.asList("a b", "c"), Arrays.asList("b", "d")).size() == 2, "two pairs");
            require(one.classify(Collections.<String>emptyList()).isEmpty(), "no texts");
            one.close();
            says("closed", raises(IllegalStateException.class, () -> one.classify(TEXT)));
        }
    }

    private static BeexClassifier open(byte[] bytes) {
        return BeexClassifier.fromBuffer(ByteBuffer.wrap(bytes));
    }

    /** The same answers from files, heap, direct memory at any place, and assets, compressed and not. */
    static void sources() throws Exception {
        byte[] data = bytes(single);
        List<BeexClassifier> all = new ArrayList<>();
        all.add(BeexClassifier.fromFile(single));
        all.add(open(data));
        for (int offset : new int[] {0, 4, 8}) {
            ByteBuffer direct = ByteBuffer.allocateDirect(data.length + 16);
            direct.position(offset);
            direct.put(data);
            direct.limit(offset + data.length).position(offset);
            all.add(BeexClassifier.fromBuffer(direct));
            require(direct.position() == offset, "the caller's buffer stays where it is");
            all.add(BeexClassifier.fromAsset(new Assets(data, offset), "model"));
        }
        all.add(BeexClassifier.fromAsset(new Assets(data, -1), "model"));
        raises(FileNotFoundException.class, () -> BeexClassifier.fromAsset(new Assets(data, -1), "missing"));
        String expected = all.get(0).classify(TEXT).toString();
        for (BeexClassifier classifier : all) {
            require(classifier.classify(TEXT).toString().equals(expected), expected);
            classifier.close();
            classifier.close();
        }
    }

    /** An app's assets: a model at a place within a file, or one that is compressed. */
    private static final class Assets extends Context {
        private final byte[] data;
        private final int offset;

        Assets(byte[] data, int offset) {
            this.data = data;
            this.offset = offset;
        }

        @Override
        public AssetManager getAssets() {
            return new AssetManager() {
                @Override
                public AssetFileDescriptor openFd(String name) throws IOException {
                    if (offset < 0) {
                        throw new FileNotFoundException("it is probably compressed");
                    }
                    File file = File.createTempFile("assets", ".apk");
                    file.deleteOnExit();
                    byte[] shifted = new byte[offset + data.length + 100];
                    System.arraycopy(data, 0, shifted, offset, data.length);
                    Files.write(file.toPath(), shifted);
                    return descriptor(new FileInputStream(file), offset, data.length);
                }

                @Override
                public InputStream open(String name) throws IOException {
                    if (!name.equals("model")) {
                        throw new FileNotFoundException(name);
                    }
                    return new ByteArrayInputStream(data);
                }
            };
        }
    }

    private static AssetFileDescriptor descriptor(FileInputStream file, long start, long length) {
        return new AssetFileDescriptor() {
            @Override
            public FileDescriptor getFileDescriptor() {
                try {
                    return file.getFD();
                } catch (IOException error) {
                    throw new AssertionError(error);
                }
            }

            @Override
            public long getStartOffset() {
                return start;
            }

            @Override
            public long getDeclaredLength() {
                return length;
            }

            @Override
            public void close() throws IOException {
                file.close();
            }
        };
    }

    /** Eight threads share a model; one that is closed meanwhile answers or says so. */
    static void threads() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(8);
        try (BeexClassifier classifier = BeexClassifier.fromFile(single)) {
            List<String> texts = Arrays.asList(TEXT, "will it rain", "rate this book four stars", TEXT + " " + TEXT);
            String expected = classifier.classify(texts).toString();
            List<Future<?>> all = new ArrayList<>();
            for (int thread = 0; thread < 8; thread++) {
                all.add(pool.submit((Callable<Void>) () -> {
                    for (int round = 0; round < 50; round++) {
                        require(classifier.classify(texts).toString().equals(expected), expected);
                    }
                    return null;
                }));
            }
            for (Future<?> one : all) {
                one.get();
            }
        }
        for (int round = 0; round < 20; round++) {
            BeexClassifier closing = BeexClassifier.fromFile(single);
            List<Future<?>> all = new ArrayList<>();
            for (int thread = 0; thread < 4; thread++) {
                all.add(pool.submit((Callable<Void>) () -> {
                    try {
                        while (true) {
                            closing.classify(TEXT);
                        }
                    } catch (IllegalStateException closed) {
                        return null;
                    }
                }));
            }
            closing.classify(TEXT);
            closing.close();
            for (Future<?> one : all) {
                one.get();
            }
        }
        pool.shutdown();
    }

    /** Hostile files, of wrong and of right checksums, are refused or run; others go on as before. */
    static void hostile() throws Exception {
        byte[] whole = bytes(single);
        Random random = new Random(0);
        int refused = 0;
        try (BeexClassifier classifier = BeexClassifier.fromFile(single)) {
            Prediction expected = classifier.classify(TEXT);
            for (int round = 0; round < 400; round++) {
                byte[] data = round % 10 == 0 ? Arrays.copyOf(whole, random.nextInt(whole.length)) : whole.clone();
                int most = round % 2 == 0 ? Math.min(256, data.length) : data.length;
                for (int n = random.nextInt(4); most > 0 && n >= 0; n--) {
                    data[random.nextInt(most)] = (byte) random.nextInt(256);
                }
                if (round % 4 != 0 && data.length >= 16) {
                    CRC32 checksum = new CRC32();
                    checksum.update(data, 16, data.length - 16);
                    ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN).putInt(12, (int) checksum.getValue());
                }
                try (BeexClassifier other = open(data)) {
                    other.classify(TEXT);
                } catch (ModelException | TextException error) {
                    says("", error.getMessage());
                    refused++;
                }
                require(classifier.classify(TEXT).toString().equals(expected.toString()), "works on");
            }
        }
        require(refused > 200, "refused " + refused);
    }

    /** 100,000 texts, and 2,000 models that come and go, leave the process's memory as it was. */
    static void memory() throws Exception {
        List<String> texts = Arrays.asList("a", "jazz", "will it rain");
        try (BeexClassifier classifier = BeexClassifier.fromFile(single)) {
            long before = 0;
            for (int call = 0; call < 110_000; call++) {
                if (call == 10_000) {
                    before = resident();
                }
                classifier.classify(texts.get(call % 3));
            }
            long grown = resident() - before;
            require(grown < 4096, "100,000 texts took " + grown + " KB");
        }
        byte[] data = bytes(single);
        ByteBuffer direct = ByteBuffer.allocateDirect(data.length);
        direct.put(data).flip();
        long before = 0;
        for (int round = 0; round < 2200; round++) {
            if (round == 200) {
                before = resident();
            }
            try (BeexClassifier classifier = BeexClassifier.fromBuffer(direct)) {
                classifier.classify("a");
            }
        }
        long grown = resident() - before;
        require(grown < 4096, "2,000 models took " + grown + " KB");
    }

    /** Of Larq Compute Engine's files: one that exits by itself, and one of all exits. */
    static void tflite() throws Exception {
        byte[] whole = bytes(single);
        LceClassifier classifier = lce(whole);
        says("is empty", raises(TextException.class, () -> classifier.classify("")));
        says("give one text", raises(TextException.class, () -> classifier.classify("a", "b")));
        classifier.close();
        classifier.close();
        says("closed", raises(IllegalStateException.class, () -> classifier.classify("a")));
        says("exit by itself", raises(ModelException.class, () -> LceClassifier.fromFile(pairs)));
        says("not a TFLite model", raises(ModelException.class, () -> lce(new byte[0])));
        for (String[] change : new String[][] {
            {"\"max_length\":64", "\"max_length\": 1"}, {"\"length\":64", "\"length\": 9"},
            {"\"format\":3", "\"format\":9"}, {"beex_keras_voc", "beex_keras_cov"},
        }) {
            says("", raises(ModelException.class, () -> lce(resealed(whole, change[0], change[1]))));
        }
        Random random = new Random(0);
        for (int round = 0; round < 50; round++) {
            byte[] damaged = round % 2 == 0 ? whole.clone() : Arrays.copyOf(whole, random.nextInt(whole.length));
            damaged[random.nextInt(damaged.length)] ^= 4;
            says("", raises(ModelException.class, () -> lce(damaged)));
        }
    }

    /** The file with other words of the same length, and the checksum of what it then is. */
    private static byte[] resealed(byte[] file, String from, String to) throws Exception {
        String text = new String(file, "ISO-8859-1");
        require(text.contains(from) && from.length() == to.length(), from);
        String known = text.replaceFirst("(?s).*\"sha256\":\"([0-9a-f]{64})\".*", "$1");
        String blank = String.join("", Collections.nCopies(64, "0"));
        String changed = text.replace(from, to).replace(known, blank);
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(changed.getBytes("ISO-8859-1"));
        String digits = String.format("%064x", new BigInteger(1, digest));
        return changed.replace("\"" + blank, "\"" + digits).getBytes("ISO-8859-1");
    }

    private static LceClassifier lce(byte[] bytes) throws IOException {
        File file = File.createTempFile("model", ".tflite");
        file.deleteOnExit();
        Files.write(file.toPath(), bytes);
        return LceClassifier.fromFile(file);
    }

    /** KB of the process that are in memory. */
    private static long resident() throws IOException {
        for (String line : Files.readAllLines(new File("/proc/self/status").toPath())) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("\\D", ""));
            }
        }
        throw new AssertionError("no VmRSS");
    }
}
