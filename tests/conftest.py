"""Shared fixtures; Keras 2 is selected here, since some tests import TensorFlow first."""

import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import pytest
import tensorflow as tf
from toy import write_toy_files
from toy_suite import TOY

from beex_keras.models import BEExformerClassifier, BEExformerConfig

MODES = {
    "float": {"weight_bits": 32, "activation_bits": 32, "embedding_bits": 32},
    "weights-only": {"weight_bits": 1, "activation_bits": 32, "embedding_bits": 1},
    "fully-binary": {"weight_bits": 1, "activation_bits": 1, "embedding_bits": 1},
}
"""The three kinds of model that every capability has to serve."""

GELU = {"content_activation": "gelu", "width": 20, "num_heads": 4, "hidden_width": 37}
"""A model that could start as a BERT-style encoder; of sizes that leave a rest everywhere."""


COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

needs_engine = pytest.mark.skipif(COMPILER is None, reason="no C compiler, so no C engine")


def tiny_config(**changes) -> BEExformerConfig:
    """A model small enough to build in a moment, with sizes that are no powers of two."""
    values = {
        "vocabulary_size": 50,
        "max_length": 12,
        "width": 12,
        "num_heads": 3,
        "hidden_width": 20,
        "num_blocks": 3,
        "num_classes": 4,
    }
    return BEExformerConfig(**{**values, **changes})


def shake(model: tf.keras.Model, seed: int = 0) -> tf.keras.Model:
    """Gives every weight a value as after training, so that no bias is zero and no scale one."""
    generator = np.random.default_rng(seed)
    model.set_weights(
        [w + generator.normal(0, 0.1, w.shape).astype(w.dtype) for w in model.get_weights()]
    )
    return model


def random_ids(rows: int, length: int, vocabulary: int = 50, seed: int = 0) -> np.ndarray:
    """Ids without padding or special tokens, int32 (rows, length)."""
    return np.random.default_rng(seed).integers(5, vocabulary, (rows, length)).astype(np.int32)


@pytest.fixture(params=MODES)
def mode(request) -> str:
    return request.param


@pytest.fixture
def classifier(mode) -> BEExformerClassifier:
    tf.keras.utils.set_random_seed(1)
    return shake(BEExformerClassifier(tiny_config(**MODES[mode])))


@pytest.fixture
def tfds_folder(tmp_path, monkeypatch):
    """An empty folder in place of the user's data sets, and no network."""
    datasets = pytest.importorskip("tensorflow_datasets")
    import requests

    def unreachable(*args, **kwargs):
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "head", unreachable)
    builder = datasets.builder
    monkeypatch.setattr(
        datasets, "builder", lambda name: builder(name, data_dir=str(tmp_path / "tfds"))
    )
    return datasets


def glue_like(datasets, columns):
    """What TFDS would read from disk: distinct texts in the given columns, and labels."""

    def as_dataset(self, *args, **kwargs):
        numbers = tf.data.Dataset.range(30)
        return numbers.map(
            lambda i: {
                **{column: tf.strings.format(column + " {}", i) for column in columns},
                "label": i % 2,
                "idx": i,
            }
        )

    return datasets.testing.mock_data(as_dataset_fn=as_dataset)


@pytest.fixture
def toy(tmp_path):
    """A folder with the suite toy.toml and its data."""
    write_toy_files(tmp_path)
    (tmp_path / "toy.toml").write_text(TOY, "utf-8")
    return tmp_path
