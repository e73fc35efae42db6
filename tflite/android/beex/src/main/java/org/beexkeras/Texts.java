package org.beexkeras;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Texts that can be classified, and those that cannot: as in Python. */
final class Texts {
    private Texts() {}

    /** The text, unless it is null. */
    static String given(String name, String text) {
        if (text == null) {
            throw new NullPointerException(name + " is null; give a string.");
        }
        return text;
    }

    /** Refuses lists of pairs that differ in length. */
    static void requireSameNumber(List<String> texts, List<String> pairs) {
        if (texts.size() != pairs.size()) {
            String counts = texts.size() + " texts came with " + pairs.size() + " second texts";
            throw new IllegalArgumentException(counts + "; give one for each.");
        }
    }

    static byte[] utf8(String name, String text) {
        if (isEmpty(given(name, text))) {
            throw new TextException(name, "it is empty; remove it or fill it");
        }
        try {
            // Unlike String.getBytes, this refuses half a surrogate pair.
            ByteBuffer encoded = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
            byte[] bytes = new byte[encoded.remaining()];
            encoded.get(bytes);
            return bytes;
        } catch (CharacterCodingException error) {
            throw new TextException(name, "it is not valid Unicode; repair its encoding");
        }
    }

    private static boolean isEmpty(String text) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (!Character.isWhitespace(c) && !Character.isSpaceChar(c) && c != '\u0085') {
                return false;
            }
        }
        return true;
    }
}
