"""Instructions, flash and RAM of models on emulated microcontrollers.

    python benchmarks/mcu.py kernels
    python benchmarks/mcu.py models
    python benchmarks/mcu.py answers --run runs/micro
    python benchmarks/mcu.py page --run runs/micro    # all of it, to docs/microcontrollers.md

Instructions are those that QEMU executes, counted on the emulated board: no cycles, and no time. They
depend on nothing but the program, so every run gives the same. Models have random weights, on which
they depend but little, except for --run. `costs` measures the table that `beex convert --target mcu`
goes by where there is no emulator.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.progress import track

import beex_keras  # selects Keras 2 before TensorFlow is imported
import mcu_kernels
import mcu_page
import measure
from agreement import shaken
from beex_keras.files import write_atomically
from measure import SEED, json_option, task_option

HERE = Path(__file__).parent
SMALL_VOCABULARY = 500

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

LIBRARY = ("engine.c", "startup.c", "semihosting.c", "counter.c")
"""What every program is compiled with."""

WORK = (
    *("signs and quantization", "linear layers", "attention"),
    *("normalization", "gates and activations"),
)
"""Kinds of work that profile.c counts, in its order; what is left is the rest."""

tokens_option = click.option("--tokens", default=32, show_default=True)


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """Instructions, flash and RAM on emulated microcontrollers."""
    os.environ["CROSS"] = str(HERE.parent / "tools" / "kept-")
    os.environ["KEPT"] = context.with_resource(tempfile.TemporaryDirectory())


# === Kernels ===


@main.command()
@click.option("--board", "names", multiple=True, help="Leave out for all.")
@click.option("--all", "everything", is_flag=True, help="Every implementation, not only the best.")
@json_option
def kernels(names: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Instructions of each kernel, per multiply-accumulate or per number."""
    rows = mcu_kernels.measure(names, everything)
    show(rows, "Instructions per multiply-accumulate or number", as_json)


# === Models ===


def make_model(config: Any, vocabulary: Sequence[str]) -> Any:
    """A model with random weights."""
    from beex_keras.models import BEExformerClassifier
    from beex_keras.text import TextPreprocessor

    preprocessor = TextPreprocessor(vocabulary, config.max_length)
    return shaken(BEExformerClassifier(config, preprocessor), SEED)


def preset_model(preset: str, bits: dict[str, int], vocabulary: Sequence[str]) -> Any:
    from beex_keras.models import BEExformerConfig

    config = BEExformerConfig.preset(preset, **bits).replace(vocabulary_size=len(vocabulary))
    return make_model(config, vocabulary)


def text_of(tokens: int) -> str:
    """A text of so many tokens, special ones included: a full stop is one."""
    return " ".join("." * (tokens - 2))


@contextmanager
def project_of(data: bytes) -> Iterator[Path]:
    """A project in a temporary folder, with profile.c; its stack is large."""
    from beex_keras.export.mcu import write_project

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        write_project(data, folder, {})
        shutil.copy(HERE / "mcu" / "profile.c", folder)
        yield folder


def measure_model(
    preset: str, kind: str, name: str, tokens: int, vocabulary: Any
) -> dict[str, Any]:
    """Memory, instructions up to each exit and by kind of work, on one board.

    Where the vocabulary does not fit, instructions are of a model with fewer words, on which they do
    not depend; where that does not fit either there are none.
    """
    from beex_keras.errors import BeexError
    from beex_keras.export import beex as beex_format
    from beex_keras.export.mcu import board, costs, emulation

    bits, int8 = KINDS[kind]
    row = board.boards()[name]
    model = preset_model(preset, bits, vocabulary)
    data = beex_format.convert(model, int8_weights=int8)
    size, arena = len(data), beex_format.read_header(data)["arena_size"]
    with project_of(data) as folder:
        sections = emulation.build(folder, name, folder / "build", RAM="64M", FLASH="64M")
    stack = costs.stack(name, model.config, kind)
    if sections.flash > row.flash:
        model = preset_model(preset, bits, vocabulary[:SMALL_VOCABULARY])
        data = beex_format.convert(model, int8_weights=int8)
    instructions, work = None, None
    try:
        with project_of(data) as folder:
            text, build = text_of(tokens), folder / "build"
            (measured,), memory = emulation.measure(folder, name, build, [text])
            settings = {"SOURCES": " ".join(("profile.c", "model.c", *LIBRARY))}
            (profile,) = emulation.emulate(
                folder, name, folder / "profile", [text.encode()], **settings
            )
        # The first is all, with what counting itself costs, which is left out.
        parts = [int(count) for count in profile.split("\t")][1:]
        instructions = list(measured.exits)
        rest = max(instructions[-1] - sum(parts), 0)
        work = {**dict(zip(WORK, parts, strict=True)), "rest": rest}
        stack = costs.with_margin(memory.stack)
    except BeexError as error:
        if "region" not in str(error):
            raise
    footprint = costs.Footprint.of(dataclasses.replace(sections, stack=stack), size, arena)
    return {
        "board": name,
        "core": row.core,
        "preset": preset,
        "build": kind,
        "tokens": tokens,
        "instructions": instructions,
        "work": work,
        **footprint.to_dict(),
        "fits": footprint.flash <= row.flash and footprint.ram <= row.ram,
    }


def measure_models(tokens: int, quiet: bool) -> list[dict[str, Any]]:
    """Preset micro on every board; tiny on the one that holds it in every form."""
    from beex_keras import load_task
    from beex_keras.export.mcu import board
    from beex_keras.models import PRESETS
    from beex_keras.text import learn_vocabulary

    texts = load_task("rotten_tomatoes").train.texts
    vocabularies = {
        preset: learn_vocabulary(texts, PRESETS[preset].get("vocabulary_size", 8000))
        for preset in ("micro", "tiny")
    }
    wanted = [
        (preset, kind, name)
        for preset in vocabularies
        for name in board.boards()
        if preset == "micro" or name == "mps2-an500"
        for kind in KINDS
    ]
    rows = [
        measure_model(preset, kind, name, tokens, vocabularies[preset])
        for preset, kind, name in (wanted if quiet else track(wanted, "Models"))
    ]
    counts = {(row["board"], row["preset"], row["build"]): row["instructions"] for row in rows}
    for row in rows:
        for other in ("int8", "float32"):
            theirs, ours = counts[row["board"], row["preset"], other], row["instructions"]
            row[f"of {other}"] = theirs[-1] / ours[-1] if theirs and ours else None
    return rows


@main.command()
@tokens_option
@json_option
def models(tokens: int, as_json: bool) -> None:
    """Flash, RAM and instructions of models, beside an int8 and a float32 build of the same engine."""
    rows = measure_models(tokens, as_json)
    for row in () if as_json else rows:
        row |= {f"exit {n}": count for n, count in enumerate(row.pop("instructions") or [], 1)}
        row |= row.pop("work") or {}
    show(rows, f"A text of {tokens} tokens", as_json)


# === A trained model ===


def measure_answers(run: str, task: str, sentences: int, few: int) -> list[dict[str, Any]]:
    """A trained model's answers beside those of Keras, and what early exit saves."""
    from beex_keras import load_task, runtime
    from beex_keras.evaluation.accounting import flops_saved
    from beex_keras.export.mcu import board, emulation, export_project

    classifier = runtime.load_classifier(run)
    samples = load_task(task).test
    chosen = np.random.default_rng(SEED).permutation(len(samples))[:sentences]
    texts = samples.rows(chosen).texts
    expected = runtime.KerasRunner(classifier).classify(texts, truncate=True)
    rows = []
    for name, row in board.boards().items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "project"
            report = export_project(classifier, folder, name)
            count = sentences if row.core != "cortex-m3" else few
            lines = [text.encode() for text in texts[:count]]
            answers = emulation.emulate(folder, name, folder / "build", lines)
            found, memory = emulation.measure(folder, name, folder / "build", texts[:count])
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
                "core": row.core,
                "sentences": count,
                "equal to Keras": agree,
                **report.footprint.to_dict(),
                "stack used": memory.stack,
                "arena used": memory.arena,
                **{key: float(value) for key, value in means.items()},
            }
        )
    return rows


sentences_option = click.option("--sentences", default=200, show_default=True)
few_option = click.option("--few", default=20, help="Sentences on the slowest board.")


@main.command()
@click.option("--run", type=click.Path(exists=True), required=True, help="A trained run folder.")
@task_option
@sentences_option
@few_option
@json_option
def answers(run: str, task: str, sentences: int, few: int, as_json: bool) -> None:
    """Answers to test sentences beside those of Keras, memory, and what early exit saves."""
    show(measure_answers(run, task, sentences, few), f"{task}, test split", as_json)


# === The table of costs ===

SHAPES = (
    {"width": 32, "hidden_width": 64, "num_heads": 1, "num_blocks": 2},
    {"width": 96, "hidden_width": 96, "num_heads": 3, "num_blocks": 1},
    {"width": 64, "hidden_width": 128, "num_heads": 2, "num_blocks": 1},
    {"width": 64, "hidden_width": 256, "num_heads": 4, "num_blocks": 1},
)
"""Small enough for every board as float32: with words of signs that are full and that are not; the last
has sums of more inputs than the others."""

LENGTHS = (8, 16, 32, 64)


def measure_costs(quiet: bool) -> dict[str, Any]:
    """Prices of all kinds of work that explain measured instructions best, in relative error."""
    from scipy.optimize import nnls

    from beex_keras.export import beex as beex_format
    from beex_keras.export.mcu import board, costs, emulation
    from beex_keras.models import BEExformerConfig
    from beex_keras.text import SPECIAL_TOKENS

    vocabulary = [*SPECIAL_TOKENS, "a", "."]
    wanted = [(name, kind) for name in board.boards() for kind in KINDS]
    found: dict[str, Any] = {name: {"kinds": {}} for name in board.boards()}
    for name, kind in wanted if quiet else track(wanted, "Costs"):
        bits, int8 = KINDS[kind]
        rows, counts, stacks = [], [], []
        for shape in SHAPES:
            config = BEExformerConfig(
                vocabulary_size=len(vocabulary), max_length=max(LENGTHS), **shape, **bits
            )
            model = make_model(config, vocabulary)
            data = beex_format.convert(model, int8_weights=int8)
            with project_of(data) as folder:
                measured, memory = emulation.measure(
                    folder, name, folder / "build", [text_of(tokens) for tokens in LENGTHS]
                )
                if kind == next(iter(KINDS)):
                    sections = emulation.build(folder, name, folder / "build")
                    arena = beex_format.read_header(data)["arena_size"]
                    footprint = costs.Footprint.of(sections, len(data), arena)
                    found[name] |= {"code": footprint.code, "data": footprint.data}
            stacks.append(memory.stack)
            for tokens, text in zip(LENGTHS, measured, strict=True):
                rows.extend(costs.work(config, tokens))
                counts.extend(text.exits)
        work, spent = np.array(rows), np.array(counts, float)
        scale = work.max(axis=0)
        prices = nnls(work / scale / spent[:, None], np.ones(len(spent)))[0] / scale
        error = np.abs(work @ prices / spent - 1).max()
        found[name]["kinds"][kind] = {
            "stack": [max(stacks[:-1]), stacks[-1]],
            "instructions": {
                w: float(f"{p:.4g}") for w, p in zip(costs.WORK, prices.tolist(), strict=True)
            },
            "largest_error": round(float(error), 3),
        }
    return {"versions": versions(), "boards": found}


@main.command("costs")
@json_option
def fit_costs(as_json: bool) -> None:
    """Measure the table of costs anew and write it into the package."""
    from beex_keras.export.mcu.costs import FILE

    table = measure_costs(as_json)
    write_atomically(FILE, json.dumps(table, indent=1) + "\n")
    rows = [
        {"board": name, "build": kind, **costs["instructions"], "error": costs["largest_error"]}
        for name, values in table["boards"].items()
        for kind, costs in values["kinds"].items()
    ]
    show(rows, f"Instructions a piece, written to {FILE.name}", as_json)


# === The page ===


def versions() -> dict[str, str]:
    """What built and emulated."""
    command = ["arm-none-eabi-gcc", "-dumpversion"]
    gcc = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    qemu = measure.first_line("qemu-system-arm").removeprefix("QEMU emulator version ")
    return {"beex-keras": beex_keras.__version__, "gcc": gcc, "qemu": qemu.split()[0]}


@main.command()
@click.option("--run", type=click.Path(exists=True), help="A trained run folder; measures anew.")
@task_option
@sentences_option
@few_option
@tokens_option
def page(run: str | None, task: str, sentences: int, few: int, tokens: int) -> None:
    """Write docs/microcontrollers.md and its figure; with --run, measure all but the costs before."""
    if run is not None:
        results = {
            "versions": versions(),
            "seed": SEED,
            "task": task,
            "tokens": tokens,
            "kernels": [row for row in mcu_kernels.measure() if row["shape"] == mcu_kernels.LAYER],
            "models": measure_models(tokens, quiet=False),
            "answers": measure_answers(run, task, sentences, few),
        }
        write_atomically(mcu_page.RESULTS, json.dumps(results, indent=1) + "\n")
    mcu_page.write()


def show(rows: Sequence[dict[str, Any]], title: str, as_json: bool) -> None:
    """The rows, and what built and emulated the programs."""
    named = ", ".join(f"{name} {number}" for name, number in versions().items())
    measure.show(rows, f"{title}; {named}", as_json)


if __name__ == "__main__":
    main()
