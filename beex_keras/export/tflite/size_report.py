"""How large a model is: in weights, by architecture, and in the bytes of its exported file."""

import dataclasses
from typing import Any

import numpy as np

from beex_keras.evaluation.accounting import Counts, count
from beex_keras.export.tflite.converter import convert
from beex_keras.export.tflite.file_sizes import FileSizes, file_sizes
from beex_keras.models import BEExformerClassifier, BEExformerConfig


@dataclasses.dataclass(frozen=True)
class SizeReport:
    """A model's layers beside the files that it and its float32 twin are exported to.

    Attributes:
        layers: parameters, bytes and MACs by the configuration.
        file: where the exported file's bytes go.
        twin_file: the same for the float32 twin.
    """

    layers: Counts
    file: FileSizes
    twin_file: FileSizes

    @property
    def ratio(self) -> float:
        """Bytes of the twin's file over the model's, both without the vocabulary."""
        twin, own = (file.total - file.vocabulary for file in (self.twin_file, self.file))
        return twin / own

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.layers.to_dict(),
            "file": dataclasses.asdict(self.file),
            "float32_file": dataclasses.asdict(self.twin_file),
            "ratio": self.ratio,
        }

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        files = {"exported": self.file, "float32 twin": self.twin_file}
        title = f"Bytes of the exported file ({self.ratio:.2f}x smaller, vocabulary apart)"
        return {
            **self.layers.tables(),
            title: [{"file": name, **dataclasses.asdict(file)} for name, file in files.items()],
        }


def summarize(classifier: BEExformerClassifier, length: int | None = None) -> SizeReport:
    """Counts the model's layers and exports it and a float32 twin to measure both files.

    Both are measured with random weights. A converter folds zeros and ones and stores equal
    constants once, so that the file of an untrained model is smaller than it will ever be again.

    Raises:
        BeexError: `length` does not fit, or the conversion fails.
    """
    config, twin = classifier.config, classifier.config.twin()
    # A float32 model is its own twin, and conversion takes seconds.
    files = {
        c: file_sizes(convert(_with_random_weights(classifier, c), length))
        for c in dict.fromkeys((config, twin))
    }
    return SizeReport(count(config, length), files[config], files[twin])


def _with_random_weights(
    classifier: BEExformerClassifier, config: BEExformerConfig
) -> BEExformerClassifier:
    """A model of another configuration, or the same one, with all that goes into a file."""
    others = classifier.preprocessor, classifier.labels, classifier.policy, classifier.value_scale
    model = BEExformerClassifier(config, *others)
    generator = np.random.default_rng(0)
    model.set_weights([generator.normal(0, 0.1, w.shape) for w in model.get_weights()])
    return model
