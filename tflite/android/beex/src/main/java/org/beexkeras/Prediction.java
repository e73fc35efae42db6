package org.beexkeras;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a classifier says about a text: a label with its score, or, of a model that answers a number, a value.
 */
public final class Prediction {
    private final String label;
    private final float score;
    private final float value;
    private final int exit;
    private final boolean truncated;
    private final Map<String, Float> probabilities;

    private Prediction(
            String label, float score, float value, int exit, boolean truncated, Map<String, Float> probabilities) {
        this.label = label;
        this.score = score;
        this.value = value;
        this.exit = exit;
        this.truncated = truncated;
        this.probabilities = probabilities;
    }

    static Prediction ofNumber(float value, int exit, boolean truncated) {
        return new Prediction(null, Float.NaN, value, exit, truncated, Collections.<String, Float>emptyMap());
    }

    static Prediction ofClass(
            List<String> labels, int label, float score, int exit, boolean truncated, float[] probabilities) {
        Map<String, Float> named = new LinkedHashMap<>();
        for (int c = 0; c < probabilities.length; c++) {
            named.put(labels.get(c), probabilities[c]);
        }
        return new Prediction(
                labels.get(label), score, Float.NaN, exit, truncated, Collections.unmodifiableMap(named));
    }

    /** Whether the model answers a number. There is then a value, and neither label nor score. */
    public boolean isNumber() {
        return label == null;
    }

    /** The most probable class at the exit taken; null of a number. */
    public String getLabel() {
        return label;
    }

    /** The label's softmax probability there; NaN of a number. */
    public float getScore() {
        return score;
    }

    /** The number, in the unit of the data that the model has learned from; NaN of classes. */
    public float getValue() {
        return value;
    }

    /** The exit taken, counted from 1. */
    public int getExit() {
        return exit;
    }

    /** Whether the text was cut, because it is longer than the model reads. */
    public boolean isTruncated() {
        return truncated;
    }

    /** Softmax probability of every label at the exit taken, in the order of the labels; empty of a number. */
    public Map<String, Float> getProbabilities() {
        return probabilities;
    }

    @Override
    public String toString() {
        String answer = isNumber() ? "" + value : label + " (" + score + ")";
        return answer + " at exit " + exit + (truncated ? ", truncated" : "");
    }
}
