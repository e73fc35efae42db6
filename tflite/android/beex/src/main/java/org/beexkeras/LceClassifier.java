package org.beexkeras;

import android.content.Context;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;
import org.tensorflow.lite.Interpreter;

/**
 * Runs a .tflite file that exits by itself in the interpreter of Larq Compute Engine, whose AAR, lce-lite, the app
 * brings. Ids come from the engine's tokenizer, labels from the file's metadata.
 *
 * <p>The interpreter works for one thread at a time, so threads that share a classifier take turns.
 */
public final class LceClassifier extends TextClassifier {
    private final NativeModel tokenizer;
    private final Interpreter interpreter;
    private final List<String> labels;
    private final boolean readsPairs;
    private final int length;
    private final float[] scale; // offset, scale, least and most of a number; null of classes
    private boolean closed;

    private LceClassifier(String source, ByteBuffer data) {
        TfliteFile file = new TfliteFile(source, data);
        try {
            scale = scale(file.about.optJSONObject("value_scale"));
            labels = scale == null
                    ? strings(file.about.getJSONArray("labels"))
                    : Collections.<String>emptyList();
            length = file.about.getInt("length");
            int segments = file.about.getJSONObject("config").getInt("num_segments");
            readsPairs = segments > 1;
            checkExit(source, file.about);
            tokenizer = tokenizer(source, file, segments, length);
        } catch (JSONException error) {
            throw new ModelException(source, "its metadata cannot be read; convert the model again");
        }
        Interpreter.Options options = new Interpreter.Options();
        options.setUseXNNPACK(false);
        options.setNumThreads(1);
        try {
            interpreter = new Interpreter(data, options);
        } catch (RuntimeException error) {
            tokenizer.close();
            throw new ModelException(source, "the interpreter refuses it (" + error.getMessage() + ")");
        }
    }

    /**
     * A classifier of an asset, which is mapped if it is not compressed.
     *
     * @throws IOException if there is no such asset, or it cannot be read
     * @throws ModelException if it is not a model that exits by itself, or damaged
     */
    public static LceClassifier fromAsset(Context context, String name) throws IOException {
        return new LceClassifier(name, Files.asset(context, name));
    }

    /** A classifier of a file, which is mapped: replace it, do not write into it. Errors as of an asset. */
    public static LceClassifier fromFile(File file) throws IOException {
        return new LceClassifier(file.getPath(), Files.map(file));
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
        return scale != null;
    }

    private static float[] scale(JSONObject values) throws JSONException {
        if (values == null) {
            return null;
        }
        float least = values.isNull("least") ? Float.NEGATIVE_INFINITY : (float) values.getDouble("least");
        float most = values.isNull("most") ? Float.POSITIVE_INFINITY : (float) values.getDouble("most");
        return new float[] {(float) values.getDouble("offset"), (float) values.getDouble("scale"), least, most};
    }

    private static List<String> strings(JSONArray array) throws JSONException {
        List<String> all = new ArrayList<>();
        for (int i = 0; i < array.length(); i++) {
            all.add(array.getString(i));
        }
        return Collections.unmodifiableList(all);
    }

    private static void checkExit(String source, JSONObject about) throws JSONException {
        if (!about.getString("exit").equals("in-graph") || about.getBoolean("threshold_input")) {
            String fix = "convert it with neither --exit nor --threshold-input";
            throw new ModelException(source, "the model does not exit by itself; " + fix);
        }
    }

    private static NativeModel tokenizer(String source, TfliteFile file, int segments, int length)
            throws JSONException {
        if (file.vocabulary == null) {
            throw new ModelException(source, Native.message(Native.ERROR_VOCABULARY));
        }
        Dictionary words = new Dictionary(), pieces = new Dictionary();
        for (int id = 0; id < file.vocabulary.length; id++) {
            String token = file.vocabulary[id];
            boolean isPiece = token.startsWith("##") && token.length() > 2;
            (isPiece ? pieces : words).add(token.substring(isPiece ? 2 : 0), id);
        }
        JSONObject settings = file.about.getJSONObject("preprocessor");
        int textLength = settings.getInt("max_length");
        List<String> tokens = Arrays.asList(file.vocabulary);
        int unknown = tokens.indexOf("[UNK]"), first = tokens.indexOf("[CLS]"), last = tokens.indexOf("[SEP]");
        if (textLength < 3 || textLength > length || unknown < 0 || first < 0 || last < 0) {
            throw new ModelException(source, "its metadata contradicts itself; convert the model again");
        }
        long model = Native.tokenizer(
                words.pack(), pieces.pack(), textLength, segments, settings.getBoolean("lower_case"),
                unknown, first, last);
        return NativeModel.of(source, model);
    }

    @Override
    synchronized Prediction answer(String name, byte[] text, byte[] pair) {
        if (closed) {
            throw new IllegalStateException("The classifier is closed; open the model again.");
        }
        int[] ids = new int[length];
        boolean truncated = false;
        int status = Native.encode(tokenizer.handle(), text, pair, false, ids);
        if (status == Native.ERROR_LENGTH) {
            truncated = true;
            status = Native.encode(tokenizer.handle(), text, pair, true, ids);
        }
        if (status != Native.OK) {
            throw new TextException(name, Native.message(status));
        }
        float[][] logits = new float[1][isNumber() ? 1 : labels.size()];
        int[] exit = new int[1];
        Map<Integer, Object> outputs = new HashMap<>();
        outputs.put(0, logits);
        outputs.put(1, exit);
        interpreter.runForMultipleInputsOutputs(new Object[] {new int[][] {ids}}, outputs);
        if (isNumber()) {
            float value = scale[0] + scale[1] * logits[0][0];
            return Prediction.ofNumber(Math.min(Math.max(value, scale[2]), scale[3]), exit[0] + 1, truncated);
        }
        return prediction(logits[0], exit[0] + 1, truncated);
    }

    private Prediction prediction(float[] logits, int exit, boolean truncated) {
        int best = 0;
        for (int c = 1; c < logits.length; c++) {
            best = logits[c] > logits[best] ? c : best;
        }
        double total = 0;
        for (float logit : logits) {
            total += Math.exp(logit - (double) logits[best]);
        }
        float[] probabilities = new float[logits.length];
        for (int c = 0; c < logits.length; c++) {
            probabilities[c] = (float) (Math.exp(logits[c] - (double) logits[best]) / total);
        }
        return Prediction.ofClass(labels, best, probabilities[best], exit, truncated, probabilities);
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            tokenizer.close();
            interpreter.close();
        }
    }
}
