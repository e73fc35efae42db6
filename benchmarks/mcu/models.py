"""Memory and instructions of models: with random weights, and a trained one on real sentences."""

import dataclasses
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

import beex_keras
from agreement import shaken
from beex_keras.errors import BeexError
from beex_keras.export import beex as beex_format
from beex_keras.export.mcu import Footprint, boards, memory, write_project
from beex_keras.models import PRESETS, BEExformerClassifier, BEExformerConfig
from beex_keras.text import TextPreprocessor, learn_vocabulary
from mcu import emulation
from measure import SEED, first_line

HERE = Path(__file__).parent
_SMALL_VOCABULARY = 500
_ROOMY = {"RAM": "64M", "FLASH": "64M"}
_DEEPEST = "20K"

BINARY = {"weight_bits": 1, "activation_bits": 1, "embedding_bits": 1}
WEIGHTS_ONLY = {**BINARY, "activation_bits": 32}
FLOAT = {"weight_bits": 32, "activation_bits": 32, "embedding_bits": 32}
KINDS: dict[str, tuple[dict[str, int], bool]] = {
    "fully binary": (BINARY, False),
    "weights-only": (WEIGHTS_ONLY, False),
    "w1a8": ({**BINARY, "activation_bits": 8}, False),
    "int8": (FLOAT, True),
    "float32": (FLOAT, False),
}
"""Bits of each kind of model, and whether its weights are exported in 8 bits."""

_LIBRARY = ("engine.c", "startup.c", "semihosting.c", "counter.c")

PROFILED = (
    *("signs and quantization", "linear layers", "attention"),
    *("normalization", "gates and activations"),
)
"""The kinds of work that profile.c counts, in its order."""


def versions() -> dict[str, str]:
    """Versions of the package, the compiler and the emulator."""
    command = ["arm-none-eabi-gcc", "-dumpversion"]
    gcc = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    qemu = first_line("qemu-system-arm").removeprefix("QEMU emulator version ")
    return {"beex-keras": beex_keras.__version__, "gcc": gcc, "qemu": qemu.split()[0]}


def make_model(config: BEExformerConfig, vocabulary: Sequence[str]) -> BEExformerClassifier:
    """Returns a model with random weights."""
    preprocessor = TextPreprocessor(vocabulary, config.max_length)
    return shaken(BEExformerClassifier(config, preprocessor), SEED)


def text_of(tokens: int, is_pair: bool = False) -> str:
    """Returns a text of so many tokens, special ones included, or a pair whose second text is empty."""
    words = " ".join("." * (tokens - 3 if is_pair else tokens - 2))  # a token each
    return f"{words}\t" if is_pair else words


@contextmanager
def project_of(data: bytes) -> Iterator[Path]:
    """Writes a project with profile.c and a large stack into a temporary folder."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        write_project(data, folder, {})
        shutil.copy(HERE / "profile.c", folder)
        yield folder


@dataclasses.dataclass(frozen=True)
class MeasuredProject:
    """A project that was measured on its emulated board.

    Attributes:
        footprint: bytes that the linked program needs.
        stack_used: bytes of the stack that the longest text used.
        tokens: tokens of the longest text.
        instructions: the longest text's instructions up to each exit.
    """

    footprint: Footprint
    stack_used: int
    tokens: int
    instructions: tuple[int, ...]


def measure_project(data: bytes, folder: Path, board: str) -> MeasuredProject:
    """Writes the project of a ``.beex`` file with a stack as deep as its longest text needs.

    Raises:
        BeexError: the program does not compile, or faults.
    """
    header = beex_format.read_header(data)
    stacks = {name: memory.stack_size(data, name) for name in boards()}
    write_project(data, folder, stacks)
    text = text_of(header["length"], header["num_segments"] > 1)
    with tempfile.TemporaryDirectory() as build:
        sections = emulation.build(folder, board, build, **_ROOMY, STACK=_DEEPEST)
        (found,), used = emulation.measure(folder, board, build, [text], STACK=_DEEPEST)
    stack = memory.with_margin(used.stack)
    write_project(data, folder, {**stacks, board: stack})
    sections = dataclasses.replace(sections, stack=stack)
    needed = sections.footprint(board, len(data), header["arena_size"])
    return MeasuredProject(needed, used.stack, header["length"], found.exits)


def measure_models(tokens: int, quiet: bool) -> list[dict[str, Any]]:
    """Measures preset micro on every board, and tiny on the board that holds it in every form."""
    from beex_keras import load_task

    texts = load_task("rotten_tomatoes").train.texts
    vocabularies = {
        preset: learn_vocabulary(texts, PRESETS[preset].get("vocabulary_size", 8000))
        for preset in ("micro", "tiny")
    }
    wanted = [
        (preset, kind, name)
        for preset in vocabularies
        for name in boards()
        if preset == "micro" or name == "mps2-an500"
        for kind in KINDS
    ]
    rows = [
        _measure_model(preset, kind, name, tokens, vocabularies[preset])
        for preset, kind, name in (wanted if quiet else track(wanted, "Models"))
    ]
    counts = {(row["board"], row["preset"], row["build"]): row["instructions"] for row in rows}
    for row in rows:
        for other in ("int8", "float32"):
            theirs, ours = counts[row["board"], row["preset"], other], row["instructions"]
            row[f"of {other}"] = theirs[-1] / ours[-1] if theirs and ours else None
    return rows


def _measure_model(
    preset: str, kind: str, name: str, tokens: int, vocabulary: Sequence[str]
) -> dict[str, Any]:
    """Measures memory, instructions up to each exit, and instructions by kind of work, on one board.

    If the vocabulary does not fit, instructions are those of a model with fewer words, on which they
    do not depend; if that does not fit either, there are none.
    """
    data = _preset_file(preset, kind, vocabulary)
    size, arena = len(data), beex_format.read_header(data)["arena_size"]
    with project_of(data) as folder:
        sections = emulation.build(folder, name, folder / "build", **_ROOMY)
    stack = memory.stack_size(data, name)
    if sections.flash > boards()[name].flash:
        data = _preset_file(preset, kind, vocabulary[:_SMALL_VOCABULARY])
    instructions, work = None, None
    try:
        with project_of(data) as folder:
            text, build = text_of(tokens), folder / "build"
            (measured,), used = emulation.measure(folder, name, build, [text])
            settings = {"SOURCES": " ".join(("profile.c", "model.c", *_LIBRARY))}
            (profile,) = emulation.emulate(
                folder, name, folder / "profile", [text.encode()], **settings
            )
        # The first number counts all instructions, those of counting included, and is left out.
        parts = [int(count) for count in profile.split("\t")][1:]
        instructions = list(measured.exits)
        rest = max(instructions[-1] - sum(parts), 0)
        work = {**dict(zip(PROFILED, parts, strict=True)), "rest": rest}
        stack = memory.with_margin(used.stack)
    except BeexError as error:
        if "region" not in str(error):
            raise
    footprint = dataclasses.replace(sections, stack=stack).footprint(name, size, arena)
    return {
        "board": name,
        "core": boards()[name].core,
        "preset": preset,
        "build": kind,
        "tokens": tokens,
        "instructions": instructions,
        "work": work,
        **footprint.to_dict(),
        "fits": footprint.fits,
    }


def _preset_file(preset: str, kind: str, vocabulary: Sequence[str]) -> bytes:
    bits, int8 = KINDS[kind]
    config = BEExformerConfig.preset(preset, **bits).replace(vocabulary_size=len(vocabulary))
    return beex_format.convert(make_model(config, vocabulary), int8_weights=int8)


def measure_answers(run: str, task: str, sentences: int, few: int) -> list[dict[str, Any]]:
    """Compares a trained model's answers with those of Keras, and measures the savings of early exit."""
    from beex_keras import BEExformerClassifier, load_task, runtime
    from beex_keras.evaluation.accounting import flops_saved

    classifier = BEExformerClassifier.from_pretrained(run)
    data = beex_format.convert(classifier)
    samples = load_task(task).test
    chosen = np.random.default_rng(SEED).permutation(len(samples))[:sentences]
    texts = samples.rows(chosen).texts
    expected = runtime.KerasRunner(classifier).classify(texts, truncate=True)
    rows = []
    for name, board in boards().items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "project"
            project = measure_project(data, folder, name)
            count = sentences if board.core != "cortex-m3" else few
            lines = [text.encode() for text in texts[:count]]
            answers = emulation.emulate(folder, name, folder / "build", lines)
            found, used = emulation.measure(folder, name, folder / "build", texts[:count])
        pairs = [(line.split("\t")[0], int(line.split("\t")[2])) for line in answers]
        agree = sum(p == (e.label, e.exit) for p, e in zip(pairs, expected, strict=False))
        taken = np.array([m.exit - 1 for m in found])
        counts = np.array([m.exits for m in found])
        lengths = np.array([m.tokens for m in found])
        spent = counts[np.arange(count), taken].sum()
        means = {
            "mean tokens": lengths.mean(),
            "mean exit": taken.mean() + 1,
            "tokenizer": np.mean([m.tokenizer for m in found]),
            "full depth": counts[:, -1].mean(),
            "own exit": spent / count,
            "instructions saved": 1 - spent / counts[:, -1].sum(),
            "FLOPs saved": flops_saved(classifier.config, taken, lengths),
        }
        rows.append(
            {
                "board": name,
                "core": board.core,
                "sentences": count,
                "equal to Keras": agree,
                **project.footprint.to_dict(),
                "stack used": used.stack,
                "arena used": used.arena,
                **{key: float(value) for key, value in means.items()},
            }
        )
    return rows
