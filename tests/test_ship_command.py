"""The command of a card: it trains the same run again, after the runs that the run needs."""

import inspect
import json
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from commands import beex
from small_encoder import SHAPE
from toy import toy_rows, write_toy_snips

from beex_keras import BEExformerConfig, load_task, training
from beex_keras.errors import BeexError
from beex_keras.training import TrainingConfig, warm_start
from beex_keras.training.plan import make_plan

OF_ENCODER = [f"--set={name}={value}" for name, value in SHAPE.items()]


@pytest.fixture
def corpora(tmp_path, monkeypatch, encoders):
    """A folder to be in, with toy corpora and a file of texts without labels."""
    (tmp_path / "corpora" / "near").mkdir(parents=True)
    write_toy_snips(tmp_path / "corpora")
    texts = [row["text"] for row in toy_rows(90, 5)]
    rows = [f"{text}\t{texts[-n]}\t{n % 7 / 2}" for n, text in enumerate(texts)]
    lines = "\n".join(["text\tpair\tlabel", *rows])
    (tmp_path / "corpora" / "near" / "train.tsv").write_text(lines + "\n", "utf-8")
    (tmp_path / "texts.txt").write_text("".join(f"{text} again\n" for text in texts), "utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def planned(corpora, monkeypatch):
    """The settings of all trainings, which end before the first step."""
    found, of_task = [], inspect.signature(load_task).parameters

    def plan(data, output, *, recipe=None, **options):
        of_data = {name: options.pop(name) for name in [*options] if name in of_task}
        task = load_task(data, **of_data)
        found.append(make_plan(task, Path(output), None, recipe, options).settings)
        raise BeexError("planned")

    monkeypatch.setattr(training, "train", plan)
    return found


def without_effect(settings):
    """Settings without a field that a run from random weights does not read."""
    own = dict(settings["training"])
    if "init" not in settings:
        del own["binarization_fraction"]
    return {**settings, "training": own}


@pytest.mark.parametrize(
    "options",
    [
        "snips --preset micro --bits fully-binary --set use_subwords=false --set label_smoothing=0",
        "snips --preset tiny --set embedding_bits=32 --set vocabulary_size=60 --set dropout=0.1 "
        "--set gate_activation=sigmoid --learning-rate 0.002 --policy entropy --seed 3",
        "snips --preset minilm --bits float --max-length 64 --tolerance 0 --set matmul_dtype=bfloat16",
        "near --pair-column pair --preset micro --set both_orders=true",
        "near --pair-column pair --preset micro --set clip=false --policy fixed_depth",
        f"snips --init minilm --bits float {' '.join(OF_ENCODER)} --set init_layers=[0,2,1]",
        f"snips --init binary-minilm {' '.join(OF_ENCODER)}",
        "snips --init sst2-micro --bits fully-binary",
        "snips --teacher sst2-micro --unlabelled texts.txt",
        "snips --teacher sst2-micro --init none --preset tiny --set num_blocks=2",
        "snips --teacher sst2-micro --preset micro --recipe distill --set token_replacement_rate=0",
    ],
)
def test_the_command_of_a_run_has_the_settings_of_the_run(options, planned, tool):
    data, *words = options.split()
    beex("train", f"corpora/{data}", *words, "-o", "original", code=2)
    (original,) = planned
    found = tool("command").training_command(
        original,
        "again",
        str(original["training"]["seed"]),
        packaged={warm_start("sst2-micro").identity["weights"]: "sst2-micro"},
        unlabelled=dict.fromkeys(original.get("unlabelled", ()), "texts.txt"),
    )
    program, *words = shlex.split(found)
    assert program == "beex"
    beex(*words, code=2)
    assert without_effect(planned[1]) == without_effect(original)


def settings_of(folder):
    return json.loads(Path(folder, "run.json").read_text("utf-8"))


@pytest.mark.slow
def test_the_commands_of_a_taught_run_train_its_teacher_and_the_run_again(corpora, tool):
    first = ["--init=minilm", "--bits=float", *OF_ENCODER, "--epochs=1"]
    beex("train", "corpora/snips", *first, "-o", "real")
    second = ["--init=real", "--teacher=real", "--unlabelled=texts.txt", "--epochs=1", "--seed=3"]
    beex("train", "corpora/snips", *second, "-o", "original")
    original, weights = settings_of("original"), warm_start("real").identity["weights"]
    found = tool("command").training_command(
        original,
        "again",
        "3",
        earlier={weights: settings_of("real")},
        unlabelled={original["unlabelled"][0]: "texts.txt"},
        shared=[weights],
    )
    for line in found.split("\n  "):
        beex(*shlex.split(line)[1:])
    # The hashes of the weights of its start and its teacher are among the settings.
    assert settings_of("runs/again-3") == original
    for name in ("results.json", "history.json"):
        assert Path("runs/again-3", name).read_text() == Path("original", name).read_text()


def settings(weight_bits=1, **sources):
    """The run.json of a training with the size of MiniLM."""
    return {
        "task": "rotten_tomatoes",
        "model": BEExformerConfig.preset("minilm", weight_bits=weight_bits).to_dict(),
        "training": TrainingConfig(seed=5, policy="confidence").hyperparameters(),
        **{role: {"kind": "classifier", "weights": name} for role, name in sources.items()},
    }


ENCODER = {"kind": "encoder", "name": "minilm", "layers": None}


def sources_of(command):
    """The part of each command that names its data and its models."""
    words = [shlex.split(line) for line in command.split("\n  ")]
    named = ("--init", "--teacher", "--seed", "-o")
    return [
        [each[2], *(value for name, value in pairwise(each) if name in named)] for each in words
    ]


def test_a_command_stands_after_those_that_it_needs_and_each_stands_once(tool):
    real = {**settings(32), "init": ENCODER}
    taught = {**settings(teacher="real"), "init": ENCODER}
    last = settings(init="taught", teacher="real")
    earlier = {"real": real, "taught": taught}
    found = tool("command").training_command(last, "m", "7", earlier)
    first, second = "runs/m-init-teacher-7", "runs/m-init-7"
    assert sources_of(found) == [
        ["rotten_tomatoes", "minilm", "7", first],
        ["rotten_tomatoes", "minilm", first, "7", second],
        ["rotten_tomatoes", second, first, "7", "runs/m-7"],
    ]


def test_a_run_that_all_seeds_share_keeps_its_seed_and_its_file(tool):
    real = {**settings(32), "task": "files", "init": ENCODER}
    found = tool("command").training_command(
        settings(init="real", teacher="shipped"),
        "m",
        earlier={"real": real},
        packaged={"shipped": "sst2-minilm"},
        shared=["real"],
        before="ends.csv",
    )
    assert sources_of(found) == [
        ["ends.csv", "minilm", "5", "runs/m-init-5"],
        ["rotten_tomatoes", "runs/m-init-5", "sst2-minilm", "$seed", "runs/m-$seed"],
    ]


def test_a_command_needs_the_runs_and_texts_that_a_run_learned_from(tool):
    command = tool("command").training_command
    with pytest.raises(BeexError, match="teacher of m is missing"):
        command(settings(teacher="real"), "m")
    with pytest.raises(BeexError, match="m learned from texts without a label"):
        command({**settings(), "unlabelled": ["0"]}, "m")
