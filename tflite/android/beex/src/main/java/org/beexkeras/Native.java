package org.beexkeras;

import java.nio.ByteBuffer;

/**
 * The functions of libbeex_jni.so. A model or an engine is a number that the library knows; a status is one of
 * beex.h.
 */
final class Native {
    static final int OK = 0;
    static final int ERROR_ALIGNMENT = 4;
    static final int ERROR_MEMORY = 6;
    static final int ERROR_LENGTH = 9;
    static final int ERROR_VOCABULARY = 11;

    /** Places in the array of an answer; behind the last begin the probabilities. */
    static final int EXIT = 0, LABEL = 1, TRUNCATED = 2, SCORE = 3, VALUE = 4, PROBABILITIES = 5;

    /** Places in the description of a model. */
    static final int CLASSES = 0, READS_PAIRS = 1, IS_NUMBER = 2, HAS_VOCABULARY = 3;

    static {
        System.loadLibrary("beex_jni");
    }

    private Native() {}

    /** What a status says: a sentence without a full stop. */
    static native String message(int status);

    /** Checks a direct buffer, which has to stay while the model is used; the model is put into the array. */
    static native int open(ByteBuffer data, long[] model);

    /** A model that only encodes texts, by dictionaries that {@link Dictionary} packs; 0 without memory. */
    static native long tokenizer(
            byte[] words, byte[] pieces, int textLength, int segments, boolean lowerCase,
            int unknownId, int classificationId, int separatorId);

    static native void free(long model);

    static native int[] describe(long model);

    /** The name of a class, in UTF-8. */
    static native byte[] label(long model, int number);

    /** Puts token ids into the array, which has room for all that the model reads; the rest stays as it is. */
    static native int encode(long model, byte[] text, byte[] pair, boolean truncate, int[] ids);

    /** An engine for one thread at a time; 0 without memory. */
    static native long start(long model);

    static native void stop(long engine);

    /** Classifies a text, or a pair unless that is null. */
    static native int classify(long engine, byte[] text, byte[] pair, float[] answer);
}
