package org.beexkeras;

import java.util.ArrayList;
import java.util.List;

/**
 * Text in, prediction out; {@link BeexClassifier} and {@link LceClassifier} do it.
 *
 * <p>Threads may share a classifier. A call takes from a fraction of a millisecond to some tens of them: keep it off
 * the main thread. A classifier holds native memory until it is closed.
 *
 * <p>A text that is longer than the model reads is cut, which {@link Prediction#isTruncated} says.
 */
public abstract class TextClassifier implements AutoCloseable {
    TextClassifier() {}

    /** The classes' names, in their order; none of a model that answers a number. */
    public abstract List<String> getLabels();

    /** Whether the model reads pairs of texts, rather than single ones. */
    public abstract boolean readsPairs();

    /** Whether the model answers a number. */
    public abstract boolean isNumber();

    /**
     * Classifies a text.
     *
     * @throws TextException if it is empty or not valid Unicode, or the model reads pairs
     * @throws NullPointerException if it is null
     * @throws IllegalStateException if the classifier is closed
     */
    public final Prediction classify(String text) {
        return answer("The text", text, null);
    }

    /**
     * Classifies a pair of texts.
     *
     * @throws TextException if one is empty or not valid Unicode, or the model reads single texts
     * @throws NullPointerException if one is null
     * @throws IllegalStateException if the classifier is closed
     */
    public final Prediction classify(String text, String pair) {
        return answer("The pair", text, Texts.given("The second text", pair));
    }

    /** Classifies texts, one after the other. Errors are those of one text, and name its number, counted from 1. */
    public final List<Prediction> classify(List<String> texts) {
        List<Prediction> answers = new ArrayList<>(texts.size());
        for (String text : texts) {
            answers.add(answer("Text " + (answers.size() + 1), text, null));
        }
        return answers;
    }

    /**
     * Classifies pairs of texts; errors as of one pair.
     *
     * @throws IllegalArgumentException if the lists differ in length
     */
    public final List<Prediction> classify(List<String> texts, List<String> pairs) {
        Texts.requireSameNumber(texts, pairs);
        List<Prediction> answers = new ArrayList<>(texts.size());
        for (String text : texts) {
            String name = "Pair " + (answers.size() + 1);
            answers.add(answer(name, text, Texts.given(name, pairs.get(answers.size()))));
        }
        return answers;
    }

    /** Gives the native memory back, once calls in other threads are done. Closing again does nothing. */
    @Override
    public abstract void close();

    /** Classifies a text, or a pair if there is a second one. Errors call it by the name. */
    final Prediction answer(String name, String text, String pair) {
        byte[] first = Texts.utf8(name, text);
        return answer(name, first, pair == null ? null : Texts.utf8(name, pair));
    }

    /** Classifies UTF-8; the second text is null if there is none. Errors call the text by the name. */
    abstract Prediction answer(String name, byte[] text, byte[] pair);
}
