package org.tensorflow.lite;

import java.nio.ByteBuffer;
import java.util.Map;

/** What LceClassifier calls, with the types that TensorFlow's Java sources declare. */
public final class Interpreter implements AutoCloseable {
    public static class Options {
        public Options setNumThreads(int numThreads) {
            return this;
        }

        public Options setUseXNNPACK(boolean useXnnpack) {
            return this;
        }
    }

    public Interpreter(ByteBuffer model, Options options) {}

    public void runForMultipleInputsOutputs(Object[] inputs, Map<Integer, Object> outputs) {}

    @Override
    public void close() {}
}
