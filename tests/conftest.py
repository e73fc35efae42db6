"""Shared fixtures; Keras 2 is selected here, since some tests import TensorFlow first."""

import functools
import importlib
import inspect
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import pytest
import tensorflow as tf
from browsers import chromium
from made_once import made_once
from small_encoder import MINILM_PACKAGE, SHAPE, write_binary, write_encoder
from toy import TOY_SIZE, write_toy_files
from toy_suite import TOY

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from beex_keras import TrainingConfig, exits, export, load_task, runtime
from beex_keras.exits import ExitPolicy
from beex_keras.export.tflite import graphs
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.runtime.keras_runner import load_classifier
from beex_keras.training import Distiller, train
from beex_keras.training.callbacks import MONITOR, SaveBest
from beex_keras.training.warm_starts import PACKAGED_STARTS
from mcu import emulation

# Two devices, so that a training by several replicas needs no process of its own.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

pytest.register_assert_rewrite("web_package")  # which has fixtures, and helpers that tests import

MODES = {
    "float": {"weight_bits": 32, "activation_bits": 32, "embedding_bits": 32},
    "weights-only": {"weight_bits": 1, "activation_bits": 32, "embedding_bits": 1},
    "w1a8": {"weight_bits": 1, "activation_bits": 8, "embedding_bits": 1},
    "fully-binary": {"weight_bits": 1, "activation_bits": 1, "embedding_bits": 1},
}
"""The kinds of model that every capability has to serve."""

GELU = {"content_activation": "gelu", "width": 20, "num_heads": 4, "hidden_width": 37}
"""A model that could start as a BERT-style encoder; of sizes that leave a rest everywhere."""

POLICIES = (
    exits.FractionalEntropy(0.05),
    exits.FractionalEntropy(0.05, direction="above"),
    exits.Entropy(1.2),
    exits.Confidence(0.5),
    exits.Patience(1),
    exits.FixedDepth(2),
)
"""Each kind of policy, so that texts leave a model of `tiny_config` at several exits."""

TOY_TRAINING = TrainingConfig(
    preset="tiny", model=TOY_SIZE, epochs=3, batch_size=8, learning_rate=1e-2
)
"""A training of the toy task that takes seconds."""

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

needs_engine = pytest.mark.skipif(COMPILER is None, reason="no C compiler, so no C engine")

needs_emulators = pytest.mark.skipif(
    not emulation.is_available(), reason="no Arm compiler or emulator: tools/install_emulators.sh"
)


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


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before a test's fixtures: what it draws without a seed of its own is the same in any order of tests."""
    tf.keras.utils.set_random_seed(0)


@pytest.fixture(scope="session", autouse=True)
def same_products_everywhere():
    """What a test trains does not depend on the processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("beex_keras.training.plan.default_matmul_dtype", lambda: "float32")
        yield


@pytest.fixture
def tool(monkeypatch):
    """The modules of tools/ship by their names."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools" / "ship")
    return importlib.import_module


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory):
    """A folder that tests read: the toy task's files, a finished run, and the model converted.

    train.jsonl, validation.jsonl, test.jsonl, run/, model.tflite, model.beex
    """

    def make(folder):
        task = load_task(**write_toy_files(folder))
        run = train(task, folder / "run", TOY_TRAINING, verbose=0)
        figures = run.calibration.to_dict()
        for suffix in (".tflite", ".beex"):
            export.convert(run.model, folder / f"model{suffix}", calibration=figures)

    return made_once(tmp_path_factory, "toy", make)


@pytest.fixture(scope="module")
def loaded_once():
    """What takes long, and gives the same each time that a file is as it was."""
    return {
        "beex_keras.runtime.load": functools.cache(runtime.load),
        "beex_keras.runtime.keras_runner.load_classifier": functools.cache(load_classifier),
    }


@pytest.fixture
def read_once(loaded_once, monkeypatch):
    """Commands that only read a model share it."""
    for name, function in loaded_once.items():
        monkeypatch.setattr(name, function)


@pytest.fixture
def dtypes(monkeypatch):
    """Of the matrix products of each model that reaches the training loop, which is interrupted."""
    found = []

    def interrupt(distiller, *_, **__):
        blocks = distiller.student.backbone.blocks
        linears = [linear for block in blocks for linear in block.linears().values()]
        found.append({linear.matmul.matmul_dtype for linear in linears})
        raise KeyboardInterrupt

    monkeypatch.setattr(Distiller, "fit", interrupt)
    return found


def random_ids(rows: int, length: int, vocabulary: int = 50, seed: int = 0) -> np.ndarray:
    """Ids without padding or special tokens, int32 (rows, length)."""
    return np.random.default_rng(seed).integers(5, vocabulary, (rows, length)).astype(np.int32)


# === Models ===


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """The folder of a small encoder, and its tensors."""
    folder = tmp_path_factory.mktemp("encoder")
    return folder, write_encoder(folder)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """A package with a small encoder, and binary encoders whose gammas are all 0.7; those for pairs have 0.6."""
    folder = tmp_path_factory.mktemp("encoders")
    package = folder / MINILM_PACKAGE
    package.mkdir()
    (package / "__init__.py").touch()  # a regular package comes before an installed one
    write_encoder(package / "model")
    write_binary(folder / "binary-minilm.beex", **SHAPE)
    write_binary(folder / "binary-minilm-pairs.beex", gamma=0.6, **SHAPE)
    return folder


@pytest.fixture
def encoders(encoder_folder, monkeypatch):
    """Takes the place of MiniLM and of its binary forms."""
    monkeypatch.syspath_prepend(encoder_folder)
    for name in PACKAGED_STARTS:
        monkeypatch.setitem(PACKAGED_STARTS, name, encoder_folder / f"{name}.beex")


@pytest.fixture(params=MODES)
def mode(request) -> str:
    return request.param


def once(function: Callable) -> Callable:
    """As functools.cache, in whatever way and order the arguments are given."""
    signature, known = inspect.signature(function), {}

    @functools.wraps(function)
    def result(*arguments, **options):
        bound = signature.bind(*arguments, **options)
        bound.apply_defaults()
        changes = bound.arguments.pop("changes")
        key = (*bound.arguments.values(), frozenset(changes.items()))
        if key not in known:
            known[key] = function(**bound.arguments, **changes)
        return known[key]

    return result


@once
def built(mode: str = "weights-only", **changes) -> BEExformerClassifier:
    """A model of `tiny_config` with weights as after training. It is shared: leave it as it is."""
    tf.keras.utils.set_random_seed(1)
    return shake(BEExformerClassifier(tiny_config(**MODES[mode], **changes)))


@once
def converted(
    mode: str = "weights-only",
    exit: str = "in-graph",
    policy: ExitPolicy | None = None,
    threshold_input: bool = False,
    plan_memory: bool = False,
    **changes,
) -> bytes:
    """The `.tflite` of `built`, with that policy; each is made once."""
    model = built(mode, **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "freeze_classifier", frozen)
        patch.setattr(model, "policy", policy or model.policy)
        return export.to_tflite(
            model, exit=exit, threshold_input=threshold_input, plan_memory=plan_memory
        )


frozen = functools.cache(graphs.freeze_classifier)
"""Freezing is most of a conversion: a model whose weights stay is frozen once."""


@pytest.fixture
def frozen_once(monkeypatch):
    """Each model is frozen once, with the weights that it has then, for all its files."""
    monkeypatch.setattr(graphs, "freeze_classifier", frozen)


@pytest.fixture
def classifier(mode) -> BEExformerClassifier:
    tf.keras.utils.set_random_seed(1)
    return shake(BEExformerClassifier(tiny_config(**MODES[mode])))


@pytest.fixture
def eager():
    """Without graphs: to trace one takes longer than the few steps of a training that only has to happen."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def no_steps(monkeypatch):
    """Trainings that end with their first weights, for tests of what is around the steps."""
    keras_fit = Distiller.fit

    def fit(self, *arguments, callbacks=(), **options):
        best = next((callback for callback in callbacks if isinstance(callback, SaveBest)), None)
        if best is None:  # a call that is no training by `train`
            return keras_fit(self, *arguments, callbacks=callbacks, **options)
        best.set_model(self)
        best.on_epoch_end(0, {"loss": 1.0, "val_accuracy": 0.5, MONITOR: 0.5})

    monkeypatch.setattr(Distiller, "fit", fit)


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
def browser():
    """Headless Chromium; the test is skipped where there is none."""
    with chromium() as found:
        yield found


@pytest.fixture
def toy(tmp_path):
    """A folder with the suite toy.toml and its data."""
    write_toy_files(tmp_path)
    (tmp_path / "toy.toml").write_text(TOY, "utf-8")
    return tmp_path
