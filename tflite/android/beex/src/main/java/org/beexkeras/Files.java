package org.beexkeras;

import android.content.Context;
import android.content.res.AssetFileDescriptor;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** Bytes of models: mapped where they can be. */
final class Files {
    private Files() {}

    static ByteBuffer map(File file) throws IOException {
        try (FileInputStream stream = new FileInputStream(file)) {
            FileChannel channel = stream.getChannel();
            return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
        }
    }

    static ByteBuffer asset(Context context, String name) throws IOException {
        try (AssetFileDescriptor asset = context.getAssets().openFd(name);
                FileInputStream stream = new FileInputStream(asset.getFileDescriptor())) {
            long start = asset.getStartOffset();
            return stream.getChannel().map(FileChannel.MapMode.READ_ONLY, start, asset.getDeclaredLength());
        } catch (FileNotFoundException compressed) {
            // Or it is missing, which the following says.
            return unpacked(context.getAssets().open(name));
        }
    }

    private static ByteBuffer unpacked(InputStream stream) throws IOException {
        try (InputStream input = stream) {
            ByteArrayOutputStream all = new ByteArrayOutputStream();
            byte[] part = new byte[1 << 16];
            for (int count; (count = input.read(part)) >= 0; ) {
                all.write(part, 0, count);
            }
            ByteBuffer bytes = ByteBuffer.allocateDirect(all.size());
            bytes.put(all.toByteArray());
            bytes.flip();
            return bytes;
        }
    }
}
