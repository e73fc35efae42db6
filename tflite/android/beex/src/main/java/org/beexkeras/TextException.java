package org.beexkeras;

/** A text cannot be classified: it is empty or not valid Unicode, or a pair where the model reads single texts. */
public final class TextException extends BeexException {
    TextException(String name, String problem) {
        super(name + " cannot be classified: " + problem + ".");
    }
}
