"""What a model costs beside time: memory, the time to load it, and code."""

import ctypes
import mmap
import resource
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import runtimes
from measure import SEED, Work, json_option, medians, rounds_option, show

ROOT = Path(__file__).parents[2]
_KERNELS = ROOT / "tflite" / "kernels"
_ENGINE = ROOT / "tflite" / "engine"
_STARTS = {
    "TFLite": runtimes.start_tflite,
    "LCE indirect": runtimes.start_lce,
    "engine": runtimes.start_engine,
}

_preset_option = click.option("--preset", default="small", show_default=True)
_only_option = click.option("--only", default="", help="Only what has this in its name.")


def _files(preset: str, ids: np.ndarray, only: str) -> dict[str, bytes]:
    """By model and engine, of random weights and a vocabulary that is not one."""
    from beex_keras.models import BEExformerClassifier, BEExformerConfig
    from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor

    config = BEExformerConfig.preset(preset)
    words = [f"w{i}" for i in range(config.vocabulary_size - len(SPECIAL_TOKENS))]
    preprocessor = TextPreprocessor([*SPECIAL_TOKENS, *words], config.max_length)

    def model(**bits: int) -> Any:
        return BEExformerClassifier(config.replace(**bits), preprocessor)

    twin = BEExformerClassifier(config.twin(), preprocessor)
    makers = {
        "float32 twin, TFLite": lambda: runtimes.tflite_file(twin, ids),
        "int8 twin, TFLite": lambda: runtimes.tflite_file(twin, ids, quantize="dynamic"),
        "weights-only, LCE indirect": lambda: runtimes.lce_file(model()),
        "fully binary, LCE indirect": lambda: runtimes.lce_file(model(activation_bits=1)),
        "weights-only, engine": lambda: runtimes.engine_file(model()),
        "fully binary, engine": lambda: runtimes.engine_file(model(activation_bits=1)),
    }
    return {name: make() for name, make in makers.items() if only in name}


def _ids(preset: str, texts: int = 8) -> np.ndarray:
    """Texts of 30 tokens."""
    from beex_keras.models import BEExformerConfig

    config = BEExformerConfig.preset(preset)
    ids = np.zeros((texts, config.max_length), np.int32)
    ids[:, :30] = np.random.default_rng(SEED).integers(5, config.vocabulary_size, (texts, 30))
    return ids


# === Memory ===


@click.command()
@_preset_option
@_only_option
@json_option
def memory(preset: str, only: str, as_json: bool) -> None:
    """Peak memory of classifying texts, each engine in a process of its own.

    "loading and running" is the peak of resident memory, beyond what the process had when its engine was
    imported and the file read. "whole process" is that of the C program, beexrun, from its start.
    """
    ids = _ids(preset)
    rows = []
    for name, data in _files(preset, ids, only).items():
        model, engine = name.split(", ")
        row = {"model": model, "engine": engine, "file MB": 1e-6 * len(data)}
        # A fresh interpreter: what this one has used before would hide what is used now.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            row["loading and running MB"] = process.submit(_peak, engine, data, ids).result()
        if engine == "engine":
            row["of these arena MB"] = 1e-6 * _arena(data)
            row["beexrun, whole process MB"] = _beexrun_peak(data, len(ids))
        rows.append(row)
    show(rows, f"{preset}, {len(ids)} texts of 30 tokens, one by one", as_json)


def _peak(engine: str, data: bytes, ids: np.ndarray) -> float:
    """Runs in a process of its own; in MB."""
    import beex_keras  # noqa: F401

    start = _STARTS[engine]
    if engine == "TFLite":
        import tensorflow as tf

        _ = tf.lite.Interpreter  # TensorFlow imports it when it is asked for
    elif engine == "engine":
        from beex_keras.runtime import CRunner, library  # noqa: F401

        library.load()
    else:
        from larq_compute_engine.tflite.python import interpreter  # noqa: F401
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from what is used now
    before = _resident_peak()
    start(data)(ids)
    return 1e-6 * (_resident_peak() - before)


def _resident_peak() -> int:
    status = Path("/proc/self/status").read_text("ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def _arena(data: bytes) -> int:
    from beex_keras.runtime import library

    engine = library.load()
    model = np.zeros(engine.beex_model_bytes(), np.uint8)
    source = np.frombuffer(data, np.uint8)
    assert engine.beex_open(model.ctypes.data, source.ctypes.data, len(data)) == library.OK
    return engine.beex_arena_size(model.ctypes.data)


def _beexrun_peak(data: bytes, texts: int) -> float:
    """Of the C program that classifies texts of 30 tokens; in MB."""
    words = np.random.default_rng(SEED).integers(0, 1000, (texts, 28))
    lines = "".join(" ".join(f"w{word}" for word in text) + "\n" for text in words)
    with tempfile.TemporaryDirectory() as folder:
        program, file = Path(folder) / "beexrun", Path(folder) / "model.beex"
        sources = [*_KERNELS.glob("*.c"), *_ENGINE.glob("*.c"), ROOT / "tflite" / "beexrun.c"]
        flags = ["-std=c99", "-O3", "-ffp-contract=off"]
        subprocess.run(["cc", *flags, *sources, "-lm", "-o", program], check=True)
        file.write_bytes(data)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            return process.submit(_child_peak, [str(program), str(file)], lines).result()


def _child_peak(command: list[str], text: str) -> float:
    subprocess.run(command, input=text.encode(), stdout=subprocess.DEVNULL, check=True)
    return 1024e-6 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


# === Loading ===


@click.command()
@_preset_option
@_only_option
@rounds_option
@json_option
def load(preset: str, only: str, rounds: int, as_json: bool) -> None:
    """Milliseconds from a file on disk, in the system's cache, until a text could be classified.

    The C engine maps the file, checks it whole and lays out its memory; the others take it as their
    interpreters do, from a path or from bytes that are read before.
    """
    ids = _ids(preset)
    with tempfile.TemporaryDirectory() as folder:
        works: dict[str, Work] = {}
        sizes = {}
        for name, data in _files(preset, ids, only).items():
            path = Path(folder) / name
            path.write_bytes(data)
            sizes[name] = len(data)
            works[name] = _loading(name.split(", ")[1], path)
        found = medians(works, rounds, as_json)
    rows = [
        {
            "model": name.split(", ")[0],
            "engine": name.split(", ")[1],
            "file MB": 1e-6 * sizes[name],
            "milliseconds": 1e3 * seconds,
        }
        for name, seconds in found.items()
    ]
    show(rows, f"{preset}, loading a model", as_json, rounds)


def _loading(engine: str, path: Path) -> Work:
    if engine == "TFLite":
        import tensorflow as tf

        return lambda: tf.lite.Interpreter(str(path), num_threads=1).allocate_tensors()
    if engine == "engine":
        return lambda: _open_mapped(path)
    return lambda: runtimes.start_lce(path.read_bytes())


def _open_mapped(path: Path) -> None:
    """What a C program does: see tflite/beexrun.c."""
    from beex_keras.runtime import library

    engine = library.load()
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        data = np.frombuffer(view, np.uint8)
        model = np.zeros(engine.beex_model_bytes(), np.uint8)
        assert engine.beex_open(model.ctypes.data, data.ctypes.data, len(data)) == library.OK
        size = engine.beex_arena_size(model.ctypes.data)
        state, arena = (
            np.zeros(engine.beex_engine_bytes(), np.uint8),
            np.zeros(size // 8, np.uint64),
        )
        started = engine.beex_start_named(
            state.ctypes.data, model.ctypes.data, arena.ctypes.data, size, b"", 0
        )
        assert started == library.OK
        del data


# === Code ===


@click.command()
@json_option
def size(as_json: bool) -> None:
    """Bytes of compiled code and constants of the engine at -Os, with the kernels that are chosen from.

    binding.c, which is for Python, and reference.c, which is for tests, are not part of a program.
    """
    engine = [path for path in _ENGINE.glob("*.c") if path.name != "binding.c"]
    portable = [_KERNELS / "portable.c"]
    every = [
        path for path in _KERNELS.glob("*.c") if path.name not in ("reference.c", "dispatch.c")
    ]
    rows = []
    for name, kernels in (("portable kernels", portable), ("all kernels", every)):
        with tempfile.TemporaryDirectory() as folder:
            parts = {
                "engine": _text(engine, folder),
                "kernels": _text([*kernels, _KERNELS / "dispatch.c"], folder),
            }
        rows.append({"engine with": name, **parts, "in all": sum(parts.values())})
    show(rows, "Bytes of text at -Os", as_json)


def _text(sources: list[Path], folder: str) -> int:
    """As `size` counts it: code and constants."""
    objects = []
    for source in sources:
        objects.append(Path(folder) / f"{source.stem}.o")
        flags = ["-std=c99", "-Os", "-ffp-contract=off"]
        subprocess.run(["cc", *flags, "-c", source, "-o", objects[-1]], check=True)
    table = subprocess.run(["size", *objects], check=True, capture_output=True, text=True).stdout
    return sum(int(line.split()[0]) for line in table.splitlines()[1:])
