package org.beexkeras;

/** A file is not a model, is damaged, or is one that the classifier cannot run. */
public final class ModelException extends BeexException {
    ModelException(String source, String problem) {
        super(source + ": " + problem + ".");
    }
}
