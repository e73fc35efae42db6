package org.beexkeras;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;
import org.json.JSONException;
import org.json.JSONObject;

/**
 * What a converted .tflite file says of itself; docs/files.md describes it. Its checksum is verified before
 * anything else is read, since the interpreter trusts what it gets.
 */
final class TfliteFile {
    private static final byte[] BEFORE_CHECKSUM = "\"sha256\":\"".getBytes(StandardCharsets.US_ASCII);
    private static final int DIGITS = 64;
    private static final int FORMAT = 3;

    // Places of fields in the tables of TensorFlow Lite's schema.
    private static final int MODEL_BUFFERS = 4, MODEL_METADATA = 6;
    private static final int METADATA_NAME = 0, METADATA_BUFFER = 1, BUFFER_DATA = 0;

    /** The JSON object of the entry beex_keras. */
    final JSONObject about;

    /** The tokens in the order of their ids; null if the file came without. */
    final String[] vocabulary;

    private final String source;
    private final ByteBuffer data;

    TfliteFile(String source, ByteBuffer bytes) {
        this.source = source;
        data = bytes.slice().order(ByteOrder.LITTLE_ENDIAN);
        verify();
        try {
            about = new JSONObject(new String(entry("beex_keras"), StandardCharsets.UTF_8));
            int format = about.getInt("format");
            if (format != FORMAT) {
                String known = "this release reads format " + FORMAT + "; use the release that wrote it";
                throw new ModelException(source, "its metadata has format " + format + ", but " + known);
            }
            byte[] packed = entry("beex_keras_vocabulary");
            vocabulary = packed == null ? null : inflate(packed).split("\n", -1);
        } catch (JSONException | DataFormatException | RuntimeException error) {
            if (error instanceof ModelException) {
                throw (ModelException) error;
            }
            throw new ModelException(source, "its metadata cannot be read; convert the model again");
        }
    }

    // === The checksum ===

    private void verify() {
        byte[] all = new byte[data.remaining()];
        data.duplicate().get(all);
        if (all.length < 8 || !new String(all, 4, 4, StandardCharsets.US_ASCII).equals("TFL3")) {
            throw new ModelException(source, "this is not a TFLite model; give a file that beex convert wrote");
        }
        int place = checksum(all, 0);
        if (place < 0 || checksum(all, place) >= 0) {
            String cut = "or it is cut short; give the whole file, or convert the model again";
            throw new ModelException(source, "this was not written by beex convert, " + cut);
        }
        String known = new String(all, place, DIGITS, StandardCharsets.US_ASCII);
        Arrays.fill(all, place, place + DIGITS, (byte) '0');
        StringBuilder actual = new StringBuilder();
        try {
            for (byte b : MessageDigest.getInstance("SHA-256").digest(all)) {
                actual.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
            }
        } catch (NoSuchAlgorithmException error) {
            throw new AssertionError(error); // every platform has it
        }
        if (!known.contentEquals(actual)) {
            String fix = "copy the file again or convert the model again";
            throw new ModelException(source, "the file is damaged: its checksum does not match; " + fix);
        }
    }

    /** Where the digits of the next checksum begin, or -1. */
    private static int checksum(byte[] all, int from) {
        int size = BEFORE_CHECKSUM.length + DIGITS + 1;
        for (int start = from; start + size <= all.length; start++) {
            int n = 0;
            while (n < size && fits(all[start + n], n)) {
                n++;
            }
            if (n == size) {
                return start + BEFORE_CHECKSUM.length;
            }
        }
        return -1;
    }

    private static boolean fits(byte b, int n) {
        if (n < BEFORE_CHECKSUM.length) {
            return b == BEFORE_CHECKSUM[n];
        }
        return n == BEFORE_CHECKSUM.length + DIGITS ? b == '"' : b >= '0' && b <= '9' || b >= 'a' && b <= 'f';
    }

    // === The flatbuffer ===

    /** The bytes of a metadata entry, or null. */
    private byte[] entry(String name) {
        int model = data.getInt(0);
        int entries = follow(field(model, MODEL_METADATA)), buffers = follow(field(model, MODEL_BUFFERS));
        for (int i = 0; i < data.getInt(entries); i++) {
            int entry = follow(entries + 4 + 4 * i);
            if (new String(vector(field(entry, METADATA_NAME)), StandardCharsets.UTF_8).equals(name)) {
                int place = field(entry, METADATA_BUFFER);
                int number = place == 0 ? 0 : data.getInt(place);
                return vector(field(follow(buffers + 4 + 4 * number), BUFFER_DATA));
            }
        }
        return null;
    }

    /** Where a table's field stands, or 0 if it has its default. */
    private int field(int table, int number) {
        int layout = table - data.getInt(table), slot = 4 + 2 * number;
        int offset = slot < data.getShort(layout) ? data.getShort(layout + slot) : 0;
        return offset == 0 ? 0 : table + offset;
    }

    private int follow(int place) {
        return place + data.getInt(place);
    }

    /** The bytes of a vector or string that the place points to. */
    private byte[] vector(int place) {
        int start = follow(place), size = data.getInt(start);
        ByteBuffer from = data.duplicate();
        from.position(start + 4);
        if (size < 0 || size > from.remaining()) {
            throw new IndexOutOfBoundsException();
        }
        byte[] bytes = new byte[size];
        from.get(bytes);
        return bytes;
    }

    private static String inflate(byte[] packed) throws DataFormatException {
        Inflater inflater = new Inflater();
        try {
            inflater.setInput(packed);
            ByteArrayOutputStream all = new ByteArrayOutputStream();
            byte[] part = new byte[1 << 16];
            while (!inflater.finished()) {
                int count = inflater.inflate(part);
                if (count == 0) {
                    throw new DataFormatException();
                }
                all.write(part, 0, count);
            }
            return new String(all.toByteArray(), StandardCharsets.UTF_8);
        } finally {
            inflater.end();
        }
    }
}
