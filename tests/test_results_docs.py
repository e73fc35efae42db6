"""Generated pages are what the recorded results say."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import peers_page
import results
from beex_keras import exits
from beex_keras.evaluation.accounting import relative_costs
from beex_keras.models import BEExformerConfig
from beex_keras.training import TrainingConfig
from mcu import page as mcu_page
from suite.collect import policy_figures
from suite.description import load_suite
from suite.trial import Trial, read_logits

DOCS = Path(__file__).parent.parent / "docs"


def page(name):
    return (DOCS / f"{name}.md").read_text("utf-8")


def recorded(name):
    return json.loads(results.read(f"{name}.json"))


def template(name):
    return results.read(f"{name}.template.md")


def test_every_number_is_generated():
    text = results.page(recorded("results"), recorded("published"), template("results"))
    assert text == page("results")


WARM = [name for name in results.PAGES.values() if name != "results"]


@pytest.mark.parametrize("name", WARM)
def test_every_number_of_warm_starts_is_generated(name):
    text = results.warm_page(recorded(name), recorded("results"), template(name))
    assert text == page(name)
    of_trec = name in ("few_labels_results", "gate_results")
    assert ("| weights-only from scratch | 82.1 ± 1.0 |" in text) == of_trec


def test_every_number_of_microcontrollers_is_generated():
    text = mcu_page.page(recorded("microcontrollers"), template("microcontrollers"))
    assert text == page("microcontrollers")


def test_every_number_of_peers_is_generated():
    assert peers_page.page(recorded("peers"), template("peers")) == page("peers")


def test_figures_are_there():
    pages = ("results", "microcontrollers", "peers")
    for path in re.findall(r"!\[.*?\]\((.*?)\)", "".join(map(page, pages))):
        assert (DOCS / path).read_bytes().startswith(b"\x89PNG"), path


@pytest.mark.parametrize("name", results.PAGES.values())
def test_results_hold_no_text_of_the_data_sets(name):
    """Only figures may be published: the longest strings are the notes on splits."""
    found = recorded(name)
    notes = [task["splits"] for task in found["tasks"].values()]

    def strings(value):
        if isinstance(value, dict):
            for key, part in value.items():
                yield from (key, *strings(part))
        elif isinstance(value, list):
            for part in value:
                yield from strings(part)
        elif isinstance(value, str):
            yield value

    allowed = {*notes, found["about"], *found["skipped"].values()}
    allowed |= {failure["reason"] for failure in found["failed"]}
    assert all(len(text) <= 60 or text in allowed for text in strings(found))


@pytest.mark.parametrize(("suite", "file"), results.PAGES.items())
def test_every_recorded_training_is_one_of_its_suite(suite, file):
    """None is left of a command or a variant that is gone."""
    described = load_suite(suite)
    tasks = {name: SimpleNamespace(fingerprint=str) for name in described.tasks}
    trials = {(t.task, t.variant, t.seed) for t in described.trials(tasks)}
    found = recorded(file)
    rows = [*found["trials"], *found["missing"], *found["failed"]]
    assert {(row["task"], row["variant"], row["seed"]) for row in rows} <= trials
    assert {v for table in found["tables"].values() for v in table["variants"]} <= {
        variant for _, variant, _ in trials
    }


TRIALS = sorted((results.RECORDED / "trials").iterdir())


@pytest.mark.parametrize("folder", TRIALS, ids=lambda folder: folder.name)
def test_recorded_logits_give_the_recorded_exit(folder):
    """By today's rule: after a change of calibration the rows are those of no command."""
    spec = json.loads((folder / "result.json").read_text("utf-8"))
    (row,) = (
        trial
        for name in WARM
        for trial in recorded(name)["trials"]
        if all(trial[key] == spec[key] for key in ("task", "variant", "seed"))
    )
    policy = exits.get(spec["training"]["policy"])
    known = row["policies"][policy.name]
    costs = relative_costs(BEExformerConfig.from_dict(spec["trained"]))
    training = TrainingConfig(**spec["training"])
    found = policy_figures(
        policy, read_logits(folder), costs, training, list(row["exits"]), "curve" in known
    )
    assert row["code"] == spec["code"]
    assert found["policy"].pop(policy.parameter) == pytest.approx(
        known["policy"].pop(policy.parameter), rel=1e-5
    )
    assert found == known


@pytest.mark.parametrize("folder", TRIALS, ids=lambda folder: folder.name)
def test_recorded_trainings_keep_their_identity(folder):
    """Renaming a field of a configuration changes no identity."""
    spec = json.loads((folder / "result.json").read_text("utf-8"))
    trial = Trial(
        *(spec[name] for name in ("task", "variant", "seed")),
        BEExformerConfig.from_dict(spec["model"]),
        TrainingConfig(**spec["training"]),
        spec["data"],
        arguments=spec["arguments"],
    )
    names = ("task", "variant", "seed")
    rows = [trial for name in WARM for trial in recorded(name)["trials"]]
    (row,) = (row for row in rows if all(row[name] == spec[name] for name in names))
    assert trial.settings == row["settings"]


def test_small_trainings_by_default_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RECORDED", tmp_path / "recorded")

    def trial(name, variant, size=10, done=True):
        folder = tmp_path / "run/trials" / name
        folder.mkdir(parents=True)
        spec = {"task": "glue/rte", "variant": variant, "seed": len(name)}
        (folder / "logits.npz").write_bytes(bytes(size))
        if done:
            (folder / "result.json").write_text(json.dumps(spec))

    trial("a", "weights-only, by default")
    trial("bb", "float32 twin")
    trial("ccc", "weights-only, by default", size=10**6)
    trial("dddd", "weights-only, by default", done=False)
    results.keep_logits(tmp_path / "run")
    (kept,) = (tmp_path / "recorded/trials").iterdir()
    assert kept.name == "glue-rte-1"
    assert (kept / "logits.npz").read_bytes() == bytes(10)
    assert {file.name for file in kept.iterdir()} == {"logits.npz", "result.json"}
