"""The runtime alone: what needs no TensorFlow neither needs it nor imports it."""

import subprocess
import sys
from pathlib import Path

import pytest

import beex_keras as beex
from beex_keras.export import beex as beex_format
from beex_keras.runtime.keras_runner import load_classifier

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True
    )


def test_all_that_runs_a_file_works_where_importing_it_raises(tmp_path):
    found = run(tmp_path, Path(__file__).with_name("without_tensorflow.py"))
    assert found.stdout.endswith("all works\n"), found.stderr


@pytest.mark.slow
def test_training_works_without_larq_compute_engine(tmp_path):
    found = run(tmp_path, Path(__file__).with_name("without_lce.py"))
    assert found.stdout.endswith("all works\n"), found.stderr[-2000:]


@pytest.mark.parametrize(
    "code",
    [
        "from beex_keras.cli import main\n"
        "try: main(['predict', 'sst2-minilm', 'what a lovely film'])\nexcept SystemExit: pass",
        "import beex_keras; beex_keras.pipeline('sst2-micro')('what a lovely film')",
        "import beex_keras.cli.app",
        f"import sys; sys.path.append({str(BENCHMARKS)!r}); from baselines import tfidf_model",
    ],
    ids=["beex predict", "pipeline", "command line", "baselines"],
)
def test_it_is_not_imported_where_it_is_installed(tmp_path, code):
    names = "('tensorflow', 'tf_keras', 'larq', 'larq_compute_engine')"
    found = run(tmp_path, "-c", f"{code}\nimport sys; print(sys.modules.keys() & set({names}))")
    assert found.stdout.endswith("set()\n"), found.stderr


@pytest.mark.parametrize("model", ["sst2-micro", "sst2-minilm"])
@pytest.mark.parametrize("changes", [{}, {"length": 20}], ids=str)
def test_a_file_is_rewritten_as_its_classifier_would_be_converted(model, changes):
    data = beex.pretrained.find(model).read_bytes()
    assert beex_format.rewrite(data, calibration=beex_format.read(data).calibration) == data
    classifier = load_classifier(model)
    classifier.policy = policy = beex.Entropy(0.2)
    rewritten = beex_format.rewrite(data, policy=policy, calibration={"seed": 1}, **changes)
    converted = beex_format.convert(classifier, calibration={"seed": 1}, **changes)
    assert _weights(rewritten) == _weights(converted)
    ours, theirs = beex_format.read(rewritten), beex_format.read(converted)
    for name in ("config", "length", "labels", "policy", "calibration"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.preprocessor.get_config() == theirs.preprocessor.get_config()


def _weights(data):
    """Everything but the metadata, and what depends on its size."""
    values = beex_format.read_header(data)
    header = {n: v for n, v in values.items() if n not in ("metadata_size",)}
    return header, data[values["weights"] : values["metadata"]]
