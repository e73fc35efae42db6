"""Models that answer a number: learned, scored, left early, and the same in every engine."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from c_builds import plain  # noqa: F401
from commands import beex
from conftest import MODES, built, converted, glue_like, needs_engine, random_ids, tiny_config
from conftest import shake as shaken

from beex_keras import (
    BeexError,
    BEExformerConfig,
    Change,
    Confidence,
    Patience,
    SoftRoutingLoss,
    TextPreprocessor,
    ValuePrediction,
    ValueScale,
    calibrate,
    export,
    load_task,
    pipeline,
)
from beex_keras import exits as exit_policies
from beex_keras.evaluation import evaluate, score
from beex_keras.evaluation.correlation import correlation, ranks
from beex_keras.export import beex as beex_format
from beex_keras.export.tflite import flatbuffer
from beex_keras.metrics import ExitCorrelation, PolicyError
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import CRunner, KerasRunner, LCERunner, Pipeline, SegmentRunner
from beex_keras.training import TrainingConfig, train, warm_start

sys.path.append(str(Path(__file__).parents[1] / "tools"))
import tflm_host

slow = pytest.mark.slow

STARS = ValueScale(3.2, 1.3, 1, 5)
RULE = Change(1.4)
NUMBER = {"num_classes": 1, "num_segments": 2}
IDS = random_ids(24, 12)
SIZE = {"vocabulary_size": 60, "max_length": 12, "width": 16, "hidden_width": 24, "num_blocks": 3}


def logits_of(rows: int, depth: int = 4, seed: int = 0) -> np.ndarray:
    """Answers that come nearer to a target with each exit; the targets are `targets_of`."""
    noise = np.random.default_rng(seed).normal(size=(rows, depth, 1))
    return (targets_of(rows)[:, None, None] + noise / np.arange(2, depth + 2)[:, None]).astype(
        np.float32
    )


def recent_changes(logits: np.ndarray) -> np.ndarray:
    """The score of each exit from the second on: all changes up to it, halved for each exit in between."""
    changes = np.abs(np.diff(logits.astype(np.float64)[:, :, 0], axis=1))
    later = np.subtract.outer(np.arange(changes.shape[1]), np.arange(changes.shape[1]))
    halves = np.where(later >= 0, 0.5 ** later.clip(min=0), 0)
    return changes @ halves.T + 4 * 0.5 ** np.arange(1, changes.shape[1] + 1)


def targets_of(rows: int) -> np.ndarray:
    return np.random.default_rng(99).normal(size=rows)


# === The exit ===


def test_an_exit_is_left_where_the_answer_changed_little():
    logits = np.array([[[0.0], [1.0], [1.05]], [[2.0], [1.95], [0.0]], [[0.0], [1.0], [2.0]]])
    # From exit 2 on the scores are 3 and 1.55, 2.05 and 2.975, 3 and 2.5.
    assert Change(2.4).choose(logits.astype(np.float32)).tolist() == [2, 1, 2]
    assert Change(1.5).choose(logits.astype(np.float32)).tolist() == [2, 2, 2]
    np.testing.assert_allclose(RULE.scores(logits)[:, 1:], recent_changes(logits), rtol=1e-6)
    assert Change(1e8).choose(logits.astype(np.float32)).tolist() == [1, 1, 1]


def test_the_rule_is_that_of_single_steps_and_of_tensors():
    logits = logits_of(50)
    changes, taken = recent_changes(logits).tolist(), set()
    for epsilon in (1.4, 2.3):
        expected = [next((i + 1 for i, c in enumerate(row) if c < epsilon), 3) for row in changes]
        rule = Change(epsilon)
        assert rule.choose(logits).tolist() == rule.choose(tf.constant(logits)).numpy().tolist()
        assert rule.choose(logits).tolist() == expected
        taken |= set(expected)
    assert taken == {1, 2, 3}


@pytest.mark.parametrize("name", ["entropy", "confidence", "fractional_entropy"])
def test_policies_of_classes_say_why_they_do_not_go_with_a_number(name):
    policy = exit_policies.get(name)
    for refuse in (
        lambda: BEExformerClassifier(tiny_config(num_classes=1), policy=policy),
        lambda: KerasRunner(built(**NUMBER)).decide(IDS, policy),
        lambda: calibrate(policy, logits_of(9), targets_of(9), metric="pearson"),
        lambda: evaluate(logits_of(9), targets_of(9), policy, metric="pearson"),
        lambda: beex_format.rewrite(beex_format.convert(built(**NUMBER)), policy=policy),
    ):
        with pytest.raises(BeexError, match=f"'{name}' reads the probabilities of classes"):
            refuse()


def test_change_says_why_it_does_not_go_with_classes():
    with pytest.raises(BeexError, match="'change' reads the change of a number"):
        BEExformerClassifier(tiny_config(), policy=RULE)


def test_patience_counts_exits():
    assert set(Patience(2).choose(logits_of(9)).tolist()) == {2}


# === Loss and metrics ===


@pytest.mark.parametrize("weights", ["uniform", "linear", "routed", "last"])
def test_the_loss_is_the_squared_error_of_every_exit(weights):
    logits, targets = logits_of(6, 3), targets_of(6).astype(np.float32)
    errors = (logits[:, :, 0] - targets[:, None]) ** 2
    share = {"uniform": np.ones(3) / 3, "linear": np.arange(1, 4) / 6, "last": np.eye(3)[2]}
    if weights == "routed":
        change = np.abs(np.diff(logits[:, :, 0], axis=1))
        second = 1 / (1 + np.exp(-(0.5 - change[:, 0]) / 0.1))
        routed = np.stack([np.zeros(6), second, 1 - second], axis=1)
        share["routed"] = 0.2 / 3 + 0.8 * routed
    expected = (errors * share[weights]).sum(axis=1).mean()
    found = SoftRoutingLoss(weights, label_smoothing=0.1)(targets, logits)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_correlations_are_those_of_all_batches():
    logits, targets = logits_of(30), targets_of(30)
    metric = ExitCorrelation(2)
    chosen = ExitCorrelation(policy=RULE)
    error = PolicyError(RULE, scale=1.3)
    for rows in (slice(0, 11), slice(11, 30)):
        for each in (metric, chosen, error):
            each.update_state(targets[rows], tf.constant(logits[rows]))
    own = logits[np.arange(30), RULE.choose(logits), 0]
    assert float(metric.result()) == pytest.approx(np.corrcoef(targets, logits[:, 1, 0])[0, 1])
    assert float(chosen.result()) == pytest.approx(np.corrcoef(targets, own)[0, 1], rel=1e-4)
    assert float(error.result()) == pytest.approx(1.3 * np.abs(targets - own).mean(), rel=1e-4)
    metric.reset_state()
    assert float(metric.result()) == 0
    again = ExitCorrelation.from_config(json.loads(json.dumps(chosen.get_config())))
    assert again.policy == RULE and again.exit is None


def test_weights_leave_rows_out():
    logits, targets = logits_of(20), targets_of(20)
    metric, weights = ExitCorrelation(1), np.r_[np.ones(12), np.zeros(8)]
    metric.update_state(targets, tf.constant(logits), weights)
    expected = np.corrcoef(targets[:12], logits[:12, 0, 0])[0, 1]
    assert float(metric.result()) == pytest.approx(expected, rel=1e-4)


def test_scores():
    targets, found = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 9.0])
    assert score(targets, found, "pearson") == pytest.approx(np.corrcoef(targets, found)[0, 1])
    # Without ties it is 1 - 6 Σ d² / (n (n² - 1)).
    assert score(targets, found, "spearman") == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert score(targets, found, "mean_absolute_error") == pytest.approx(7 / 4)
    assert score(targets, np.ones(4), "pearson") == 0
    assert ranks(np.array([7, 7, 1, 9])).tolist() == [2.5, 2.5, 1, 4]
    with pytest.raises(BeexError, match="choose one of accuracy, matthews, f1, pearson"):
        score(targets, found, "rmse")


def test_the_influence_is_that_of_the_jackknife():
    """The standard error of what is lost at an exit, against leaving one text out at a time."""
    logits, targets = logits_of(400), targets_of(400)
    first, last = logits[:, 0, 0], logits[:, -1, 0]

    def lost(rows):
        return (
            np.corrcoef(targets[rows], last[rows])[0, 1]
            - np.corrcoef(targets[rows], first[rows])[0, 1]
        )

    without = np.array([lost(np.delete(np.arange(400), i)) for i in range(400)])
    expected = np.sqrt(399 / 400 * ((without - without.mean()) ** 2).sum())
    influence = correlation(targets, last)[1] - correlation(targets, first)[1]
    assert influence.std() / 20 == pytest.approx(expected, rel=0.02)


# === Calibration ===


@pytest.mark.parametrize("metric", ["pearson", "spearman", "mean_absolute_error"])
def test_calibration_takes_the_cheapest_threshold_within_the_tolerance(metric):
    logits, targets = logits_of(120), STARS.offset + STARS.scale * targets_of(120)

    def good(taken):
        values = STARS.offset + STARS.scale * logits[np.arange(120), taken, 0]
        found = score(targets, np.clip(values, 1, 5), metric)
        return -found / targets.std() if metric == "mean_absolute_error" else found

    tolerance, full = 0.02, good(np.full(120, 3))
    found = calibrate(RULE, logits, targets, tolerance=tolerance, metric=metric, value_scale=STARS)
    assert found.full_depth_accuracy == pytest.approx(full, rel=1e-5)
    assert found.accuracy == pytest.approx(good(found.policy.choose(logits)), rel=1e-5)
    assert full - found.accuracy <= tolerance
    changes = np.sort(recent_changes(logits).ravel())
    depths = []
    for threshold in np.r_[0, changes + 1e-6]:
        taken = Change(float(threshold)).choose(logits)
        if full - good(taken) > tolerance:
            break
        depths.append(taken.mean())
    assert found.depth - 1 == pytest.approx(min(depths))
    careful = calibrate(
        RULE, logits, targets, tolerance=tolerance, margin=2, metric=metric, value_scale=STARS
    )
    assert careful.cost > found.cost


def test_metrics_and_models_go_together():
    with pytest.raises(BeexError, match="'accuracy' is not one of a regression"):
        calibrate(RULE, logits_of(9), targets_of(9))
    with pytest.raises(BeexError, match="'pearson' is not one of classes"):
        calibrate(Confidence(), np.zeros((4, 2, 3)), np.zeros(4, int), metric="pearson")


def test_evaluation_has_all_metrics():
    logits, targets = logits_of(50), targets_of(50)
    found = evaluate(logits, targets, RULE, metric="pearson")
    chosen = logits[np.arange(50), RULE.choose(logits), 0]
    assert found.score == pytest.approx(np.corrcoef(targets, chosen)[0, 1])
    assert found.further_scores["mean_absolute_error"] == pytest.approx(
        np.abs(targets - chosen).mean()
    )
    assert {"spearman", "mean_absolute_error"} <= found.rows()[-1].keys()
    assert "further_scores" not in dataclasses.replace(found, further_scores={}).to_dict()


# === The scale ===


def test_the_scale_is_that_of_training():
    targets = np.array([1.0, 2.0, 4.0])
    scale = ValueScale.of(targets)
    np.testing.assert_allclose(scale.standardize(targets).mean(), 0, atol=1e-6)
    np.testing.assert_allclose(scale.standardize(targets).std(), 1, rtol=1e-6)
    np.testing.assert_allclose(scale.values(scale.standardize(targets)), targets, rtol=1e-6)
    assert scale.values(np.array([99, -99], np.float32)).tolist() == [4, 1]
    free = ValueScale.of(targets, clip=False)
    assert free.values(np.array([99], np.float32))[0] > 100
    for each in (scale, free):
        assert ValueScale.from_dict(json.loads(json.dumps(each.to_dict()))) == each


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([3.0, 3.0], "Every target of the training data is 3"),
        ([1e300, 2e300], "beyond 2\\*\\*40"),
        ([1e9, 1e9 + 1], "too little for float32; subtract 1e\\+09"),
        ([1e-300, 2e-300], "too little for float32"),
    ],
)
def test_targets_that_cannot_be_learned(targets, message):
    with pytest.raises(BeexError, match=message):
        ValueScale.of(np.array(targets))


@pytest.mark.parametrize(
    "values", [{"scale": 0.0}, {"scale": np.nan}, {"offset": 1e13}, {"least": 2, "most": 1}]
)
def test_scales_out_of_range(values):
    with pytest.raises(BeexError):
        ValueScale(**{name: float(value) for name, value in values.items()})


# === Data ===

TEXTS = [f"text {i} of a review" for i in range(40)]


def ratings(path: Path, values, header="review,stars") -> str:
    lines = [header, *(f"{text},{value}" for text, value in zip(TEXTS, values, strict=False))]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


COLUMNS = {"text_column": "review", "label_column": "stars"}


def test_numbers_that_are_not_all_whole_are_targets(tmp_path):
    values = [1 + i % 9 / 2 for i in range(40)]
    task = load_task(ratings(tmp_path / "a.csv", values), **COLUMNS)
    assert task.is_regression and task.metric == "pearson" and task.labels == ("value",)
    splits = task.splits().values()
    assert sorted(np.concatenate([split.labels for split in splits])) == sorted(values)
    rows = dict(zip(TEXTS, values, strict=True))
    assert all(rows[t] == y for s in splits for t, y in zip(s.texts, s.labels, strict=True))
    assert task.value_scale.most == max(task.train.labels)
    kinds = {"task_kind": "classification"}
    assert not load_task((TEXTS, [str(i % 2 + 0.5) for i in range(40)]), **kinds).is_regression


def test_whole_numbers_are_classes_unless_said_otherwise(tmp_path):
    file = ratings(tmp_path / "a.csv", [1 + i % 2 for i in range(40)])
    assert load_task(file, **COLUMNS).labels == ("1", "2")
    assert load_task(file, **COLUMNS, task_kind="regression").is_regression


def test_numbers_in_memory_and_in_json(tmp_path):
    values = np.arange(40) / 8
    file = tmp_path / "a.jsonl"
    lines = [
        json.dumps({"text": t, "label": v}) for t, v in zip(TEXTS, values.tolist(), strict=True)
    ]
    file.write_text("\n".join(lines), "utf-8")
    one, other = load_task(file), load_task((TEXTS, values))
    assert one.is_regression and one.fingerprint() == other.fingerprint()
    with pytest.raises(BeexError, match="holds a float; give the label as a string"):
        load_task((TEXTS, values), task_kind="classification")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("five", "line 4 of .* holds 'five'; a regression needs a finite number"),
        ("", "line 4 of .* is empty; give every row a label"),
        ("inf", "holds 'inf'; a regression needs"),
        ("nan", "holds 'nan'; a regression needs"),
        ("1e999", "holds '1e999'; a regression needs"),
        ("1_000", "holds '1_000'; a regression needs"),
    ],
)
def test_faulty_targets_are_explained(tmp_path, value, message):
    file = ratings(tmp_path / "a.csv", [1, 2, value, *range(37)])
    with pytest.raises(BeexError, match=message):
        load_task(file, **COLUMNS, task_kind="regression")


def test_options_that_do_not_fit_are_explained(tmp_path):
    file = ratings(tmp_path / "a.csv", [3] * 40)
    with pytest.raises(BeexError, match="Every target of the training data is 3"):
        load_task(file, **COLUMNS, task_kind="regression")
    with pytest.raises(BeexError, match="is of kind classification; leave out task_kind"):
        load_task("rotten_tomatoes", task_kind="regression")
    with pytest.raises(BeexError, match="task_kind='ranking' is unknown"):
        load_task("rotten_tomatoes", task_kind="ranking")
    with pytest.raises(BeexError, match="no order; leave out both_orders"):
        load_task("rotten_tomatoes", both_orders=True)
    with pytest.raises(BeexError, match="leave out clip"):
        load_task("rotten_tomatoes", clip=False)


def test_pairs_in_both_orders():
    pairs = list(zip(TEXTS, reversed(TEXTS), strict=True))
    single, both = (
        load_task((pairs, np.arange(40) / 8), both_orders=value) for value in (False, True)
    )
    count = len(single.train)
    assert len(both.train) == 2 * count
    assert both.train.texts[count:] == single.train.pairs == both.train.pairs[:count]
    assert both.train.pairs[count:] == single.train.texts
    np.testing.assert_array_equal(both.train.labels, np.tile(single.train.labels, 2))
    assert both.test.texts == single.test.texts
    assert both.fingerprint() != single.fingerprint()


def test_stsb_of_a_glue_folder(tmp_path):
    folder = tmp_path / "STS-B"
    folder.mkdir()
    header = "index\tgenre\tsentence1\tsentence2\tscore"
    for name, count in (("train", 40), ("dev", 9)):
        rows = [f"{i}\tnews\ta {name} {i}\tb {i}\t{i % 6:.3f}" for i in range(count)]
        (folder / f"{name}.tsv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    task = load_task("glue/stsb", data_dir=tmp_path, both_orders=True)
    assert task.is_regression and task.is_pair and task.metric == "pearson"
    assert [len(part) for part in task.splits().values()] == [2 * 36, 4, 9]
    assert task.test.labels.tolist() == [i % 6 for i in range(9)]
    assert (task.value_scale.least, task.value_scale.most) == (0, 5)
    (folder / "dev.tsv").write_text(f"{header}\n0\tnews\ta\tb\thigh\n", "utf-8")
    with pytest.raises(BeexError, match="'score' on line 2 of .* holds 'high'"):
        load_task("glue/stsb", data_dir=tmp_path)


def test_stsb_by_tfds(tfds_folder, monkeypatch):
    builder = tfds_folder.builder("glue/stsb")
    assert {"sentence1", "sentence2", "label"} <= set(builder.info.features)
    monkeypatch.setattr(type(builder), "is_prepared", lambda self: True)
    with glue_like(tfds_folder, ["sentence1", "sentence2"]):
        task = load_task("glue/stsb")
    assert task.test.labels.tolist() == [i % 2 for i in range(30)]
    assert [len(part) for part in task.splits().values()] == [27, 3, 30]


# === Engines ===


@pytest.fixture(params=[pytest.param(mode, marks=[] if mode == "w1a8" else slow) for mode in MODES])
def model(request) -> BEExformerClassifier:
    return model_of(request.param)


def dividing(model: BEExformerClassifier) -> Change:
    """The rule by which half of the texts leave the model at exit 2."""
    changes = np.sort(RULE.scores(model(IDS).numpy())[:, 1])
    return Change(float(changes[len(IDS) // 2 - 1 : len(IDS) // 2 + 1].mean()))


def model_of(mode: str) -> BEExformerClassifier:
    tf.keras.utils.set_random_seed(1)
    config = tiny_config(**MODES[mode], **NUMBER)
    model = shaken(BEExformerClassifier(config, value_scale=STARS))
    model.policy = dividing(model)
    return model


@needs_engine
def test_all_engines_answer_the_same(model):
    data = beex_format.convert(model)
    runners = {
        "C": CRunner(data),
        "all outputs": LCERunner(export.convert(model, exit="all-outputs")),
        "in graph": LCERunner(export.convert(model)),
        "segments": SegmentRunner(export.convert_segments(model)),
        "decoded": KerasRunner(beex_format.classifier(data)),
    }
    expected = KerasRunner(model).decide(IDS)
    assert set(expected.exits.tolist()) == {1, 2}
    for name, runner in runners.items():
        assert runner.value_scale == STARS, name
        found = runner.decide(IDS)
        np.testing.assert_array_equal(found.exits, expected.exits, name)
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4, err_msg=name)
    assert beex_format.convert(beex_format.classifier(data)) == data
    assert beex_format.rewrite(data, policy=Patience(1)) != data


@pytest.mark.parametrize("mode", ["weights-only", pytest.param("fully-binary", marks=slow)])
def test_files_with_a_threshold_and_their_graphs(mode):
    model = model_of(mode)
    data = export.convert(model, threshold_input=True)
    for epsilon in (1e-6, model.policy.threshold):
        found = LCERunner(data).decide(IDS, Change(epsilon))
        expected = KerasRunner(model).decide(IDS, Change(epsilon))
        np.testing.assert_array_equal(found.exits, expected.exits)
    graphs = flatbuffer.outermost_first(flatbuffer.parse(export.convert(model)))
    # The first exit is never taken, so that its block and the next stand together.
    assert [flatbuffer.text(graph.name) for graph in graphs] == ["main", "exit_2", "block_3"]


@pytest.mark.skipif(tflm_host.why_not() is not None, reason=str(tflm_host.why_not()))
@pytest.mark.parametrize(
    "mode", [pytest.param("float", marks=slow), "w1a8", pytest.param("fully-binary", marks=slow)]
)
def test_tensorflow_lite_micro_answers_the_same(mode):
    policy = dividing(built(mode, **NUMBER))
    data = converted(mode, policy=policy, plan_memory=True, **NUMBER)
    expected = LCERunner(data).decide(IDS)
    assert set(expected.exits.tolist()) == {1, 2}
    micro = tflm_host.Micro(data, arena_size=1 << 20)
    for row, ids in enumerate(IDS):
        logits, index = micro.run(ids[None], outputs=2)
        assert index[0] == expected.exits[row]
        np.testing.assert_allclose(logits[0], expected.logits[row], rtol=0, atol=1e-5)


def test_values_are_those_of_the_c_interface(plain, tmp_path):  # noqa: F811
    """`beex_run` clips by its own code; beexrun prints what it answers."""
    path = tmp_path / "m.beex"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]
    tf.keras.utils.set_random_seed(1)
    config = tiny_config(num_classes=1, vocabulary_size=len(vocabulary))
    scale = ValueScale(3, 1.5, 2.9, 3.05)
    model = shaken(
        BEExformerClassifier(config, TextPreprocessor(vocabulary, 12), value_scale=scale)
    )
    path.write_bytes(beex_format.convert(model))
    texts = ["a b", "c", "d e f", "g h i j", "j a", "b b b b"]
    found = pipeline(path)(texts)
    assert {type(each) for each in found} == {ValuePrediction}
    assert {2.9, 3.05} & {each.value for each in found}
    printed = subprocess.run(
        [plain.link("beexrun.c"), path],
        input="\n".join(texts),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    expected = [f"{each.value:.4f}\t1.0000\t{each.exit}/3" for each in found]
    assert printed == expected


def test_saved_models_keep_their_scale(tmp_path):
    model = model_of("weights-only")
    model.save(tmp_path / "m.keras")
    model.save_pretrained(tmp_path / "m")
    for other in (
        BEExformerClassifier.from_pretrained(tmp_path / "m"),
        tf.keras.models.load_model(tmp_path / "m.keras", compile=False),
    ):
        assert (other.value_scale, other.policy, other.labels) == (STARS, model.policy, ("value",))
    assert "value_scale" not in built().get_config()
    with pytest.raises(BeexError, match="no value_scale"):
        BEExformerClassifier(tiny_config(), value_scale=STARS)


def test_a_number_has_no_best_classes():
    runner = KerasRunner(model_of("float"))
    with pytest.raises(BeexError, match="top_k chooses among classes"):
        Pipeline(runner, top_k=2)


# === Training ===

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
    config = BEExformerConfig.preset("micro", **SIZE)
    recipe = TrainingConfig(epochs=6, batch_size=16, learning_rate=1e-2, policy="change")
    folder = tmp_path_factory.mktemp("rated") / "run"
    return train(task, folder, model=config, training=recipe, verbose=0)


def test_a_regression_is_learned(run):
    assert run.evaluation.score > 0.9
    assert run.evaluation.further_scores["mean_absolute_error"] < 0.5
    assert isinstance(run.calibration.policy, Change)
    assert run.model.value_scale == ValueScale.of(np.array(rated(240, 0)[1]))
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
    scale = ValueScale(100.0, 25.0)
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
    options = {"preset": "micro", "verbose": 0, **SIZE}
    found = train(output=tmp_path / "a", **data, **options)
    assert isinstance(found.model.policy, Change)
    with pytest.raises(BeexError, match="'confidence' reads the probabilities"):
        train(output=tmp_path / "b", **data, **options, policy="confidence")
    free = train(output=tmp_path / "c", **data, **options, clip=False)
    assert np.isinf(free.model.value_scale.most)


def test_a_teacher_of_numbers(run, tmp_path):
    """The student's targets are mixed with what the teacher answers."""
    task = load_task(rated(64, 0), rated(30, 1), rated(30, 2))
    recipe = TrainingConfig(epochs=1, batch_size=16, soft_targets=0.5, policy="change")
    found = train(
        task,
        tmp_path / "run",
        model=run.model.config,
        training=recipe,
        init=run.directory,
        teacher=run.directory,
        verbose=0,
    )
    assert found.history["val_pearson"][-1] > 0.8
