package org.beexkeras;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;

/**
 * A model in native memory, and engines for as many threads as have used it at a time.
 *
 * <p>The last one to leave frees it: {@link #close}, or the thread that gives the last engine back.
 */
final class NativeModel implements AutoCloseable {
    private final String source;
    /** What the model reads, if it is a file. */
    private final ByteBuffer data;
    private final ArrayDeque<Long> idle = new ArrayDeque<>();
    private long model;
    private int busy;
    private boolean closed;

    private NativeModel(String source, ByteBuffer data, long model) {
        this.source = source;
        this.data = data;
        this.model = model;
    }

    /** A model of a file's bytes, from the buffer's position to its limit. */
    static NativeModel open(String source, ByteBuffer bytes) {
        long[] model = new long[1];
        ByteBuffer data = bytes.isDirect() ? bytes.slice() : copy(bytes);
        int status = Native.open(data, model);
        if (status == Native.ERROR_ALIGNMENT) {
            // Files within an APK begin at multiples of 4; what is allocated, at those of 8.
            data = copy(bytes);
            status = Native.open(data, model);
        }
        if (status == Native.ERROR_MEMORY) {
            throw outOfMemory(source);
        }
        if (status != Native.OK) {
            throw new ModelException(source, Native.message(status));
        }
        return new NativeModel(source, data, model[0]);
    }

    /** A model that {@link Native#tokenizer} made. */
    static NativeModel of(String source, long model) {
        if (model == 0) {
            throw outOfMemory(source);
        }
        return new NativeModel(source, null, model);
    }

    private static ByteBuffer copy(ByteBuffer bytes) {
        ByteBuffer own = ByteBuffer.allocateDirect(bytes.remaining());
        own.put(bytes.duplicate());
        own.flip();
        return own;
    }

    private static OutOfMemoryError outOfMemory(String source) {
        return new OutOfMemoryError(source + ": there is not enough memory for the model.");
    }

    /** The model, for one that has opened it and that alone knows of it. */
    long handle() {
        return model;
    }

    /** An engine, which has to be given back. */
    long take() {
        synchronized (idle) {
            if (closed) {
                throw new IllegalStateException("The classifier is closed; open the model again.");
            }
            Long engine = idle.pollLast();
            if (engine == null) {
                engine = Native.start(model);
                if (engine == 0) {
                    throw outOfMemory(source);
                }
            }
            busy++;
            return engine;
        }
    }

    void give(long engine) {
        synchronized (idle) {
            busy--;
            idle.addLast(engine);
            if (closed) {
                freeIfIdle();
            }
        }
    }

    @Override
    public void close() {
        synchronized (idle) {
            closed = true;
            freeIfIdle();
        }
    }

    private void freeIfIdle() {
        for (Long engine; (engine = idle.pollLast()) != null; ) {
            Native.stop(engine);
        }
        if (busy == 0 && model != 0) {
            Native.free(model);
            model = 0;
        }
    }
}
