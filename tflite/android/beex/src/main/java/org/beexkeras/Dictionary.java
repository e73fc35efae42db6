package org.beexkeras;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/** The words of a vocabulary as the engine reads them; docs/beex_format.md describes it. */
final class Dictionary {
    private static final int WORDS_A_BLOCK = 16;

    /** Longer tokens match no word: the engine takes words of more than 100 bytes for unknown. */
    private static final int LONGEST = 255;

    private static final class Entry {
        final byte[] word;
        final int id;

        Entry(byte[] word, int id) {
            this.word = word;
            this.id = id;
        }
    }

    private final List<Entry> entries = new ArrayList<>();

    void add(String word, int id) {
        byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
        if (bytes.length > 0 && bytes.length <= LONGEST) {
            entries.add(new Entry(bytes, id));
        }
    }

    byte[] pack() {
        Collections.sort(entries, new Comparator<Entry>() {
            @Override
            public int compare(Entry a, Entry b) {
                return byBytes(a.word, b.word);
            }
        });
        int blocks = (entries.size() + WORDS_A_BLOCK - 1) / WORDS_A_BLOCK;
        ByteBuffer head = ByteBuffer.allocate(4 + 4 * blocks).order(ByteOrder.LITTLE_ENDIAN);
        head.putInt(entries.size());
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        byte[] before = {};
        for (int number = 0; number < entries.size(); number++) {
            Entry entry = entries.get(number);
            int shared = common(before, entry.word);
            if (number % WORDS_A_BLOCK == 0) {
                head.putInt(head.capacity() + body.size());
                shared = 0;
            }
            int rest = entry.word.length - shared;
            body.write(shared);
            body.write(rest);
            int id = entry.id;
            for (; id > 127; id >>= 7) {
                body.write(id & 127 | 128);
            }
            body.write(id);
            body.write(entry.word, shared, rest);
            before = entry.word;
        }
        byte[] packed = new byte[head.capacity() + body.size()];
        head.flip();
        head.get(packed, 0, head.capacity());
        System.arraycopy(body.toByteArray(), 0, packed, head.capacity(), body.size());
        return packed;
    }

    private static int common(byte[] a, byte[] b) {
        int count = 0;
        while (count < a.length && count < b.length && a[count] == b[count]) {
            count++;
        }
        return count;
    }

    private static int byBytes(byte[] a, byte[] b) {
        int same = common(a, b);
        if (same == a.length || same == b.length) {
            return a.length - b.length;
        }
        return (a[same] & 255) - (b[same] & 255);
    }
}
