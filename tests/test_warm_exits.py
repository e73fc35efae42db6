"""benchmarks/warm_exits.py, and the table of docs/findings.md that it gives."""

import json
from pathlib import Path

import pytest

import results
import warm_exits

FINDINGS = (Path(__file__).parent.parent / "docs" / "findings.md").read_text("utf-8")


def test_the_table_of_findings_is_what_the_records_say():
    for row in warm_exits.means(warm_exits.models()):
        group, models, lost, most, saved, *papers = row.values()
        cells = [group, models, f"{lost:.2f}", f"{most:.2f}", f"{100 * saved:.0f} %"]
        cells += [f"{papers[0]:.2f}", f"{100 * papers[1]:.0f} %"] if papers else ["–", "–"]
        assert f"| {' | '.join(map(str, cells))} |" in FINDINGS


def test_a_model_has_the_mean_of_its_trainings():
    trials = json.loads(results.read("pairs_results.json"))["trials"]
    seeds = [
        t
        for t in trials
        if (t["task"], t["variant"]) == ("sick", "weights-only, taught by the twin")
    ]
    lost = [t["exits"]["accuracy"][-1] - t["policies"]["confidence"]["accuracy"] for t in seeds]
    (row,) = (row for row in warm_exits.models() if row["task"] == "sick")
    assert row["points lost"] == pytest.approx(100 * sum(lost) / len(seeds))
    assert row["group"] == "taught by the twin"


def test_every_recommended_model_is_found(capsys):
    warm_exits.main(["--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    models = found["setting"]["models"]
    assert {row["model"] for row in models} > warm_exits.GROUPS.keys()
    assert found["rows"][-1]["models"] == len(models)
