r"""From a real encoder to a binary one that does the same, on texts without labels.

A training with labels has to turn a real model binary and to learn the task at once. Here the encoder
\(x\) learns nothing but to give what its start \(\hat x\) gives: the loss is the error of its blocks'
outputs that `beex_keras.training.distillation` adds to a classifier's,

\[
\frac{1}{N} \sum_{i=1}^{N}
\frac{\sum_t \lVert x_{it} - \hat x_{it} \rVert^2}{\sum_t \lVert \hat x_{it} - \bar x_i \rVert^2}
\]

so 1 is what a constant reaches, and 0 what the start itself does. A classifier begins from the
encoder by `PretrainedEncoder`, whatever its task.

Source: general distillation of TinyBERT (Jiao et al., 2020); the rest our reading.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from beex_keras.data import make_dataset, steps_per_epoch
from beex_keras.data.corpus import corpus_fingerprint, split_corpus
from beex_keras.errors import BeexError
from beex_keras.files import write_atomically
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.text import TextPreprocessor
from beex_keras.training import loop
from beex_keras.training.annealing import Annealing
from beex_keras.training.config import ImitationConfig
from beex_keras.training.distillation import hidden_error, make_teacher
from beex_keras.training.initialization import Initial
from beex_keras.training.optimizer import make_optimizer
from beex_keras.training.precision import precision
from beex_keras.training.pretrained_encoder import save_encoder
from beex_keras.training.pretraining import PretrainingRun, read_run
from beex_keras.training.run_folder import open_preprocessor, open_run
from beex_keras.training.transfer import bits


def imitate(
    texts: Sequence[str],
    model_config: BEExformerConfig,
    config: ImitationConfig,
    directory: str | os.PathLike[str],
    init: Initial,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    checkpoint_seconds: float = 60.0,
    verbose: int | str = "auto",
) -> PretrainingRun:
    """Trains an encoder with fewer bits than its start to compute the same.

    The run folder is that of `pretrain`, and is continued alike. Its results are the number
    `epoch` (from 1) of the best epoch, its `loss` on the texts held out, and the `texts` and `rows`
    of those.

    Args:
        texts: without labels; one longer than `model_config.max_length` tokens becomes several rows.
        model_config: size and bits.
        config: of the training.
        directory: of the run.
        init: what to start from and to imitate, see `beex_keras.starts.initial`.
        callbacks, checkpoint_seconds, verbose: as for `train`.

    Raises:
        BeexError: too few texts, a model that cannot start so or has as many bits as its start, or a
            folder that holds a run with other settings or cannot be written.

    Example:
        >>> texts = beex.load_task("rotten_tomatoes").train.texts
        >>> init = beex.initial("sst2-micro")
        >>> config = beex.BEExformerConfig.preset("micro", activation_bits=1, num_blocks=1, max_length=16)
        >>> settings = beex.ImitationConfig(epochs=1, held_out=0.2)
        >>> run = beex.imitate(texts, config, settings, "runs/binary", init, verbose=0)
        >>> run.results["epoch"]
        1
    """
    directory = Path(directory)
    training, held_out = split_corpus(texts, config.held_out)
    model_config = init.config(model_config)
    if init.bits == bits(model_config):
        raise BeexError(
            "The encoder would have as many bits as what it starts from, so there is nothing to learn; "
            "give it fewer."
        )
    settings = {
        "data": corpus_fingerprint(texts, ()),
        "model": model_config.to_dict(),
        "imitation": config.to_dict(),
        "init": init.identity,
    }
    open_run(directory, settings)
    preprocessor = open_preprocessor(
        directory,
        model_config.max_length,
        lambda: init.vocabulary(model_config.vocabulary_size, training),
    )
    if (directory / "results.json").exists():
        return read_run(directory)
    rows, held_out_rows = (_rows(preprocessor, part, config) for part in (training, held_out))
    if not len(rows) or not len(held_out_rows):
        raise BeexError("The texts have no words; give others.")

    # Everything random from here on follows from the seed.
    tf.keras.utils.set_random_seed(config.seed)
    student = BEExformerClassifier(
        model_config.replace(
            vocabulary_size=preprocessor.vocabulary_size,
            num_segments=2 if config.pairs else 1,
            separator_id=preprocessor.separator_id,
        ),
        preprocessor,
    )
    start = init.apply(student, rows)
    teacher = make_teacher(student, init, rows)
    model = _Imitation(student, teacher)
    steps = steps_per_epoch(rows, config.batch_size)
    model.compile(make_optimizer(config, config.epochs * steps, student.config))

    def batches(part: np.ndarray, **arguments: Any) -> tf.data.Dataset:
        labels = np.zeros(len(part), np.int32)
        return make_dataset(part, labels, batch_size=config.batch_size, **arguments)

    annealing = Annealing(start, round(config.anneal * config.epochs * steps))
    with (
        precision(student, config.precision),
        precision(teacher, config.precision),
        annealing.quantizers(model),
    ):
        loop.fit(
            model,
            lambda epoch, skip: batches(
                rows, training=True, seed=config.seed, epoch=epoch, skip=skip
            ),
            steps, config.epochs, directory,
            validation=batches(held_out_rows),
            monitor="val_loss",
            mode="min",
            patience=config.patience,
            callbacks=[annealing, *callbacks],
            trackables={"annealing_step": annealing.step},
            checkpoint_seconds=checkpoint_seconds,
            verbose=verbose,
        )  # fmt: skip
    model.load_weights(directory / loop.BEST_WEIGHTS_FILE)
    losses = loop.read_history(directory)["val_loss"]
    best = int(np.argmin(losses))
    results = {
        "epoch": best + 1,
        "loss": losses[best],
        "texts": len(held_out),
        "rows": len(held_out_rows),
    }
    save_encoder(directory, student.backbone, preprocessor.vocabulary)
    write_atomically(directory / "results.json", json.dumps(results, indent=2) + "\n")
    loop.remove_checkpoints(directory)
    return read_run(directory)


def _rows(
    preprocessor: TextPreprocessor, texts: Sequence[str], config: ImitationConfig
) -> np.ndarray:
    rows = preprocessor.encode_pieces(texts)
    if not config.pairs or len(texts) < 2:
        return rows
    # Each text once more, beside its neighbour.
    pairs = preprocessor.encode(list(texts[:-1:2]), list(texts[1::2]))
    return np.concatenate([rows, pairs])


class _Imitation(tf.keras.Model):
    """Token ids (B, T) → the blocks' outputs, N of (B, T, D), trained towards the teacher's."""

    def __init__(self, student: BEExformerClassifier, teacher: BEExformerClassifier) -> None:
        super().__init__(student.input, [head.input for head in student.heads])
        self.backbone = student.backbone
        known = tf.keras.Model(teacher.input, [head.input for head in teacher.heads])
        # In a function, or its weights would go to every checkpoint.
        self._known = lambda ids, training: known(ids, training=training)
        self._loss = tf.keras.metrics.Mean("loss")

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        return [self._loss]

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            error = self._error(data, training=True)
        self.optimizer.minimize(error, self.trainable_variables, tape)
        return {"loss": self._loss.result()}

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        self._error(data, training=False)
        return {"loss": self._loss.result()}

    def _error(self, data: Any, training: bool) -> tf.Tensor:
        ids = tf.keras.utils.unpack_x_y_sample_weight(data)[0]
        outputs = tf.nest.flatten(self(ids, training=training))
        known = tf.nest.flatten(self._known(ids, training))
        error = hidden_error(outputs, known, self.backbone.padding_mask(ids))
        self._loss.update_state(error)
        return error
