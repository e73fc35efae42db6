"""Generated pages are what the recorded results say."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import mcu_page
import peers_page
import results
from suite.description import load_suite

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
