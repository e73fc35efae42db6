"""Pre-training: from texts without labels to a run folder with an encoder."""

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from beex_keras.data import steps_per_epoch
from beex_keras.data.corpus import corpus_fingerprint, split_corpus
from beex_keras.errors import BeexError
from beex_keras.files import read_text, write_atomically
from beex_keras.losses import MaskedTokenLoss
from beex_keras.metrics import ExitAccuracy
from beex_keras.models import BEExformerConfig, MaskedLanguageModel
from beex_keras.text import learn_vocabulary
from beex_keras.training import loop
from beex_keras.training.config import PretrainingConfig
from beex_keras.training.distribution import (
    chief_first,
    from_chief,
    local_copy,
    scope,
    wait_for_all,
)
from beex_keras.training.masking import VALIDATION, TokenMasking, share_hidden
from beex_keras.training.optimizer import make_optimizer
from beex_keras.training.pretrained_encoder import save_encoder
from beex_keras.training.run_folder import open_preprocessor, open_run


@dataclasses.dataclass(frozen=True)
class PretrainingRun:
    """A finished pre-training.

    Attributes:
        directory: the run folder, which `PretrainedEncoder` reads.
        history: logs of each epoch, by name.
        results: of the best epoch on the texts held out: its number `epoch` (from 1), `loss`,
            `perplexity` (e to the loss), `accuracy` (share of the hidden tokens that the last block
            finds) and, to compare with, `most_frequent` (that share for a guess of the most frequent
            token); then `texts`, `rows` and `hidden_tokens`, the numbers of what was held out.
    """

    directory: Path
    history: dict[str, list[float]]
    results: dict[str, Any]


def pretrain(
    texts: Sequence[str],
    model_config: BEExformerConfig,
    config: PretrainingConfig,
    directory: str | os.PathLike[str],
    vocabulary: Sequence[str] | None = None,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    checkpoint_seconds: float = 60.0,
    verbose: int | str = "auto",
    strategy: tf.distribute.Strategy | None = None,
) -> PretrainingRun:
    """Trains an encoder to find hidden tokens of texts, with the head of a `MaskedLanguageModel`.

    The run folder holds `run.json` (all settings), `vocab.txt`, `history.json`, checkpoints while
    it trains, and at the end `results.json` and `encoder/`, from which a classifier starts (see
    `PretrainedEncoder`). Called again on an unfinished folder with equal settings it continues from
    the last checkpoint and ends with the weights of an undisturbed run; on a finished one it only
    reads the results.

    A text longer than `model_config.max_length` tokens becomes several rows. Rows in which there is
    nothing to hide, for want of known words, are left out.

    Args:
        texts: without labels.
        model_config: size and bits; classes and segments do not matter. Masking hides tokens
            already, so that `token_dropout` should be 0.
        config: of the training.
        directory: of the run.
        vocabulary: WordPiece vocabulary; learned from the texts that are not held out if None, with
            at most `model_config.vocabulary_size` entries.
        callbacks, checkpoint_seconds, verbose, strategy: as for `train`.

    Raises:
        BeexError: too few texts, a vocabulary that knows none of their words, or a folder that
            holds a run with other settings or cannot be written; or a worker of the cluster has
            ended.

    Example:
        >>> texts = beex.load_task("rotten_tomatoes").train.texts
        >>> config = beex.BEExformerConfig.preset("micro", num_blocks=1, token_dropout=0.0)
        >>> settings = beex.PretrainingConfig(epochs=1, held_out=0.2)
        >>> run = beex.pretrain(texts, config, settings, "runs/encoder", verbose=0)
        >>> run.results["epoch"]
        1
    """
    strategy = strategy or tf.distribute.get_strategy()
    directory = Path(directory)
    training, held_out = split_corpus(texts, config.held_out)
    settings = {
        "data": corpus_fingerprint(texts, vocabulary or ()),
        "model": model_config.to_dict(),
        "pretraining": config.to_dict(),
    }

    def new_vocabulary() -> Sequence[str]:
        if vocabulary is not None:
            return vocabulary
        return learn_vocabulary(training, model_config.vocabulary_size, pieces=config.pieces)

    with chief_first(strategy) as chief:
        open_run(directory, settings, create=chief)
        preprocessor = open_preprocessor(directory, model_config.max_length, new_vocabulary)
    if from_chief(strategy, [(directory / "results.json").exists()]).all():
        return read_run(directory)

    masking = TokenMasking(preprocessor.vocabulary, config.seed)
    rows, held_out_rows = (preprocessor.encode_pieces(part) for part in (training, held_out))
    rows, held_out_rows = rows[masking.usable(rows)], held_out_rows[masking.usable(held_out_rows)]
    if not len(rows) or not len(held_out_rows):
        part = "held out" if len(rows) else "to train on"
        raise BeexError(
            f"The vocabulary knows no word of the texts that are {part}; give more texts, or another "
            "vocabulary."
        )
    validation = masking.make_dataset(held_out_rows, config.batch_size, VALIDATION)

    # Everything random from here on follows from the seed.
    tf.keras.utils.set_random_seed(config.seed)
    steps = steps_per_epoch(rows, config.batch_size)
    with scope(strategy):
        model = MaskedLanguageModel(
            model_config.replace(
                vocabulary_size=preprocessor.vocabulary_size,
                num_segments=1,
                separator_id=preprocessor.separator_id,
            ),
            all_blocks=config.loss != "last",
        )
        model.compile(
            make_optimizer(config, config.epochs * steps, model.config),
            MaskedTokenLoss(config.loss),
            [ExitAccuracy(model.output_shape[1], name="accuracy")],
        )
    loop.fit(
        model,
        lambda epoch, skip: masking.make_dataset(rows, config.batch_size, epoch, skip),
        steps, config.epochs, directory,
        validation=validation,
        monitor="val_loss",
        mode="min",
        patience=config.patience,
        callbacks=callbacks,
        checkpoint_seconds=checkpoint_seconds,
        verbose=verbose,
        share=share_hidden,
    )  # fmt: skip
    model = local_copy(model)
    with chief_first(strategy):
        if chief:
            model.load_weights(directory / loop.BEST_WEIGHTS_FILE)
            _finish(
                directory,
                model,
                validation,
                preprocessor.vocabulary,
                len(held_out),
                len(held_out_rows),
            )
    wait_for_all(strategy)  # a worker that left early would seem lost to the others
    return read_run(directory)


def _finish(
    directory: Path,
    model: MaskedLanguageModel,
    validation: tf.data.Dataset,
    vocabulary: Sequence[str],
    texts: int,
    rows: int,
) -> None:
    """Writes results and encoder of the best epoch."""
    history = loop.read_history(directory)
    best = int(np.argmin(history["val_loss"]))
    counts = np.bincount(np.concatenate([targets for _, targets in validation.as_numpy_iterator()]))
    results = {
        "epoch": best + 1,
        "loss": history["val_loss"][best],
        "perplexity": math.exp(history["val_loss"][best]),
        "accuracy": history["val_accuracy"][best],
        "most_frequent": float(counts.max() / counts.sum()),
        "texts": texts,
        "rows": rows,
        "hidden_tokens": int(counts.sum()),
    }
    save_encoder(directory, model.backbone, vocabulary)
    write_atomically(directory / "results.json", json.dumps(results, indent=2) + "\n")
    loop.remove_checkpoints(directory)


def read_run(directory: Path) -> PretrainingRun:
    """The finished run in a folder."""
    results = json.loads(read_text(directory / "results.json", "results"))
    return PretrainingRun(directory, loop.read_history(directory), results)
