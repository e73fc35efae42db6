"""Toys under the names that documentation uses, so that what it shows runs in seconds."""

import csv
import dataclasses
import inspect
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import small_encoder
from toy import TOY_SIZE, toy_rows, write_toy_files

import beex_keras as beex
from beex_keras import TrainingConfig, training
from beex_keras.data import loading
from beex_keras.evaluation import plots
from beex_keras.export import files
from beex_keras.models.config import PRESETS
from beex_keras.training.warm_starts import PACKAGED_STARTS

SMALL = {"width": 24, "num_heads": 6, "hidden_width": 40, "num_blocks": 2, "max_length": 64}
ENCODER = small_encoder.MINILM_PACKAGE


@pytest.fixture(scope="session")
def toys(tmp_path_factory) -> Path:
    """A folder with the files that commands read, and a package that carries the encoder minilm."""
    folder = tmp_path_factory.mktemp("toys")
    rows = toy_rows(120, 0)
    texts = [row["text"] for row in rows]
    tables = {
        "reviews": ("review", "stars"),
        "new": ("review", "stars"),
        "labelled": ("text", "label"),
        "film_endings": ("text", "label"),
    }
    for name, columns in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, *(row.values() for row in rows)])
    of_cola = {"negative": "unacceptable", "positive": "acceptable"}
    for name in ("corrupted", "corrupted_all"):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            labelled = [(row["text"], of_cola[row["label"]]) for row in rows]
            csv.writer(file).writerows([("text", "label"), *labelled])
    for name in ("texts", "reviews.txt", "texts.txt"):
        (folder / name).write_text("\n".join(texts) + "\n")
    of_cards = {
        texts["file"]
        for name in beex.pretrained.names()
        for texts in beex.pretrained.card(name).get("unlabelled") or ()
    }
    for name in ("more.txt", "film_sentences.txt", "cola_errors.txt", *of_cards):
        (folder / name).write_text("".join(f"{text} again\n" for text in texts))
    (folder / "more.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    for name in ("DATA", "GLUE"):
        _write_tasks(folder / name, texts)
    vocabulary = beex.text.learn_vocabulary(texts, 80)
    config = beex.BEExformerConfig(
        **{**TOY_SIZE, "max_length": 64, "vocabulary_size": len(vocabulary)}
    )
    model = beex.BEExformerClassifier(config, beex.TextPreprocessor(vocabulary, config.max_length))
    model.save_pretrained(folder / "toy" / "model")
    beex.export.convert(model, folder / "model.tflite")
    shutil.copy(beex.pretrained.find("sst2-micro"), folder / "model.beex")
    (folder / "beex_keras").symlink_to(Path(beex.__file__).parent)  # commands for a checkout
    (folder / "packages" / ENCODER).mkdir(parents=True)
    # A regular package, so that it comes before an installed one.
    (folder / "packages" / ENCODER / "__init__.py").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_encoder, "POSITIONS", 64)
        small_encoder.write_encoder(folder / "packages" / ENCODER / "model")
    small_encoder.write_binary(folder / "binary.beex", **SMALL)
    return folder


def _write_tasks(folder: Path, texts: list[str]) -> None:
    """Toys in the layout of a GLUE download, and of the JSON lines of sick, snips, clinc and trec."""
    columns = {
        "SST-2": ("sentence\tlabel\n", lambda n: f"{texts[n]}\t{n % 2}\n"),
        "CoLA": ("", lambda n: f"toy\t{n % 2}\t\t{texts[n]}\n"),
        "RTE": (
            "index\tsentence1\tsentence2\tlabel\n",
            lambda n: f"{n}\t{texts[n]}\t{texts[-n]}\t{('entailment', 'not_entailment')[n % 2]}\n",
        ),
    }
    for name, (header, row) in columns.items():
        (folder / name).mkdir(parents=True)
        for file, numbers in (("train", range(60)), ("dev", range(60, 80))):
            lines = header + "".join(map(row, numbers))
            (folder / name / f"{file}.tsv").write_text(lines)
    for name in ("sick", "snips", "clinc", "trec"):
        (folder / name).mkdir()
        rows = [
            {"text": t, "text2": texts[-n], "label": ("description", "entity", "human")[n % 3]}
            for n, t in enumerate(texts)
        ]
        if name != "sick":
            rows = [{"text": row["text"], "label": row["label"]} for row in rows]
        lines = "".join(json.dumps(row) + "\n" for row in rows[:90])
        for split in ("train", "validation", "test") if name == "clinc" else ("train",):
            (folder / name / f"{split}.jsonl").write_text(lines)


@pytest.fixture
def small(toys, tmp_path, monkeypatch, eager):
    """A folder to be in, where whatever has a name is a toy."""
    shutil.copytree(toys, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(toys / "packages")
    task = beex.load_task(**write_toy_files(tmp_path, 60, 30))
    task = dataclasses.replace(task, name="rotten_tomatoes")
    monkeypatch.setattr(loading, "load_rotten_tomatoes", lambda: task)
    for name in PACKAGED_STARTS:
        monkeypatch.setitem(PACKAGED_STARTS, name, toys / "binary.beex")
    # They take long, and have tests of their own.
    monkeypatch.setattr(plots, "save_run_figures", lambda run: None)
    return tmp_path


@pytest.fixture
def small_presets(small, monkeypatch):
    for name, preset in PRESETS.items():
        monkeypatch.setitem(PRESETS, name, {**preset, **SMALL})


@pytest.fixture
def one_epoch(small, monkeypatch):
    """Trainings end after an epoch."""
    fit = training.Distiller.fit

    def short(self, *arguments, **options):
        return fit(self, *arguments, **{**options, "epochs": 1})

    monkeypatch.setattr(training.Distiller, "fit", short)


@pytest.fixture
def no_conversions(toys, monkeypatch):
    """Any trained classifier converts to the same .tflite file."""
    data, to_tflite = (toys / "model.tflite").read_bytes(), files.to_tflite

    def convert(model, *arguments, **options):
        is_trained = isinstance(model, beex.BEExformerClassifier)
        return data if is_trained else to_tflite(model, *arguments, **options)

    monkeypatch.setattr(files, "to_tflite", convert)


@pytest.fixture
def no_epochs(small, no_steps, no_conversions):
    """Trainings do all but their epochs, and conversions are those of `no_conversions`."""


@pytest.fixture
def no_trainings(small, toys, monkeypatch):
    """Commands that train read their settings and data, and leave a model that others can read.

    What a training starts from or learns from has to come along, or from a command before it.
    """
    done, of_task = {}, inspect.signature(beex.load_task).parameters

    def run(
        data,
        output,
        *,
        init=None,
        teacher=None,
        unlabelled=(),
        validation=None,
        test=None,
        **settings,
    ):
        of_data = {name: settings.pop(name) for name in [*settings] if name in of_task}
        recipe = settings.pop("recipe", "scratch")
        TrainingConfig.from_recipe(recipe, 1, **settings)  # finds settings that do not exist
        task = beex.load_task(data, validation, test, **of_data)
        for file in unlabelled:
            assert Path(file).read_text("utf-8").strip()
        for source in filter(None, (init, teacher)):
            known = {"minilm", "none", *PACKAGED_STARTS, *beex.pretrained.names(), *done}
            is_model = source.endswith(".beex") and Path(source).stat().st_size
            assert source in known or is_model, f"where is {source} from?"
        # The same command on a finished run only reads it.
        described = [data, init, teacher, settings]
        assert done.setdefault(output, described) == described, f"another run is in {output}"
        shutil.copytree(toys / "toy", output, dirs_exist_ok=True)
        for file in Path(output).rglob("config.json"):
            config = json.loads(file.read_text("utf-8"))
            if len(config["labels"]) == len(task.labels):
                file.write_text(json.dumps({**config, "labels": task.labels}), "utf-8")
        figures = SimpleNamespace(to_dict=dict, rows=lambda: [{"score": None}])
        return SimpleNamespace(calibration=figures, evaluation=figures)

    monkeypatch.setattr(training, "train", run)
