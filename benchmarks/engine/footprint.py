"""What a model costs beside time: memory, the time to load it, and code."""

import ctypes
import functools
import mmap
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import runtimes

import streaming
from beex_keras.export.beex import POLICY_KINDS
from measure import SEED, Work, json_option, medians, rounds_option, show

ROOT = Path(__file__).parents[2]
_KERNELS = ROOT / "tflite" / "kernels"
_ENGINE = ROOT / "tflite" / "engine"
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


# === Starting from a file ===


def _start_engine(path: Path) -> runtimes.Call:
    """What a C program does, see tflite/beexrun.c: maps the file, checks it whole, lays memory out."""
    from beex_keras.runtime import library

    engine = library.load()
    with open(path, "rb") as file:
        data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    model, size = _opened(data)
    state, arena = np.zeros(engine.beex_engine_bytes(), np.uint8), np.zeros(size // 8, np.uint64)
    started = engine.beex_start_named(
        state.ctypes.data, model.ctypes.data, arena.ctypes.data, size, b""
    )
    assert started == library.OK
    full_depth = library.Policy(_FIXED_DEPTH, False, _MOST_LOGITS)

    def call(ids: np.ndarray, keep: Any = (data, model, arena)) -> None:
        exits, logits = np.zeros(len(ids), np.int32), np.zeros((len(ids), _MOST_LOGITS), np.float32)
        done = ctypes.c_size_t()
        arguments = (ids.ctypes.data, *ids.shape, ctypes.byref(full_depth), exits.ctypes.data)
        status = engine.beex_run_rows(
            state.ctypes.data, *arguments, logits.ctypes.data, ctypes.byref(done)
        )
        assert status == library.OK

    return call


def _opened(data: np.ndarray) -> tuple[np.ndarray, int]:
    """The engine's model of a file's bytes, and the bytes of its arena."""
    from beex_keras.runtime import library

    engine = library.load()
    model = np.zeros(engine.beex_model_bytes(), np.uint8)
    assert engine.beex_open(model.ctypes.data, data.ctypes.data, len(data)) == library.OK
    return model, engine.beex_arena_size(model.ctypes.data)


_FIXED_DEPTH = POLICY_KINDS.index("fixed_depth")
_MOST_LOGITS = 1000  # blocks times classes
_STARTS = {
    "TFLite": runtimes.start_tflite,
    "LCE indirect": lambda path: runtimes.start_lce(path.read_bytes()),
    "engine": _start_engine,
}


# === Memory ===


@click.command()
@_preset_option
@_only_option
@json_option
def memory(preset: str, only: str, as_json: bool) -> None:
    """Peak memory of loading a file and classifying texts, each engine in a process of its own.

    It is counted from what the process had when its engine was imported. The C engine is given the least
    working memory that it takes, its arena. "whole process" is the C program, beexrun, from its start.
    """
    ids = _ids(preset)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, data in _files(preset, ids, only).items():
            model, engine = name.split(", ")
            path = Path(folder) / "model"
            path.write_bytes(data)
            row = {"model": model, "engine": engine, "file MB": 1e-6 * len(data)}
            # A fresh interpreter: what this one has used before would hide what is used now.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                row["peak MB"] = process.submit(_peak, engine, path, ids).result()
            if engine == "engine":
                row["of it arena MB"] = 1e-6 * _opened(np.frombuffer(data, np.uint8))[1]
                row["whole process MB"] = _beexrun_peak(Path(folder), path, len(ids))
            rows.append(row)
    show(rows, f"{preset}, {len(ids)} texts of 30 tokens, one by one", as_json)


def _peak(engine: str, path: Path, ids: np.ndarray) -> float:
    """Runs in a process of its own; in MB."""
    import beex_keras  # noqa: F401  (selects Keras 2 before TensorFlow is imported)

    if engine == "TFLite":
        import tensorflow as tf

        _ = tf.lite.Interpreter  # TensorFlow imports it when it is asked for
    elif engine == "engine":
        from beex_keras.runtime import library

        library.load()
    else:
        from larq_compute_engine.tflite.python import interpreter_wrapper_lite  # noqa: F401
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from what is used now
    before = streaming.memory("VmHWM")
    _STARTS[engine](path)(ids)
    return streaming.memory("VmHWM") - before


def _beexrun_peak(folder: Path, model: Path, texts: int) -> float:
    """Of the C program that classifies texts of 30 tokens; in MB."""
    program = folder / "beexrun"
    if not program.exists():
        sources = [*_KERNELS.glob("*.c"), *_ENGINE.glob("*.c"), ROOT / "tflite" / "beexrun.c"]
        flags = ["-std=c99", "-O3"]
        subprocess.run(["cc", *flags, *sources, "-lm", "-o", program], check=True)
    words = np.random.default_rng(SEED).integers(0, 1000, (texts, 28))
    lines = "".join(" ".join(f"w{word}" for word in text) + "\n" for text in words).encode()
    command = [str(program), str(model)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        process.stdin.write(lines)
        process.stdin.flush()
        # When it has done these it waits for more. What the system tells of a process that has ended
        # counts the memory of this one too, from which it was forked.
        while process.poll() is None and not _waits(process.pid):
            pass
        return streaming.memory("VmHWM", process.pid)


def _waits(process: int) -> bool:
    """Whether it has been asleep for a while."""
    state = Path(f"/proc/{process}/stat")
    samples = []
    for _ in range(5):
        fields = state.read_text("ascii").rsplit(") ", 1)[1].split()
        samples.append((fields[0], fields[11]))  # state, ticks of computing
        time.sleep(0.1)
    return set(samples) == {("S", samples[0][1])}


# === Loading ===


@click.command()
@_preset_option
@_only_option
@rounds_option
@json_option
def load(preset: str, only: str, rounds: int, as_json: bool) -> None:
    """Milliseconds from a file on disk, in the system's cache, until a text could be classified.

    The C engine maps the file, checks it whole and lays its memory out. TensorFlow Lite maps it too, and
    Larq Compute Engine is given its bytes.
    """
    ids = _ids(preset)
    with tempfile.TemporaryDirectory() as folder:
        works: dict[str, Work] = {}
        sizes = {}
        for name, data in _files(preset, ids, only).items():
            path = Path(folder) / name
            path.write_bytes(data)
            sizes[name] = len(data)
            works[name] = functools.partial(_STARTS[name.split(", ")[1]], path)
        found = medians(works, rounds, as_json)
    rows = []
    for name, seconds in found.items():
        model, engine = name.split(", ")
        row = {"model": model, "engine": engine, "file MB": 1e-6 * sizes[name]}
        rows.append({**row, "milliseconds": 1e3 * seconds})
    show(rows, f"{preset}, loading a model", as_json, rounds=rounds)


# === Code ===


@click.command()
@json_option
def size(as_json: bool) -> None:
    """Bytes of compiled code and constants of the engine at -Os, with the kernels that are chosen from.

    binding.c, which is for Python, selftest.c and reference.c, which is for tests, are not part of a
    program that does not call them.
    """
    engine = [p for p in _ENGINE.glob("*.c") if p.name not in ("binding.c", "selftest.c")]
    portable = [_KERNELS / "portable.c"]
    every = [path for path in _KERNELS.glob("*.c") if path.name != "reference.c"]
    rows = []
    for name, kernels in (("portable kernels", portable), ("all kernels", every)):
        with tempfile.TemporaryDirectory() as folder:
            parts = {"engine": _text(engine, folder), "kernels": _text(kernels, folder)}
        rows.append({"engine with": name, **parts, "in all": sum(parts.values())})
    show(rows, "Bytes of text at -Os", as_json)


def _text(sources: list[Path], folder: str) -> int:
    """As `size` counts it: code and constants."""
    objects = []
    for source in sources:
        objects.append(Path(folder) / f"{source.stem}.o")
        flags = ["-std=c99", "-Os"]
        subprocess.run(["cc", *flags, "-c", source, "-o", objects[-1]], check=True)
    table = subprocess.run(["size", *objects], check=True, capture_output=True, text=True).stdout
    return sum(int(line.split()[0]) for line in table.splitlines()[1:])
