"""From stored exit logits to figures: every policy, every exit, no training."""

import functools
import hashlib
import inspect
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import baselines
from baselines import Baseline, frozen, linear
from beex_keras import exits
from beex_keras.data import Task
from beex_keras.errors import BeexError
from beex_keras.evaluation import calibrate, evaluate, score
from beex_keras.evaluation.accounting import Counts, count, relative_costs, total
from beex_keras.evaluation.calibration import Calibration
from beex_keras.evaluation.scores import answers
from beex_keras.exits import ExitPolicy
from beex_keras.export import to_tflite
from beex_keras.files import read_text, write_atomically
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.tasks import TargetScaler
from beex_keras.training import TrainingConfig
from beex_keras.training.run_folder import RESULTS, SETTINGS, read_results
from suite.description import Suite
from suite.recipe_version import library_versions
from suite.trial import (
    DONE,
    FAILED,
    FAILURE_FILE,
    RUN_FOLDER,
    Trial,
    read_logits,
    read_result,
    state,
)

POLICIES: dict[str, ExitPolicy] = {
    **{
        name: exits.get(name)
        for name, kind in exits.POLICIES.items()
        if "classification" in kind.problem_types
    },
    "fractional_entropy, above": exits.FractionalEntropy(direction="above"),
}
"""All exit policies of classes, and the opposite direction of the paper's; calibrated for each trial."""

NUMBER_POLICIES = {
    name: exits.get(name)
    for name, kind in exits.POLICIES.items()
    if "regression" in kind.problem_types
}
"""Those of a regression."""

PAPERS_POLICY = "fractional_entropy"

_CURVE_POINTS = 12
_DIGITS = 6


def collect(
    suite: Suite,
    trials: list[Trial],
    tasks: Mapping[str, Task],
    skipped: Mapping[str, str],
    directory: Path,
    progress: Callable[[Iterable[Any], str], Iterable[Any]] = lambda items, title: items,
) -> dict[str, Any]:
    """All figures of a suite as far as its trials are done, for JSON.

    Args:
        suite: what was to be measured.
        trials: its trainings.
        tasks: those that could be loaded.
        skipped: why others could not, by name.
        directory: of the trials.
        progress: wraps an iterable with a display of how far it is.

    Returns:
        `suite` and `about`; `code`, how many trainings are by which version; `versions` of the
        libraries; `tasks` (sizes, splits, baselines); `tables` (which tasks and variants each
        shows); `trials` (figures of each training); `files` (bytes of the exported files of the
        first table's variants); `missing` and `failed` trials and `skipped` tasks, with reasons.
    """
    tables = _tables(suite)
    main = next(iter(tables.values()))
    figures: list[dict[str, Any]] = []
    missing, failed = [], []
    for trial in progress(trials, "Figures"):
        name = {"task": trial.task, "variant": trial.variant, "seed": trial.seed}
        name["settings"] = trial.settings
        folder = directory / trial.folder
        if state(folder) == DONE:
            metrics = suite.metrics(tasks[trial.task], trial.task)
            curves = trial.variant in main["variants"]
            scale = tasks[trial.task].value_scale
            figures.append({**name, **trial_figures(trial, folder, metrics, curves, scale)})
        elif state(folder) == FAILED:
            reason = read_text(folder / FAILURE_FILE, "failure").strip().splitlines()[-1]
            failed.append({**name, "reason": reason.replace(f"{directory}{os.sep}", "")})
        else:
            missing.append(name)
    return {
        "suite": suite.name,
        "about": suite.about,
        "code": dict(Counter(found["code"] for found in figures)),
        "versions": library_versions(),
        "tasks": {
            name: _known_task_figures(
                directory, task, suite.metrics(task, name), suite.baselines(task, name)
            )
            for name, task in progress(tasks.items(), "Baselines")
        },
        "tables": tables,
        "trials": figures,
        "files": {
            variant: file_figures(suite.trial("", variant, 0, {}).model)
            for variant in progress(main["variants"], "Files")
        },
        "missing": missing,
        "failed": failed,
        "skipped": dict(skipped),
    }


def fill_gaps(results: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Results with the trainings that they lack and another benchmark of the same suite has.

    For machines without a common folder, and for a suite that grew. A training counts as the same by
    its task, variant, seed and settings, the texts included, whatever the version of the code; what
    both have is taken from `results`. What followed from the arguments of a call may have changed since:
    a training counts only if its recipe is that of the other seeds in `results`.

    Raises:
        BeexError: the results are of different suites.
    """
    if results["suite"] != other["suite"]:
        raise BeexError(
            f"Results of the suites {results['suite']} and {other['suite']} cannot be joined; "
            "choose two of the same suite."
        )
    recipes = {(its["task"], its["variant"]): its.get("recipe") for its in results["trials"]}
    known = {
        _training(its): its
        for its in other["trials"]
        if its.get("recipe") == recipes.get((its["task"], its["variant"]), its.get("recipe"))
    }
    gaps = {_training(gap) for gap in (*results["missing"], *results["failed"])}
    trials = [*results["trials"], *(known[key] for key in known if key in gaps)]
    return {
        **results,
        "code": dict(Counter(figures["code"] for figures in trials)),
        "trials": trials,
        "missing": [gap for gap in results["missing"] if _training(gap) not in known],
        "failed": [gap for gap in results["failed"] if _training(gap) not in known],
    }


def left_behind(results: Mapping[str, Any], other: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Figures of `other` for trainings that `results` does not have, such as those of a variant that
    was renamed or whose settings have changed since."""
    trained = {_training(figures) for figures in results["trials"]}
    return [figures for figures in other["trials"] if _training(figures) not in trained]


def _training(figures: Mapping[str, Any]) -> tuple[str, str, int, str]:
    """What makes two trainings the same."""
    return figures["task"], figures["variant"], figures["seed"], figures["settings"]


def task_figures(task: Task, metrics: list[str], beside: Mapping[str, Baseline]) -> dict[str, Any]:
    """Size and origin of the splits, and what the baselines `beside` reach on the test split."""
    predictions = {name: predict(task) for name, predict in beside.items()}
    return {
        "metric": task.metric,
        "classes": len(task.labels),
        "texts": {part: len(getattr(task, part)) for part in ("train", "validation", "test")},
        "splits": task.notes,
        "baselines": {
            name: {m: _round(score(task.test.labels, predicted, m)) for m in metrics}
            for name, predicted in predictions.items()
        },
    }


def _known_task_figures(
    directory: Path,
    task: Task,
    metrics: list[str],
    beside: Mapping[str, Baseline],
) -> dict[str, Any]:
    """`task_figures`, kept in `directory`: the baselines of a large task take a while.

    They are computed anew when the code of the baselines has changed.
    """
    code = "".join(map(inspect.getsource, (baselines, linear, frozen)))
    file = directory / f"task-{task.fingerprint([task.notes, *metrics, *beside, code])}.json"
    if not file.exists():
        write_atomically(file, json.dumps(task_figures(task, metrics, beside)) + "\n")
    return json.loads(read_text(file, "baselines"))


def trial_figures(
    trial: Trial,
    folder: Path,
    metrics: list[str],
    curves: bool = True,
    value_scale: TargetScaler | None = None,
) -> dict[str, Any]:
    """Figures of one training: its exits, each policy calibrated on validation, its size.

    Args:
        trial: the training.
        folder: where its result is.
        metrics: the task's own, then others.
        curves: whether to follow each policy over all its thresholds.
        value_scale: of a regression, the task's.
    """
    result = read_result(folder)
    config = BEExformerConfig.from_dict(result["trained"])
    logits, costs = read_logits(folder), relative_costs(config)
    labels, predicted = logits["test_labels"], answers(logits["test"], value_scale)
    fit = NUMBER_POLICIES if config.problem_type == "regression" else POLICIES
    return {
        "exits": {m: [_round(score(labels, p, m)) for p in predicted.T] for m in metrics},
        "policies": {
            name: policy_figures(
                policy, logits, costs, trial.training, metrics, curves, value_scale
            )
            for name, policy in fit.items()
        },
        "overthinking": overthinking(predicted, labels),
        "account": size_figures(count(config)),
        **{name: result[name] for name in ("code", "seconds")},
        **({"recipe": _recipe(folder / RUN_FOLDER)} if trial.arguments else {}),
        **_conversion(folder / RUN_FOLDER),
    }


def _conversion(run: Path) -> dict[str, Any]:
    """What a weights-only model reaches as it is trained, and then as it is converted, to activations of 8 bits.

    Each figure is a pair of these two; nothing for other models.
    """
    its = read_results(run) if (run / RESULTS).exists() else {}
    if "w1a8" not in its:
        return {}
    both = [its["test"], its["w1a8"]["test"]]
    names = {"full": "full_depth_score", "exit": "score", "saved": "flops_saved"}
    return {"w1a8": {name: [_round(of[key]) for of in both] for name, key in names.items()}}


def _recipe(run: Path) -> str:
    """A hash of the model and the hyperparameters that the arguments of a call led to: 16 digits."""
    settings = json.loads(read_text(run / SETTINGS, "settings"))
    found = [settings["model"], {**settings["training"], "seed": 0}]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def policy_figures(
    policy: ExitPolicy,
    logits: Mapping[str, np.ndarray],
    costs: np.ndarray,
    training: TrainingConfig,
    metrics: list[str],
    curves: bool = True,
    value_scale: TargetScaler | None = None,
) -> dict[str, Any]:
    """What a policy reaches on the test split, with its threshold from the validation split.

    Returns:
        `policy`; `validation`, its accuracy there, as the calibration counts it; scores on the test
        split by metric; `mean_depth`, `exit_shares`, `flops_saved`, and `strict_…`, the same for a
        calibration that may lose nothing on validation; by `curves` also `curve`, pairs of cost and
        score on the test split for thresholds spread over the whole range.
    """
    test, labels = logits["test"], logits["test_labels"]
    seen = logits["validation"], logits["validation_labels"]
    found, strict = (
        calibrate(policy, *seen, costs, tolerance, training.margin, metrics[0], value_scale)
        for tolerance in (training.tolerance, 0.0)
    )
    scored = {m: evaluate(test, labels, found.policy, costs, m, value_scale) for m in metrics}
    without_loss = evaluate(test, labels, strict.policy, costs, metrics[0], value_scale)
    own = scored[metrics[0]]
    curve = {}
    if curves:
        curve = {"curve": _curve(found, test, labels, costs, metrics[0], value_scale)}
    return {
        "policy": exits.serialize(found.policy),
        "validation": _round(found.accuracy),
        **{m: _round(figures.score) for m, figures in scored.items()},
        "mean_depth": _round(own.mean_depth),
        "exit_shares": [_round(share) for share in own.exit_shares],
        "flops_saved": _round(own.flops_saved),
        "strict_score": _round(without_loss.score),
        "strict_flops_saved": _round(without_loss.flops_saved),
        **curve,
    }


def _curve(
    found: Calibration,
    test: np.ndarray,
    labels: np.ndarray,
    costs: np.ndarray,
    metric: str,
    value_scale: TargetScaler | None,
) -> list[list[float]]:
    """[cost, score] on the test split, at thresholds evenly spread over validation cost."""
    wanted = np.linspace(found.curve.cost[0], found.curve.cost[-1], _CURVE_POINTS)
    chosen = {int(np.abs(found.curve.cost - cost).argmin()) for cost in wanted}
    points = []
    for index in sorted(chosen):
        rule = found.policy.with_threshold(found.curve.thresholds[index].item())
        figures = evaluate(test, labels, rule, costs, metric, value_scale)
        points.append([_round(1 - figures.flops_saved), _round(figures.score)])
    return points


def overthinking(predicted: np.ndarray, labels: np.ndarray) -> dict[str, list[float]]:
    r"""Where depth hurts and where it helps: shares of all texts, for each exit but the last.

    Of a regression where the answer is nearer to the target, at one of both exits than at the other.

    Args:
        predicted: class numbers (B, N), or values.
        labels: (B,).

    Returns:
        `lost`: right at exit i and wrong at the last; `gained`: wrong at exit i and right at the
        last. Their difference is the accuracy gained by running on from exit i. Source: Kaya et
        al., ICML 2019.
    """
    # 0 where it is right.
    error = np.abs(predicted - labels[:, None])
    error = error if predicted.dtype.kind == "f" else error.clip(max=1)
    early, last = error[:, :-1], error[:, -1:]
    return {
        "lost": [_round(share) for share in (early < last).mean(axis=0)],
        "gained": [_round(share) for share in (early > last).mean(axis=0)],
    }


def size_figures(counted: Counts) -> dict[str, Any]:
    """Weights, bytes by kind and place, and operations of a text of the greatest length."""
    places = {"embedding": total(counted.embedding)}
    for place in ("block", "exit"):
        stages = [stage for stage in counted.stages() if stage.name.startswith(place)]
        places[f"{place}s"] = total(stages)
    whole = counted.total()
    weights = [f"{kind}_parameters" for kind in ("binary", "real")]
    macs = [f"{kind}_macs" for kind in ("binary", "mixed", "real")]
    return {
        "length": counted.length,
        **{name: getattr(whole, name) for name in (*weights, "bytes", "float32_bytes", *macs)},
        "full_depth_flops": counted.full_depth_flops(),
        "depth_flops": counted.depth_flops().tolist(),
        "bytes_by_place": {
            place: {"binary": count.binary_bytes, "real": 4 * count.real_parameters}
            for place, count in places.items()
        },
    }


@functools.cache
def file_figures(config: BEExformerConfig) -> dict[str, Any]:
    """Bytes of the exported file beside those of its float32 twin's, both without a vocabulary.

    Most variants of a suite share a configuration, and each is exported once. Not to be changed by
    the caller, since the next one is given the same dictionary.
    """
    twin = config.twin()
    sizes = {c: len(to_tflite(_with_random_weights(c))) for c in {config, twin}}
    return {
        "bytes": sizes[config],
        "float32_bytes": sizes[twin],
        "account": size_figures(count(config)),
    }


def _with_random_weights(config: BEExformerConfig) -> BEExformerClassifier:
    """A model as large as a trained one: a converter folds zeros and ones, and stores equal constants once."""
    model = BEExformerClassifier(config)
    generator = np.random.default_rng(0)
    model.set_weights([generator.normal(0, 0.1, w.shape) for w in model.get_weights()])
    return model


def _tables(suite: Suite) -> dict[str, dict[str, list[str]]]:
    """Of each table the tasks and variants that it shows, in order."""
    tables: dict[str, dict[str, list[str]]] = {}
    for group in suite.groups:
        table = tables.setdefault(group.table, {"tasks": [], "variants": []})
        for part, names in (("tasks", group.tasks), ("variants", group.variants)):
            table[part] += [name for name in names if name not in table[part]]
    return tables


def _round(value: float) -> float:
    return round(float(value), _DIGITS)
