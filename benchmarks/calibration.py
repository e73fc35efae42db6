"""How well calibrated exits hold on texts that calibration has not seen.

    python benchmarks/calibration.py [RUN...]

RUN is the folder of a suite (`make benchmark OUTPUT=RUN`), whose trainings keep the logits of all exits; without
one, those of small trainings that are recorded here. The validation and test texts of each training are put
together, and divided anew at random into some for calibration and the others. The policy `confidence` is calibrated
on the first, and measured on the others, by the mean over draws, then over the trainings of a task, then over tasks.
"each text alone" is the same rule without a fit over all texts: a text loses what it loses there. Regressions are
left out, and so are twins, of which the last exit alone learns.
"""

import itertools
from collections import defaultdict
from pathlib import Path
from unittest import mock

import click
import numpy as np
from rich.progress import track

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.evaluation import calibrate, calibration, evaluate
from measure import SEED, json_option, show
from suite.trial import DONE, read_logits, read_result, state

_POINT = 0.01
_ESTIMATES = {
    "all texts": calibration.expected_loss,
    "each text alone": lambda logits, answers, worth: worth[:, -1:] - worth,
}
_RECORDED = Path(__file__).parent / "recorded"


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--draws", default=20, show_default=True)
@click.option("--tolerance", multiple=True, default=(0.001, 0.003, 0.005, 0.01), show_default=True)
@click.option(
    "--texts",
    multiple=True,
    type=click.IntRange(1),
    help="For calibration; as many as each had if left out.",
)
@click.option("--margin", default=1.0, show_default=True)
@json_option
def main(
    runs: tuple[Path, ...],
    draws: int,
    tolerance: tuple[float, ...],
    texts: tuple[int, ...],
    margin: float,
    as_json: bool,
) -> None:
    """Draw validation and test texts anew, and measure what calibrated exits cost and save."""
    found: dict[tuple[str, int | None, float], dict[str, list[list[float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    runs = runs or (_RECORDED,)
    trials = [folder for run in runs for folder in sorted(run.glob("trials/*")) if _is_used(folder)]
    if not trials:
        raise BeexError(f"No training of classes with several exits is done in {runs[0]}.")
    for folder in trials if as_json else track(trials, "Trainings"):
        task = read_result(folder)["task"]
        parts = read_logits(folder)
        logits = np.concatenate([parts["validation"], parts["test"]])
        labels = np.concatenate([parts["validation_labels"], parts["test_labels"]])
        if len(labels) <= max(texts, default=0):
            raise BeexError(
                f"{folder} has {len(labels):,} texts; give a smaller number to --texts."
            )
        random = np.random.default_rng(SEED)
        for _ in range(draws):
            order = random.permutation(len(labels))
            for count in texts or (None,):
                first = count or len(parts["validation"])
                seen, unseen = ((logits[part], labels[part]) for part in np.split(order, [first]))
                for allowed, kind in itertools.product(tolerance, _ESTIMATES):
                    figures = _measure(kind, seen, unseen, allowed, margin)
                    found[kind, count, allowed][task].append(figures)
    rows = [
        {
            "loss from": kind,
            **({"texts": count} if texts else {}),
            "tolerance, points": 100 * allowed,
            **_means(by_task),
        }
        for (kind, count, allowed), by_task in found.items()
    ]
    about = f"{len(trials)} trainings, {draws} draws each, margin {margin:g}"
    show(rows, about, as_json, draws=draws, tasks=len(next(iter(found.values()))))


def _is_used(folder: Path) -> bool:
    if state(folder) != DONE:
        return False
    trial = read_result(folder)
    return "twin" not in trial["variant"] and read_logits(folder)["test"].shape[2] > 1


def _measure(
    kind: str,
    seen: tuple[np.ndarray, np.ndarray],
    unseen: tuple[np.ndarray, np.ndarray],
    tolerance: float,
    margin: float,
) -> list[float]:
    """Accuracy lost on the unseen texts, and the share of the blocks that is saved there."""
    with mock.patch.object(calibration, "expected_loss", _ESTIMATES[kind]):
        chosen = calibrate(exits.Confidence(), *seen, tolerance=tolerance, margin=margin).policy
    figures = evaluate(*unseen, chosen)
    return [figures.exit_scores[-1] - figures.score, figures.flops_saved]


def _means(by_task: dict[str, list[list[float]]]) -> dict[str, float]:
    costs = [np.array(values)[:, 0] for values in by_task.values()]
    return {
        "points lost": 100 * float(np.mean([cost.mean() for cost in costs])),
        "on the worst task": 100 * float(max(cost.mean() for cost in costs)),
        "draws that lose more than 1 point": float(
            np.mean([(cost > _POINT).mean() for cost in costs])
        ),
        "blocks saved": float(np.mean([np.mean(v, axis=0)[1] for v in by_task.values()])),
    }


if __name__ == "__main__":
    main()
