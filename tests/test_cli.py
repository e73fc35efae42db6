"""The command line as a user meets it: every command, and a sentence for every mistake."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from commands import exit_code as beex
from conftest import needs_engine
from toy import TOY_SIZE, toy_files, write_toy_files
from toy import data_options as data

from beex_keras import TrainingConfig, fields, load, load_task
from beex_keras.errors import BeexError
from beex_keras.evaluation import calibrate as choose
from beex_keras.evaluation.accounting import relative_costs
from beex_keras.exits import POLICIES, Entropy
from beex_keras.export import beex as beex_format
from beex_keras.export import size_report
from beex_keras.export.tflite import metadata
from beex_keras.losses import WEIGHTS
from beex_keras.models import PRESETS, BEExformerClassifier, BEExformerConfig
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor

SIZES = [f"--set={name}={value}" for name, value in TOY_SIZE.items()]
TRAINING = [*SIZES, "--epochs=3", "--set=batch_size=8", "--learning-rate=0.01"]
"""Options of a training of the toy task that takes seconds."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data, a run, and the model converted."""
    path = tmp_path_factory.mktemp("cli")
    write_toy_files(path)
    assert beex("train", *data(path), *TRAINING, "--json", "-o", path / "run") == 0
    assert beex("convert", path / "run", "-o", path / "model.tflite", "--json") == 0
    assert beex("convert", path / "run", "-o", path / "model.beex", "--json") == 0
    return path


def test_train_leaves_model_figures_and_results(folder):
    names = {path.name for path in (folder / "run").iterdir()}
    assert names == {
        "model",
        "figures",
        "results.json",
        "history.json",
        "vocab.txt",
        "run.json",
    }
    assert {path.name for path in (folder / "run" / "figures").iterdir()} == {
        "history.png",
        "trade_off.png",
        "exits.png",
    }


def test_train_reports_progress_beside_json(folder, tmp_path, capsys):
    arguments = [*data(folder), *SIZES, "--epochs", 1, "--json"]
    assert beex("train", *arguments, "-o", tmp_path / "run") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["run"] == str(tmp_path / "run")
    assert "Texts: " in printed.err and "val_exit_1: " in printed.err


def test_matrix_products_have_the_chosen_dtype(folder, tmp_path, dtypes):
    arguments = [*data(folder), *SIZES, "--epochs", 1, "--set=matmul_dtype=bfloat16"]
    assert beex("train", *arguments, "-o", tmp_path / "run") == 130
    assert dtypes == [{tf.bfloat16}]


@pytest.mark.slow
def test_bfloat16_trains_to_the_end(folder, tmp_path, capsys):
    arguments = [*data(folder), *TRAINING, "--set=matmul_dtype=bfloat16", "--json"]
    assert beex("train", *arguments, "-o", tmp_path / "run") == 0
    assert json.loads(capsys.readouterr().out)["test"]["score"] > 0.8


def test_keras_and_tflite_evaluate_alike(folder, capsys, read_once):
    """The file has 8-bit activations by default; the training measured the run with them, too."""
    figures = []
    for model in ("run", "model.tflite"):
        assert beex("evaluate", folder / model, *data(folder), "--json") == 0
        figures.append(json.loads(capsys.readouterr().out))
    results = json.loads((folder / "run" / "results.json").read_text())
    assert figures[0] == results["test"]
    one_exit_only = {"exit_scores": [], "full_depth_score": None}
    assert figures[1] == {**results["w1a8"]["test"], **one_exit_only}
    assert (
        beex(
            "evaluate",
            folder / "run",
            *data(folder),
            "--policy",
            "fixed_depth",
            "--threshold",
            1,
            "--json",
        )
        == 0
    )
    first = json.loads(capsys.readouterr().out)
    assert first["mean_depth"] == 1 and first["score"] == first["exit_scores"][0]


def test_a_test_file_alone(folder, tmp_path, capsys):
    """Also a file with texts of one class."""
    assert beex("evaluate", folder / "run", *data(folder), "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert beex("evaluate", folder / "run", "--test", folder / "test.jsonl", "--json") == 0
    assert json.loads(capsys.readouterr().out) == whole
    (tmp_path / "one.csv").write_text("text,label\na good film,positive\na bad film,positive\n")
    assert beex("evaluate", folder / "run", "--test", tmp_path / "one.csv", "--json") == 0
    assert json.loads(capsys.readouterr().out)["score"] == 0.5


def test_tables_for_people(folder, capsys, read_once):
    train, *others = data(folder)
    assert beex("evaluate", folder / "run", "--train", train, *others) == 0  # as without --train
    output = capsys.readouterr().out
    assert "FLOPs saved" in output and "policy" in output
    assert beex("summary", folder / "run") == 0
    output = capsys.readouterr().out
    assert "block/slfn/gate_in" in output and "float32 twin" in output


def test_a_preset_has_the_bits_that_were_asked_for(monkeypatch):
    asked = []

    def record(config, _):
        asked.append(config)
        raise BeexError("recorded")

    monkeypatch.setattr(size_report, "of_config", record)
    monkeypatch.setitem(PRESETS, "micro", {**PRESETS["micro"], "num_blocks": 1})
    for bits in ("weights-only", "fully-binary"):
        assert beex("summary", "--preset", "micro", "--bits", bits) == 2
    assert [(c.weight_bits, c.activation_bits, c.embedding_bits) for c in asked] == [
        (1, 8, 1),  # as it is exported
        (1, 1, 1),
    ]


def test_converted_file_keeps_the_calibration(folder):
    results = json.loads((folder / "run" / "results.json").read_text())
    figures = results["w1a8"]["calibration"]  # a weights-only model is converted to w1a8
    assert figures.keys() == results["calibration"].keys()
    assert metadata.read((folder / "model.tflite").read_bytes()).calibration == figures


def test_a_calibration_stays_with_its_activations(folder, tmp_path):
    """A run has a calibration for 32 bits and one for 8; a file has one for its own bits."""
    results = json.loads((folder / "run" / "results.json").read_text())
    wide, narrow = tmp_path / "wide.beex", tmp_path / "narrow.beex"
    assert beex("convert", folder / "run", "-o", wide, "--activations", "32") == 0
    assert beex("convert", wide, "-o", narrow) == 0
    before, after = (beex_format.read(path.read_bytes()) for path in (wide, narrow))
    assert before.calibration == results["calibration"]
    assert (after.config.activation_bits, after.calibration) == (8, None)
    assert after.policy == before.policy
    changed = tmp_path / "changed.beex"
    assert beex("convert", wide, "-o", changed, "--activations", "32") == 0
    assert beex_format.read(changed.read_bytes()).calibration == before.calibration


def test_summary_counts_the_files_bytes(folder, capsys, read_once):
    assert beex("summary", folder / "model.beex", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    file = beex_format.file_sizes((folder / "model.beex").read_bytes())
    assert report["beex_file"] == {name: file[name] for name in ("total", "weights", "arena")}


@pytest.mark.parametrize(
    "bits",
    ["float", *(pytest.param(x, marks=pytest.mark.slow) for x in ("weights-only", "fully-binary"))],
)
def test_summary_of_a_preset_in_each_mode(monkeypatch, capsys, bits):
    monkeypatch.setitem(PRESETS, "micro", {**PRESETS["micro"], "num_blocks": 1})
    assert beex("summary", "--preset", "micro", "--bits", bits, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    if bits == "float":
        assert report["ratio"] == 1
        assert report["beex_file"].items() >= report["float32_beex_file"].items()
    else:
        assert report["ratio"] > 10


def test_calibrate_keeps_the_policy_in_the_model(folder, tmp_path, capsys):
    run, figure = tmp_path / "run", tmp_path / "curve.png"
    shutil.copytree(folder / "run", run)
    assert (
        beex(
            "calibrate",
            run,
            *data(folder),
            "--policy",
            "entropy",
            "--tolerance",
            0.05,
            "--margin",
            2,
            "--figure",
            figure,
            "--json",
        )
        == 0
    )
    figures = json.loads(capsys.readouterr().out)
    assert figures["margin"] == 2 and figures["policy"]["name"] == "entropy"
    assert load(run).policy.get_config() == {"tau": figures["policy"]["tau"]}
    assert figure.read_bytes().startswith(b"\x89PNG")
    arguments = (run, *data(folder), "--policy", "patience")
    assert beex("calibrate", *arguments, "--figure", tmp_path / "curve.xyz") == 2
    assert load(run).policy.name == "entropy"


@needs_engine
def test_a_run_that_is_calibrated_again_converts_with_a_calibration_of_its_own(folder, tmp_path):
    """Its calibration is the one that the engine measures with the file."""
    run, file, calibrated = (tmp_path / name for name in ("run", "model.beex", "again.beex"))
    shutil.copytree(folder / "run", run)
    options = [*data(folder), "--policy=entropy", "--tolerance=0.05"]
    assert beex("calibrate", run, *options) == 0
    assert beex("convert", run, "-o", file) == 0
    shutil.copy(file, calibrated)
    assert beex("calibrate", calibrated, *options) == 0
    found, measured = load(file), load(calibrated)
    assert found.config.activation_bits == 8
    known, own = found.metadata.calibration, measured.metadata.calibration
    tau = found.policy.get_config()["tau"]
    assert [known["policy"].pop("tau"), own["policy"].pop("tau")] == pytest.approx([tau, tau])
    assert known.pop("policy") == own.pop("policy") == {"name": "entropy"}
    assert known == pytest.approx(own)
    wide = tmp_path / "wide.beex"
    assert beex("convert", run, "-o", wide, "--activations", "32") == 0
    assert load(wide).policy == load(run).policy


@needs_engine
def test_calibrate_keeps_the_policy_in_a_file(folder, tmp_path, capsys):
    file = shutil.copy(folder / "model.beex", tmp_path)
    before, rows = load(file), load_task(**toy_files(folder)).validation
    logits = before.exit_logits(before.encode(rows.texts))
    costs = relative_costs(before.config)
    chosen = choose(Entropy(), logits, rows.labels, costs, tolerance=0.05, margin=1.0).policy
    assert (
        beex("calibrate", file, *data(folder), "--policy=entropy", "--tolerance=0.05", "--json")
        == 0
    )
    figures, after = json.loads(capsys.readouterr().out), load(file)
    assert after.policy == chosen and after.metadata.calibration == figures
    assert np.array_equal(after.exit_logits(after.encode(rows.texts)), logits)


@pytest.mark.parametrize(
    "exit_kind", ["all-outputs", pytest.param("in-graph", marks=pytest.mark.slow)]
)
def test_every_form_predicts_and_evaluates_alike(folder, tmp_path, exit_kind, capsys):
    target = tmp_path / "model.tflite"
    assert (
        beex(
            "convert",
            folder / "run",
            "--exit",
            exit_kind,
            "--policy",
            "confidence",
            "--threshold",
            0.7,
            "-o",
            target,
            "--json",
        )
        == 0
    )
    capsys.readouterr()
    figures = []
    for model, options in (
        (target, []),
        (folder / "run", ["--policy=confidence", "--threshold=0.7"]),
    ):
        assert beex("evaluate", model, *data(folder), *options, "--json") == 0
        figures.append(json.loads(capsys.readouterr().out))
    for name in ("score", "mean_depth", "exit_shares", "flops_saved"):
        assert figures[0][name] == figures[1][name]
    assert beex("evaluate", target, *data(folder)) == 0  # prints a table
    assert beex("predict", target, "the good film") == 0


def test_threshold_input_lets_the_user_choose(folder, tmp_path, capsys):
    target = tmp_path / "model.tflite"
    assert beex("convert", folder / "run", "--threshold-input", "-o", target) == 0
    for threshold, depth in ((2, 2), (0, 1)):
        capsys.readouterr()
        assert beex("predict", target, "the good film", "--threshold", threshold) == 0
        assert f"exit {depth}/2" in capsys.readouterr().out


@needs_engine
def test_a_float_model_converts_to_8_bits(tmp_path, capsys):
    config = BEExformerConfig(**{**TOY_SIZE, "weight_bits": 32, "embedding_bits": 32})
    preprocessor = TextPreprocessor((*SPECIAL_TOKENS, "good", "film"), 12)
    BEExformerClassifier(config, preprocessor).save_pretrained(tmp_path / "model")
    weights = {}
    for kind in ("float32", "int8"):
        target = tmp_path / f"{kind}.beex"
        assert beex("convert", tmp_path / "model", "-o", target, "--weights", kind, "--json") == 0
        weights[kind] = json.loads(capsys.readouterr().out)["weights"]
        assert beex("predict", target, "good film") == 0
        capsys.readouterr()
    assert weights["int8"] < weights["float32"] / 2


@pytest.mark.slow
def test_a_real_process_fails_with_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "beex_keras.cli", "predict", str(tmp_path / "none"), "text"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: There is no model at {tmp_path / 'none'}; check the path.\n"


def test_choices_are_those_of_the_package():
    assert fields.choices(TrainingConfig)["policy"] == (*POLICIES, None)
    assert fields.choices(TrainingConfig)["loss"] == WEIGHTS


def test_every_setting_is_described():
    for config in (BEExformerConfig, TrainingConfig):
        assert list(fields.descriptions(config)) == fields.names(config)


def test_help_names_every_command(capsys):
    assert beex("--help") == 0
    output = capsys.readouterr().out
    for command in ("train", "calibrate", "evaluate", "predict", "convert", "summary"):
        assert command in output
    assert np.all([beex(command, "--help") == 0 for command in ("train", "predict")])


def test_help_of_train_is_short_and_in_groups(capsys):
    assert beex("train", "--help") == 0
    output = capsys.readouterr().out
    groups = ("Data", "Model", "Start", "Training", "Exit", "Run")
    assert [output.index(f"─ {group} ─") for group in groups]
    options = {word.strip(",.") for word in output.split() if word.startswith("--")}
    assert "--epochs" in options and len(options) <= 20
    # The docstring of TrainingConfig describes the field; the help breaks its lines.
    assert "Number of passes over the training texts." in " ".join(output.replace("│", " ").split())
