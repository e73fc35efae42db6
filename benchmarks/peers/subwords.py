"""fastText: a bag of words and pairs of words, as it is (.bin) and quantized (.ftz)."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beex_keras.data import Split, Task


REQUIRES = ("fasttext-numpy2-wheel",)
BIN, FTZ = "model.bin", "model.ftz"
_RATES, _EPOCHS = (0.1, 0.5, 1.0), (5, 25)
_SETTINGS: dict[str, Any] = {
    "dim": 64,
    "wordNgrams": 2,
    "bucket": 200_000,
    "thread": 1,
    "verbose": 0,
}
_CUTOFF = 100_000
_PREFIX = "__label__"


def files(folder: Path, file: str) -> list[Path]:
    return [folder / file]


def fit(task: "Task", folder: Path, seed: int) -> None:
    """Writes the model whose rate and epochs are best on validation data, and what it is quantized to."""
    import fasttext

    train, validation = folder / "train.txt", folder / "validation.txt"
    _write(train, task.train)
    _write(validation, task.validation)
    models = [
        fasttext.train_supervised(input=str(train), lr=rate, epoch=epochs, seed=seed, **_SETTINGS)
        for rate, epochs in itertools.product(_RATES, _EPOCHS)
    ]
    best = max(models, key=lambda model: model.test(str(validation))[1])
    best.save_model(str(folder / BIN))
    best.quantize(input=str(train), cutoff=_CUTOFF, retrain=True, thread=1)
    best.save_model(str(folder / FTZ))
    train.unlink()
    validation.unlink()


def load(folder: Path, file: str) -> Callable[[Sequence[str]], Any]:
    import fasttext

    model = fasttext.load_model(str(folder / file))

    def classify(texts: Sequence[str]) -> list[int]:
        labels, _ = model.predict([_line(text) for text in texts])
        return [int(label[0].removeprefix(_PREFIX)) for label in labels]

    return classify


def _write(file: Path, split: "Split") -> None:
    rows = zip(split.labels, split.texts, strict=True)
    file.write_text("".join(f"{_PREFIX}{label} {_line(text)}\n" for label, text in rows), "utf-8")


def _line(text: str) -> str:
    return " ".join(text.lower().split())
