"""The command of a card: it trains what the run was, and stands behind those that the run needs."""

import pytest
from commands import exit_code as beex
from toy import write_toy_snips

from beex_keras import BeexError, BEExformerConfig
from beex_keras.training import TrainingConfig


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_snips(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    "options",
    [
        ["--preset", "micro", "--bits", "fully-binary", "--epochs", "3", "--set", "pieces=false"],
        [
            *("--preset", "tiny", "--set", "embedding_bits=32", "--set", "vocabulary_size=500"),
            *("--set", "dropout=0.1", "--set", "gate_activation=sigmoid", "--seed", "1"),
            *("--learning-rate", "0.002"),
        ],
        ["--preset", "minilm", "--bits", "float", "--max-length", "64", "--tolerance", "0"],
    ],
)
def test_the_command_of_a_run_sets_what_the_run_had(options, data, monkeypatch, tool):
    found = []

    def record(self):
        found.append(
            {
                "task": self.task.name,
                "data": "",
                "model": self.model_config.to_dict(),
                "training": self.config.to_dict(),
            }
        )
        raise BeexError("recorded")

    monkeypatch.setattr("beex_keras.training.trainer.Trainer.run", record)
    assert beex("train", "snips", "--data-dir", data, *options, "-o", "none") == 2
    seed = str(found[0]["training"]["seed"])
    command = tool("command").training_command(found[0], "model", seed).split()
    assert command[0] == "beex" and command[-1] == f"runs/model-{seed}"
    assert beex(*(str(data) if word == "DATA" else word for word in command[1:])) == 2
    assert found[0] == found[1]


def test_the_command_of_a_warm_run_stands_behind_those_it_needs(tool):
    encoder = {"kind": "encoder", "name": "minilm", "layers": [0, 2]}
    model = BEExformerConfig.preset("minilm", num_blocks=2)
    real = {
        "task": "rotten_tomatoes",
        "data": "",
        "model": model.twin().to_dict(),
        "init": encoder,
        "training": TrainingConfig.warm(False, epochs=1, hidden_weight=9.0, anneal=0.5).to_dict(),
    }
    taught = {
        **real,
        "model": model.to_dict(),
        "training": TrainingConfig.warm(True).to_dict(),
        "teacher": {"kind": "classifier", "weights": "a"},
    }
    last = {
        **taught,
        "init": {"kind": "classifier", "weights": "b"},
        "model": model.replace(activation_bits=1).to_dict(),
        "training": TrainingConfig.warm(True, anneal=0.25).to_dict(),
    }
    command = tool("command").training_command
    head = "beex train rotten_tomatoes --preset minilm --bits"
    assert command(last, "m", "7", {"a": real, "b": taught}).split("\n  ") == [
        f"{head} float --set num_blocks=2 --epochs 1 --set batch_size=64 --init minilm --set 'init_layers=[0,2]' "
        "--seed 7 -o runs/m-init-teacher-7",
        f"{head} weights-only --set num_blocks=2 --epochs 2 --set batch_size=64 --set head_rate=2.0 "
        "--init minilm --set 'init_layers=[0,2]' --teacher runs/m-init-teacher-7 --seed 7 -o runs/m-init-7",
        f"{head} fully-binary --set num_blocks=2 --epochs 2 --set batch_size=64 --set anneal=0.25 --init runs/m-init-7 "
        "--teacher runs/m-init-teacher-7 --seed 7 -o runs/m-7",
    ]
    with pytest.raises(BeexError, match="teacher of m is missing"):
        command(taught, "m")
    # A packaged model needs no command, a twin has none of its own, and texts without a label are a file.
    more = {**taught, "init": encoder, "unlabelled": ["0", "1"]}
    files = {"1": "b.txt", "0": "more.txt", "2": "c.txt"}
    found = command(more, "m", "7", packaged={"a": "sst2-minilm"}, unlabelled=files)
    assert (
        "--teacher sst2-minilm --unlabelled more.txt --unlabelled b.txt --seed 7 -o runs/m-7"
        in found
    )
    # Two stages with texts of their own, the first from a packaged model.
    packaged = {"kind": "classifier", "weights": "p"}
    first = {**last, "init": packaged, "teacher": packaged, "unlabelled": ["1"]}
    second = {
        **first,
        "init": {"kind": "classifier", "weights": "f"},
        "training": TrainingConfig(learning_rate=5e-4).to_dict(),
        "unlabelled": ["0", "2"],
    }
    words = {"packaged": {"p": "sst2-minilm"}, "unlabelled": files, "shared": ["f"]}
    assert command(second, "m", "7", {"f": first}, **words).split("\n  ") == [
        f"{head} fully-binary --set num_blocks=2 --epochs 2 --set batch_size=64 --set anneal=0.25 --init sst2-minilm "
        "--teacher sst2-minilm --unlabelled b.txt --seed 0 -o runs/m-init-0",
        f"{head} fully-binary --set num_blocks=2 --epochs 6 --set batch_size=64 --learning-rate 0.0005 "
        "--init runs/m-init-0 --teacher sst2-minilm --unlabelled more.txt --unlabelled c.txt --seed 7 -o runs/m-7",
    ]
    by_twin = command({**taught, "teacher": {"kind": "twin"}}, "m", "7")
    assert "--teacher twin --seed 7" in by_twin and "--set dropout=0.1" in by_twin
    assert "--set soft_targets=0.0 --set replaced_tokens=0.0" in by_twin
    binary = {**encoder, "name": "binary-minilm", "layers": None, "weights": "c"}
    by_twin = command({**taught, "init": binary, "teacher": {"kind": "twin"}}, "m", "7")
    assert "--init binary-minilm --teacher twin --seed 7" in by_twin
    of_minilm = {**encoder, "layers": None}
    by_twin = command(
        {**taught, "init": binary, "teacher": {"kind": "twin", "init": of_minilm}}, "m", "7"
    )
    assert "--init minilm --teacher twin --seed 7" in by_twin
    for epochs, told in ((2, True), (6, False)):
        twin = {"kind": "twin", "epochs": epochs, "init": of_minilm}
        by_twin = command({**taught, "init": binary, "teacher": twin}, "m", "7")
        assert ("--epochs 2" in by_twin) == told
    alone = {name: value for name, value in taught.items() if name != "teacher"}
    by_default = {
        **alone,
        "init": binary,
        "training": TrainingConfig.warm(True, head_rate=10.0).to_dict(),
    }
    assert "--init binary-minilm --teacher none --seed 7" in command(by_default, "m", "7")
    assert "head_rate=10.0" in command(by_default, "m", "7")
    assert "--teacher none --seed 7" in command(alone, "m", "7")
    with pytest.raises(BeexError, match="m learned from texts without a label"):
        command(more, "m", packaged={"a": "sst2-minilm"})
    # The first of them may have been trained on a file, which no folder of data has.
    first, *_ = command(
        taught, "m", "7", {"a": {**real, "task": "files"}}, before="ends.csv"
    ).split("\n  ")
    assert first.startswith("beex train ends.csv --preset minilm --bits float --set num_blocks=2 ")
