import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import org.beexkeras.BeexClassifier;
import org.beexkeras.LceClassifier;
import org.beexkeras.Prediction;
import org.beexkeras.TextClassifier;

/** Answers MODEL TEXTS...: for each line of a file what the model says of it, numbers as the bits of float32. */
final class Answers {
    public static void main(String[] arguments) throws IOException {
        for (int n = 0; n < arguments.length; n += 2) {
            show(new File(arguments[n]), new File(arguments[n + 1]));
        }
    }

    private static void show(File file, File lines) throws IOException {
        List<String> texts = Files.readAllLines(lines.toPath(), StandardCharsets.UTF_8);
        boolean byLce = file.getName().endsWith(".tflite");
        try (TextClassifier classifier = byLce ? LceClassifier.fromFile(file) : BeexClassifier.fromFile(file)) {
            System.out.println("labels " + String.join(" ", classifier.getLabels()));
            for (String line : texts) {
                String[] parts = line.split("\t");
                boolean isPair = classifier.readsPairs();
                show(isPair ? classifier.classify(parts[0], parts[1]) : classifier.classify(line));
            }
        }
    }

    private static void show(Prediction p) {
        StringBuilder line = new StringBuilder("answer " + p.getExit() + " " + p.isTruncated());
        line.append(" ").append(p.isNumber() ? "number" : p.getLabel());
        line.append(" ").append(bits(p.isNumber() ? p.getValue() : p.getScore()));
        for (float probability : p.getProbabilities().values()) {
            line.append(" ").append(bits(probability));
        }
        System.out.println(line);
    }

    private static String bits(float value) {
        return String.format("%08x", Float.floatToRawIntBits(value));
    }
}
