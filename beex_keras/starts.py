"""What a training starts from or learns from, by its name or path.

Above `beex_keras.training`, since a packaged model or a file is read by `beex_keras.runtime`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from beex_keras import pretrained
from beex_keras.errors import BeexError
from beex_keras.runtime import load_classifier
from beex_keras.training.bert import MINILM, read_bert
from beex_keras.training.initialization import FromClassifier, FromDonor, Initial


def is_donor(source: str | os.PathLike[str]) -> bool:
    """Whether `initial` reads a BERT-style encoder there, and not a model of ours."""
    path = Path(source)
    if os.fspath(source) == MINILM or (path / "model.safetensors").is_file():
        return True
    ours = ("run.json", "model.weights.h5", "model")
    return path.is_dir() and not any((path / part).exists() for part in ours)


def initial(source: str | os.PathLike[str], layers: Sequence[int] | None = None) -> Initial:
    """The start of that name or at that path.

    Args:
        source: "minilm", a folder of a BERT-style encoder (see `BertCheckpoint`), or any
            classifier that `load_classifier` reads: a run folder, a directory of `save_pretrained`, a ``.keras`` or ``.beex`` file, or the name of a packaged model.
        layers: of a donor, for each block the layer (from 0) that it starts as; the first ones if
            None.

    Raises:
        BeexError: there is none, or it cannot be read.

    Example:
        >>> beex.initial("sst2-micro").bits
        {'weight_bits': 1, 'embedding_bits': 1, 'activation_bits': 32}
    """
    if is_donor(source):
        return FromDonor(read_bert(str(source)), None if layers is None else tuple(layers))
    if layers is not None:
        raise BeexError("Layers can be chosen of a donor such as minilm, not of a run or a model.")
    path = Path(source)
    if not path.exists() and os.fspath(source) not in pretrained.names():
        raise BeexError(
            f"There is nothing to start from at {source}; give '{MINILM}', a folder of a BERT-style "
            "encoder, a run folder, a .keras or .beex file, or one of "
            f"{', '.join(pretrained.names())}."
        )
    if (path / "run.json").is_file() and not (path / "model").is_dir():
        raise BeexError(f"The run in {source} is not finished, so nothing can start from it yet.")
    classifier = load_classifier(source)
    if classifier.preprocessor is None:
        raise BeexError(f"The model in {source} has no vocabulary to go on with.")
    return FromClassifier(classifier, classifier.preprocessor.vocabulary, str(source))
