package org.beexkeras;

import android.content.Context;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * Runs a .beex file in the C engine.
 *
 * <pre>{@code
 * try (BeexClassifier classifier = BeexClassifier.fromAsset(context, "sst2-micro.beex")) {
 *     Prediction prediction = classifier.classify("what a lovely film");
 *     Log.i("beex", prediction.getLabel() + " " + prediction.getScore() + " at exit " + prediction.getExit());
 * }
 * }</pre>
 *
 * <p>Threads that classify at the same time have working memory each; it is kept for the next.
 */
public final class BeexClassifier extends TextClassifier {
    private final NativeModel model;
    private final List<String> labels;
    private final boolean readsPairs;
    private final boolean isNumber;

    private BeexClassifier(String source, NativeModel model) {
        this.model = model;
        int[] description = Native.describe(model.handle());
        if (description[Native.HAS_VOCABULARY] == 0) {
            model.close();
            throw new ModelException(source, Native.message(Native.ERROR_VOCABULARY));
        }
        readsPairs = description[Native.READS_PAIRS] != 0;
        isNumber = description[Native.IS_NUMBER] != 0;
        List<String> names = new ArrayList<>();
        for (int c = 0; !isNumber && c < description[Native.CLASSES]; c++) {
            names.add(new String(Native.label(model.handle(), c), StandardCharsets.UTF_8));
        }
        labels = Collections.unmodifiableList(names);
    }

    /**
     * A classifier of an asset. Name the suffix in {@code androidResources.noCompress}, and the file is mapped;
     * otherwise it is unpacked into memory.
     *
     * @throws IOException if there is no such asset, or it cannot be read
     * @throws ModelException if it is not a model, or damaged
     */
    public static BeexClassifier fromAsset(Context context, String name) throws IOException {
        return new BeexClassifier(name, NativeModel.open(name, Files.asset(context, name)));
    }

    /** A classifier of a file, which is mapped: replace it, do not write into it. Errors as of an asset. */
    public static BeexClassifier fromFile(File file) throws IOException {
        return new BeexClassifier(file.getPath(), NativeModel.open(file.getPath(), Files.map(file)));
    }

    /**
     * A classifier of a file's bytes, from the buffer's position to its limit. A direct buffer is not copied if it
     * begins at a multiple of 8 bytes: leave its content as it is.
     *
     * @throws ModelException if they are not a model, or damaged
     */
    public static BeexClassifier fromBuffer(ByteBuffer bytes) {
        return new BeexClassifier("The model", NativeModel.open("The model", bytes));
    }

    @Override
    public List<String> getLabels() {
        return labels;
    }

    @Override
    public boolean readsPairs() {
        return readsPairs;
    }

    @Override
    public boolean isNumber() {
        return isNumber;
    }

    @Override
    Prediction answer(String name, byte[] text, byte[] pair) {
        float[] answer = new float[Native.PROBABILITIES + Math.max(labels.size(), 1)];
        long engine = model.take();
        int status;
        try {
            status = Native.classify(engine, text, pair, answer);
        } finally {
            model.give(engine);
        }
        if (status != Native.OK) {
            throw new TextException(name, Native.message(status));
        }
        int exit = (int) answer[Native.EXIT];
        boolean truncated = answer[Native.TRUNCATED] != 0;
        if (isNumber) {
            return Prediction.ofNumber(answer[Native.VALUE], exit, truncated);
        }
        float[] probabilities = Arrays.copyOfRange(answer, Native.PROBABILITIES, answer.length);
        int label = (int) answer[Native.LABEL];
        return Prediction.ofClass(labels, label, answer[Native.SCORE], exit, truncated, probabilities);
    }

    @Override
    public void close() {
        model.close();
    }
}
