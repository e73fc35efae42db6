"""The folder of a run: its settings, which the same command must bring again, vocabulary and logs."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from beex_keras.errors import BeexError
from beex_keras.files import parse_json, read_text, unfinished, write_atomically

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SETTINGS, VOCABULARY, MODEL = "run.json", "vocab.txt", "model"
HISTORY, RESULTS, CALIBRATIONS = "history.json", "results.json", "calibrations.json"
BEST_WEIGHTS, CHECKPOINTS = "best.weights.h5", "checkpoints"
_RESTORE = "restore the file, or train into a new folder"


def open_run(directory: Path, settings: dict[str, Any], vocabulary: Sequence[str]) -> None:
    """Makes the run folder with its vocabulary, or checks that it holds a run with the same settings.

    Raises:
        BeexError: the folder holds a run with other settings, or something else.
    """
    file = directory / SETTINGS
    if file.exists():
        fix = f"remove {directory} to start anew"
        found = parse_json(read_text(file, "run settings"), str(file), fix)
        if found != settings:
            other = f"a run with other settings ({', '.join(_differences(found, settings))})"
            fix = "choose another folder, or remove this one to start anew"
            raise BeexError(f"{directory} holds {other}; {fix}.")
    elif directory.exists() and (not directory.is_dir() or _holds_anything(directory)):
        raise BeexError(f"{directory} exists and is not a run folder; choose another path.")
    else:
        write_atomically(file, json.dumps(settings, indent=2) + "\n")
    if not (directory / VOCABULARY).exists():
        write_atomically(directory / VOCABULARY, "\n".join(vocabulary) + "\n")


def _holds_anything(directory: Path) -> bool:
    """Whether there is more than the temporary files of a process that was killed before it had written the settings."""
    return not set(directory.iterdir()) <= set(unfinished(directory))


@contextmanager
def only_process(directory: Path) -> Iterator[None]:
    """Returns a context in which no other process trains in the run folder.

    It removes temporary files that killed processes have left. The system drops the lock with the process, however
    that ends. Without support for such locks, as on Windows and on some network file systems, the folder is not
    locked.

    Raises:
        BeexError: another process trains in the folder.
    """
    with open(directory / SETTINGS, "rb") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for path in unfinished(directory):
                    shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            fix = "wait until it ends, or choose another folder"
            raise BeexError(f"Another process trains in {directory}; {fix}.") from None
        except OSError:
            pass  # the file system has no locks
        yield


@contextmanager
def removed_if_refused(directory: Path) -> Iterator[None]:
    """Returns a context whose `BeexError` takes the run folder with it, unless something is or was trained in there.

    So a command can be corrected and given again for the same folder.
    """
    try:
        yield
    except BeexError:
        files = [directory / name for name in (SETTINGS, VOCABULARY)]
        if set(directory.iterdir()) <= set(files):
            # It stays if another process trains in there, or if the system does not let go of it.
            with suppress(BeexError, OSError), only_process(directory):
                for file in files:
                    file.unlink(missing_ok=True)
                directory.rmdir()
        raise


def read_training(directory: Path) -> dict[str, Any]:
    """The hyperparameters of the run in a folder; empty if the folder holds no run that can be read."""
    try:
        found = json.loads((directory / SETTINGS).read_text("utf-8"))["training"]
    except (OSError, ValueError, KeyError, TypeError):  # `open_run` has the sentence for it
        return {}
    return found if isinstance(found, dict) else {}


def read_history(directory: Path, epochs: int | None = None) -> dict[str, list[float]]:
    """The logs of each epoch of a run by name, or of its first `epochs`; a new run has none."""
    if epochs is not None and not (epochs and (directory / HISTORY).exists()):
        return {}
    file = directory / HISTORY
    logs = parse_json(read_text(file, "history"), str(file), _RESTORE)
    return {name: values[:epochs] for name, values in logs.items()}


def read_results(directory: Path) -> dict[str, Any]:
    """The figures of a finished run."""
    file = directory / RESULTS
    results: dict[str, Any] = parse_json(read_text(file, "results"), str(file), _RESTORE)
    return results


def save_calibrations(directory: Path, figures: dict[int, dict[str, Any]]) -> None:
    """Keeps the figures of a later calibration, by bits of activations."""
    write_atomically(directory / CALIBRATIONS, json.dumps(figures, indent=2) + "\n")


def read_calibrations(directory: Path, bits: int) -> dict[int, dict[str, Any]]:
    """Figures of the last calibration of a finished run, by bits of activations; a weights-only run has two.

    The run's own activations have this number of `bits`.
    """
    file = directory / CALIBRATIONS
    if file.is_file():
        fix = "remove it, and calibrate again"
        later = parse_json(read_text(file, "calibrations"), str(file), fix)
        return {int(number): figures for number, figures in later.items()}
    results = read_results(directory)
    found = {bits: results["calibration"]}
    if "w1a8" in results:
        found[8] = results["w1a8"]["calibration"]
    return found


def _differences(found: Any, wanted: dict[str, Any]) -> list[str]:
    """Names of the settings that differ."""
    if not isinstance(found, dict):
        return ["all"]
    names = []
    for key in {**wanted, **found}:
        value, other = wanted.get(key), found.get(key)
        if key in ("model", "training") and isinstance(value, dict) and isinstance(other, dict):
            both = {**value, **other}
            names += [name for name in both if value.get(name) != other.get(name)]
        elif value != other:
            names.append(key)
    return names
