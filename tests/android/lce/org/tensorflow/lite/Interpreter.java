package org.tensorflow.lite;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.util.Arrays;
import java.util.Map;

/** Has what it is asked computed by whoever reads its output: a line of ids, for one of the exit and the logits. */
public final class Interpreter implements AutoCloseable {
    private static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in));

    public static class Options {
        private boolean plain;

        public Options setNumThreads(int numThreads) {
            return this;
        }

        public Options setUseXNNPACK(boolean useXnnpack) {
            plain = !useXnnpack;
            return this;
        }
    }

    public Interpreter(ByteBuffer model, Options options) {
        if (!(model instanceof MappedByteBuffer) || !options.plain) {
            throw new IllegalArgumentException("the model is not mapped, or XNNPACK is on");
        }
    }

    public void runForMultipleInputsOutputs(Object[] inputs, Map<Integer, Object> outputs) {
        System.out.println("ids " + Arrays.toString(((int[][]) inputs[0])[0]));
        try {
            String[] words = INPUT.readLine().split(" ");
            ((int[]) outputs.get(1))[0] = Integer.parseInt(words[0]);
            float[] logits = ((float[][]) outputs.get(0))[0];
            for (int c = 0; c < logits.length; c++) {
                logits[c] = Float.intBitsToFloat(Integer.parseUnsignedInt(words[1 + c], 16));
            }
        } catch (IOException error) {
            throw new AssertionError(error);
        }
    }

    @Override
    public void close() {}
}
