"""tools/ship: runs become a packaged model with its card."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from commands import exit_code as beex
from conftest import needs_engine, shake
from toy import TOY_SIZE, write_toy_snips

from baselines import tfidf_predictions
from beex_keras import exits, pipeline, pretrained
from beex_keras.data import load_task
from beex_keras.errors import BeexError
from beex_keras.evaluation import calibrate, evaluate
from beex_keras.evaluation.exit_logits import predict_exit_logits
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.runtime import load
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor
from beex_keras.training import TrainingConfig, warm_start

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_snips(tmp_path_factory.mktemp("data"))


def write_runs(path, task, words):
    """Run folders of three seeds as `train` leaves them, of models that have learned nothing."""
    words = [*SPECIAL_TOKENS, *words]
    wanted = BEExformerConfig(**TOY_SIZE)
    preprocessor = TextPreprocessor(words, wanted.max_length)
    config = wanted.replace(
        vocabulary_size=len(words),
        num_classes=len(task.labels),
        num_segments=2 if task.is_pair else 1,
        separator_id=preprocessor.separator_id,
    )
    policy, scale = exits.get(exits.default(task.problem_type)), task.value_scale
    tf.keras.utils.set_random_seed(1)
    model = BEExformerClassifier(config, preprocessor, task.labels, policy, scale)
    start = model.get_weights()
    for seed in range(3):
        model.set_weights(start)
        shake(model, seed)
        logits = {
            part: predict_exit_logits(model, preprocessor.encode(split.texts, split.pairs))
            for part, split in task.splits().items()
        }
        of_task = {"metric": task.metric, "value_scale": scale}
        found = calibrate(policy, logits["validation"], task.validation.labels, **of_task)
        model.policy = found.policy
        test = evaluate(logits["test"], task.test.labels, model.policy, **of_task)
        folder = path / f"run-{seed}"
        model.save_pretrained(folder / "model")
        training = TrainingConfig(epochs=1, seed=seed, policy=policy.name)
        settings = {
            "task": task.name,
            "data": task.fingerprint(),
            "model": config.to_dict(),
            "training": training.hyperparameters(),
            **({"both_orders": True} if task.both_orders else {}),
            **({} if scale is None else {"value_scale": scale.to_dict()}),
        }
        results = {"calibration": found.to_dict(), "test": test.to_dict()}
        (folder / "run.json").write_text(json.dumps(settings))
        (folder / "results.json").write_text(json.dumps(results))
        (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return [path / f"run-{seed}" for seed in range(3)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("runs")
    write_runs(path, load_task(data / "snips"), ["good", "bad", "film", "the", "a"])
    return path


@pytest.fixture
def runs(finished, tmp_path):
    """The run folders, for a test to change."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return [tmp_path / f"run-{seed}" for seed in range(3)]


def ship(*arguments):
    """Runs the tool."""
    spec = importlib.util.spec_from_file_location("ship", ROOT / "tools" / "ship" / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main([str(argument) for argument in arguments], standalone_mode=False)


def weights_of(run):
    return warm_start(run).identity["weights"]


def test_runs_compare_in_the_form_that_ships(tool):
    card = tool("card")

    def results(validation, score):
        test = {"score": score, "full_depth_score": 0.9, "mean_depth": 2.0, "flops_saved": 0.5}
        return {"calibration": {"validation_accuracy": validation}, "test": test}

    def run(seed, w1a8, **others):
        settings = {"training": {"seed": seed}}
        return card.Finished(Path(), settings, {**results(**others), "w1a8": results(**w1a8)})

    first = run(0, {"validation": 0.7, "score": 0.72}, validation=0.9, score=0.92)
    second = run(1, {"validation": 0.8, "score": 0.82}, validation=0.6, score=0.62)
    assert card.choose([first, second]) == second
    assert [card.seed_row(one)["score"] for one in (first, second)] == [0.72, 0.82]


@needs_engine
def test_a_run_becomes_a_model_with_a_card(tmp_path, data, runs, tool):
    pytest.importorskip("sklearn")
    output = tmp_path / "shipped"
    # A float32 twin that a run starts from, and the float32 run that the twin started from.
    settings = json.loads((runs[0] / "run.json").read_text())
    settings["model"] |= {"weight_bits": 32, "embedding_bits": 32, "dropout": 0.3}
    real = [tmp_path / "before", tmp_path / "twin"]
    for seed, folder in enumerate(real):
        folder.mkdir()
        shutil.copytree(runs[seed] / "model", folder / "model")
        shutil.copy(runs[seed] / "results.json", folder)
        settings["training"]["seed"] = seed
        if seed:
            settings["init"] = {"kind": "classifier", "weights": weights_of(real[0])}
        (folder / "run.json").write_text(json.dumps(settings))
    for run in runs:
        settings = json.loads((run / "run.json").read_text())
        settings["teacher"] = {"kind": "classifier", "weights": weights_of(real[1])}
        (run / "run.json").write_text(json.dumps(settings))
    arguments = ["toy", *map(str, runs), "--about", "snips", "--data", str(data / "snips")]
    for earlier in real:
        arguments += ["--earlier", str(earlier)]
    ship(*arguments, "-o", output)
    card = json.loads((output / "toy.json").read_text("utf-8"))
    scores = [json.loads((run / "results.json").read_text()) for run in runs]
    validation = [score["calibration"]["validation_accuracy"] for score in scores]
    assert card["shipped_seed"] == int(np.argmax(validation))
    assert [row["score"] for row in card["seeds"]] == [score["test"]["score"] for score in scores]
    assert card["twins"] == [card["seeds"][1]]
    chosen = runs[card["shipped_seed"]]
    task = load_task(data / "snips")
    file, keras = load(output / "toy.beex"), load(chosen)
    ids = keras.encode(task.test.texts)
    np.testing.assert_allclose(file.exit_logits(ids), keras.exit_logits(ids), atol=1e-4)
    assert card["test"]["score"] == pytest.approx(scores[card["shipped_seed"]]["test"]["score"])
    for rows in (card["failures"][kind] for kind in ("confidence", "length", "labels", "unknown")):
        assert sum(row["texts"] for row in rows) == len(task.test)
        right = sum(row["texts"] * (row["accuracy"] or 0) for row in rows)
        assert right / len(task.test) == pytest.approx(card["test"]["score"])
    page = (output / "toy.md").read_text("utf-8")
    assert page == tool("page").page(card)
    assert "its float32 twin |" in page
    assert "--set num_blocks=2" in page and "seed $seed" in page
    # All seeds have one teacher, which keeps its own seed.
    assert "--seed 0 -o runs/toy-teacher-init-0\n" in page
    assert "--init runs/toy-teacher-init-0 --seed 1 -o runs/toy-teacher-1\n" in page
    assert "--init none --teacher runs/toy-teacher-1 --seed $seed -o runs/toy-$seed\n" in page


ABOUT_NUMBERS = """
task = "near"
title = "How near are two sentences?"
languages = ["en"]
intended_use = "Near sentences."
limits = "It has learned nothing."
[data]
name = "Toy"
source = "made up"
licence = "none."
about = "Made up."
[groups]
"of birds" = "bird"
[[probes]]
about = "plain"
text = "a cat sleeps"
pair = "a cat rests"
value = 4.5
"""


@pytest.fixture
def rated(tmp_path):
    """A folder with pairs whose ratings, most of them near 3, are told by the words."""
    folder = tmp_path / "near"
    folder.mkdir()
    random = np.random.default_rng(0)
    near = {"sleeps": 0.1, "rests": 0.2, "sings": -0.1, "chirps": -0.2}
    for name, count in (("train", 60), ("test", 40)):
        rows = ["text\tpair\tlabel"]
        for number in range(count):
            verbs = random.choice(list(near), 2)
            value = {0: 0, 1: 5}.get(number, 3 + sum(near[verb] for verb in verbs))
            first, second = (f"a {random.choice(['cat', 'bird'])} {verb} now" for verb in verbs)
            rows.append(f"{first}\t{second} {number}\t{value:.3f}")
        (folder / f"{name}.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


@needs_engine
def test_a_regression_has_a_card_that_speaks_of_numbers(rated, tmp_path, tool, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    task = load_task(rated, pair_column="pair", both_orders=True)
    runs = write_runs(tmp_path, task, ["cat", "bird", "sleeps", "rests", "sings", "a"])
    (tmp_path / "near.toml").write_text(ABOUT_NUMBERS, "utf-8")
    about = ["--about", tmp_path / "near.toml", "--data", rated]
    ship("near", *runs, *about, "-o", tmp_path / "shipped")
    card = json.loads((tmp_path / "shipped" / "near.json").read_text("utf-8"))
    page = (tmp_path / "shipped" / "near.md").read_text("utf-8")

    # Its answers.
    targets = np.array([float(line.split("\t")[2]) for line in lines(rated, "test")])
    assert card["metric"] == "pearson" and card["value_scale"] == task.value_scale.to_dict()
    assert (card["value_scale"]["least"], card["value_scale"]["most"]) == (0, 5)
    assert "answers with a number from 0 to 5." in page
    classify = pipeline(tmp_path / "shipped" / "near.beex")
    values = np.array([each.value for each in classify(task.test.inputs())])
    pearson = np.corrcoef(targets, values)[0, 1]
    assert card["test"]["score"] == pytest.approx(pearson, abs=1e-6)
    assert f"the file reaches {100 * pearson:.1f} on the test data." in page
    assert "\nThe table has the Pearson × 100.\n" in page and "| exit | Pearson × 100 |" in page
    (probe,) = classify([("a cat sleeps", "a cat rests")])
    assert f"| a cat sleeps | a cat rests | plain | 4.5 | {round(probe.value, 4)} |" in page

    # The baselines.
    assert list(card["baselines"]) == ["mean", "TF-IDF + ridge"]
    ridge = np.corrcoef(targets, tfidf_predictions(task))[0, 1]
    assert list(card["baselines"].values()) == pytest.approx([0, ridge], abs=1e-9) and ridge > 0.5
    assert "| mean | – | 0.0 |" in page and f"| TF-IDF + ridge | – | {100 * ridge:.1f} |" in page
    rows = tool("page").table([card], [])
    assert f"| TF-IDF + ridge | near | {100 * ridge:.1f} | – |" in rows
    assert f"| near | {100 * pearson:.1f} (Pearson) |" in rows

    # The failures: both texts of a pair count.
    failures, error = card["failures"], np.abs(targets - values).mean()
    assert set(failures) == {"length", "unknown", "groups"}
    for rows in failures.values():
        assert sum(row["texts"] for row in rows) == len(targets)
        total = sum(row["texts"] * (row["error"] or 0) for row in rows)
        assert total / len(targets) == pytest.approx(error)
    assert [row["of"] for row in failures["length"] if row["texts"]] == ["6 to 10 words"]
    assert "| texts | number | mean absolute error |" in page

    words = re.findall(r"[\w-]+", page.lower())
    of_classes = {"accuracy", "class", "classes", "label", "labels", "logistic", "majority"}
    assert not of_classes.intersection(words)
    assert not re.search("answered rightly|taken for|by its score|wrong", page)

    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "shipped")
    capsys.readouterr()
    assert beex("models") == 0
    listed = capsys.readouterr().out
    assert "pearson" in listed and "accuracy" not in listed


def lines(folder, part):
    """The rows of a toy's file."""
    return (folder / f"{part}.tsv").read_text("utf-8").splitlines()[1:]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda runs: [*runs[:2], runs[1]], "another seed"),
        (lambda runs: [*runs, runs[0].parent / "none"], "not a finished run"),
    ],
)
def test_a_card_needs_seeds_of_one_training(runs, change, word, tool):
    with pytest.raises(BeexError, match=word):
        tool("card").read_runs(tuple(change(runs)))


def test_a_card_needs_three_seeds(runs, tool):
    found = tool("card").read_runs(runs)
    with pytest.raises(BeexError, match="give 3 runs"):
        tool("card").seeds(found[:2])
    assert [row["seed"] for row in tool("card").seeds(found)] == [0, 1, 2]
