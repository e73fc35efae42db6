"""Models that answer a number are trained, found again, and teach."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from commands import beex

from beex_keras import BeexError, Change, TargetScaler, load_task, pipeline
from beex_keras.models import BEExformerClassifier
from beex_keras.training import TrainingConfig, train, warm_start

RULE = Change(1.4)
SIZE = {"vocabulary_size": 60, "max_length": 12, "width": 16, "hidden_width": 24, "num_blocks": 3}
WORDS = {"awful": -2, "bad": -1, "good": 1, "great": 2}


def rated(count: int, seed: int) -> tuple[list[str], list[float]]:
    """Texts whose rating is the sum of what their words say, from 1 to 5."""
    random = np.random.default_rng(seed)
    texts, values = [], []
    for _ in range(count):
        words = random.choice(list(WORDS), 2)
        filler = random.choice(["the", "a", "film", "plot", "so"], random.integers(1, 6))
        texts.append(" ".join(random.permutation([*words, *filler])))
        values.append(3 + sum(WORDS[word] for word in words) / 2)
    return texts, values


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    task = load_task(rated(240, 0), rated(80, 1), rated(80, 2))
    config = TrainingConfig(
        preset="micro", model=SIZE, epochs=6, batch_size=16, learning_rate=1e-2, policy="change"
    )
    return train(task, tmp_path_factory.mktemp("rated") / "run", config, verbose=0)


def test_a_regression_is_learned(run):
    assert run.evaluation.score > 0.9
    assert run.evaluation.further_scores["mean_absolute_error"] < 0.5
    assert isinstance(run.calibration.policy, Change)
    assert run.model.value_scale == TargetScaler.fit(np.array(rated(240, 0)[1]))
    assert {"exit_3", "policy", "error", "val_pearson", "val_spearman"} <= run.history.keys()
    results = json.loads((run.directory / "results.json").read_text("utf-8"))
    for part in (results["test"], results["w1a8"]["test"]):
        assert part["metric"] == "pearson" and part["score"] > 0.9


def test_its_run_is_found_again_and_predicts(run):
    texts, values = rated(80, 2)
    found = pipeline(run.directory)(texts)
    correlated = np.corrcoef([each.value for each in found], values)[0, 1]
    assert correlated == pytest.approx(run.evaluation.score, abs=1e-6)
    value, empty, depth, text = beex("predict", run.directory, texts[0]).rstrip("\n").split("\t")
    assert (float(value), empty, text) == (pytest.approx(found[0].value, abs=1e-4), "", texts[0])
    assert depth == f"exit {found[0].exit}/3"


@pytest.mark.parametrize(
    ("command", "found"), [("evaluate", '"metric": "pearson"'), ("calibrate", '"name": "change"')]
)
def test_a_file_of_whole_numbers_is_measured_as_the_model_answers(run, tmp_path, command, found):
    texts, values = rated(80, 2)
    lines = [f"{text},{round(value)}" for text, value in zip(texts, values, strict=True)]
    file, copy = tmp_path / "rated.csv", tmp_path / "run"
    file.write_text("\n".join(["text,label", *lines]) + "\n", "utf-8")
    shutil.copytree(run.directory, copy)
    files = [file, "--validation", file, "--test", file]
    assert found in beex(command, copy, *files, "--json")


def test_keras_fits_targets_in_the_users_units(run):
    model = BEExformerClassifier(
        run.model.config, run.model.preprocessor, value_scale=run.model.value_scale
    )
    model.compile(tf.keras.optimizers.Adam(1e-2))
    texts, values = rated(96, 3)
    history = model.fit(np.array(texts), np.array(values), epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] < 3  # of standardized targets
    with pytest.raises(BeexError, match="must be finite numbers"):
        model.fit(np.array(texts), np.array(["good"] * 96), verbose=0)


def test_heads_answer_in_the_scale_of_a_new_training(run):
    start = warm_start(run.directory)
    scale = TargetScaler(100.0, 25.0)
    other = BEExformerClassifier(
        run.model.config, run.model.preprocessor, policy=RULE, value_scale=scale
    )
    ids = run.model.to_ids(np.array(rated(8, 4)[0]))
    start.apply(other, ids)
    own = run.model.value_scale
    for head, before in zip(other.heads, run.model.heads, strict=True):
        x = np.random.default_rng(0).normal(size=(4, 5, 16)).astype(np.float32)
        expected = own.offset + own.scale * before(x).numpy()
        np.testing.assert_allclose(
            scale.offset + scale.scale * head(x).numpy(), expected, rtol=1e-4, atol=1e-3
        )


def test_the_recipe_takes_the_policy_of_the_task(tmp_path, no_steps):
    data = {"data": rated(60, 0), "validation": rated(30, 1), "test": rated(30, 2)}
    options = {"preset": "micro", "verbose": 0, "model": SIZE}
    found = train(output=tmp_path / "a", **data, **options)
    assert isinstance(found.model.policy, Change)
    with pytest.raises(BeexError, match="'confidence' reads the probabilities"):
        train(output=tmp_path / "b", **data, **options, policy="confidence")
    free = train(output=tmp_path / "c", **data, **options, clip=False)
    assert np.isinf(free.model.value_scale.most)


def test_a_teacher_of_numbers(run, tmp_path):
    """The student's targets are mixed with what the teacher answers."""
    task = load_task(rated(64, 0), rated(30, 1), rated(30, 2))
    both = {"init": run.directory, "teacher": run.directory, "distillation_alpha": 0.5}
    found = train(task, tmp_path / "run", epochs=1, batch_size=16, verbose=0, **both)
    assert found.history["val_pearson"][-1] > 0.8
