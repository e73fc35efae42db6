package android.content.res;

import java.io.Closeable;
import java.io.FileDescriptor;
import java.io.IOException;

public abstract class AssetFileDescriptor implements Closeable {
    public abstract FileDescriptor getFileDescriptor();

    public abstract long getStartOffset();

    public abstract long getDeclaredLength();

    @Override
    public abstract void close() throws IOException;
}
