package org.beexkeras;

/** What goes wrong with a model or a text; the message is a sentence that names the problem and the fix. */
public abstract class BeexException extends RuntimeException {
    BeexException(String message) {
        super(message);
    }
}
