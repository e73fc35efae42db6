"""The npm package's modules: the host's bits from each, what they refuse, and how small they are."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from c_builds import TFLITE, run
from score_bits import SMALL, texts
from web_package import CLANG, Host, needs, node, npm_package

from beex_keras import load, pretrained

SCRIPTS = Path(__file__).with_name("web")
WASI = Path("/usr/lib/wasm32-wasi")
VECTORS = [name for name in npm_package.VARIANTS if name != "plain"]

pytest_plugins = ["web_package"]
pytestmark = needs

needs_wasi = pytest.mark.skipif(not WASI.is_dir(), reason="no wasi-libc: tools/install_web.sh")


# === The kernels ===

RUN_WASI = """
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";
const [file, ...args] = process.argv.slice(1);
const wasi = new WASI({ version: "preview1", args: [file, ...args] });
const { instance } = await WebAssembly.instantiate(await readFile(file), wasi.getImportObject());
process.exitCode = wasi.start(instance);
"""


@needs_wasi
@pytest.mark.parametrize("variant", VECTORS)
def test_kernels_equal_the_reference(variant, tmp_path):
    """And keep the error bounds that kernels.h states."""
    features = [f"-m{feature}" for feature in npm_package.VARIANTS[variant]]
    kernels = [TFLITE / "kernels" / f"{name}.c" for name in ("reference", "portable", "wasm")]
    engine = [TFLITE / "engine" / f"{name}.c" for name in ("dispatch", "elementary")]
    program = tmp_path / "kernels_test.wasm"
    flags = ("--target=wasm32-wasi", "-std=c99", "-O2", *features, "-Wl,-z,stack-size=1048576")
    run(CLANG, *flags, TFLITE / "tests/kernels_test.c", *kernels, *engine, "-lm", "-o", program)
    found = run(*node(), "--input-type=module", "-e", RUN_WASI, program, 100)
    assert found == "wasm: equal to the reference\n"


# === The host's bits ===


def answers(package: Path, variant: str, jobs: list[dict]) -> list[dict]:
    """What the package says by one of its modules."""
    wasm = str(package / "wasm" / f"{variant}.wasm")
    request = {"index": str(package / "index.js"), "wasm": wasm, "jobs": jobs}
    return json.loads(run(*node(), SCRIPTS / "answers.mjs", input=json.dumps(request)))


def check_equal(host: Host, job: dict, found: dict) -> None:
    """Labels, exits and the bits of scores and values; JSON gives a float32 all its digits."""
    pairs = job.get("pairs") or [None] * len(job["texts"])
    for text, pair, said in zip(job["texts"], pairs, found["said"], strict=True):
        expected, _ = host.answer(text, pair)
        probabilities = said.pop("probabilities", [])
        assert said == expected, text
        assert host.is_number or max(p["score"] for p in probabilities) == said["score"]
    expected, values = host.answer(job["texts"][0], pairs[0])
    assert found["exits"]["exit"] == expected["exit"]
    for said, row in zip(found["exits"]["exits"], values.tolist(), strict=False):
        own = [said["value"]] if host.is_number else [p["score"] for p in said["probabilities"]]
        assert own == row


@pytest.mark.parametrize("variant", npm_package.VARIANTS)
def test_packaged_models_say_what_the_host_says(package, variant):
    """300 texts of each small model and 60 of each large one, and Python's labels and exits."""
    for model in pretrained.names():
        file = pretrained.find(model)
        count = 300 if model in SMALL else 60
        job = {"model": str(file), "texts": list(texts(model, count))}
        (found,) = answers(package, variant, [job])
        python = load(file).classify(job["texts"])
        for said, expected in zip(found["said"], python, strict=True):
            assert (said["label"], said["exit"]) == (expected.label, expected.exit)
            assert said["truncated"] == expected.truncated
            assert [p["label"] for p in said["probabilities"]] == list(expected.probabilities)
            shares = [p["score"] for p in said["probabilities"]]
            np.testing.assert_allclose(shares, list(expected.probabilities.values()), atol=1e-6)
        check_equal(Host(file), job, found)


@pytest.mark.parametrize("variant", npm_package.VARIANTS)
def test_random_models_say_what_the_host_says(package, random_models, variant):
    words = ["a", "ab ba", "b c a", "é x 中 a! b", "a b c d e f g h i j k l m n o p q r s t"]
    hosts = [Host(file) for file in random_models]
    jobs = [{"model": str(file), "texts": words} for file in random_models]
    for host, job in zip(hosts, jobs, strict=True):
        if host.reads_pairs:
            job["pairs"] = words[::-1]
    for host, job, found in zip(hosts, jobs, answers(package, variant, jobs), strict=True):
        check_equal(host, job, found)
    kinds = {(host.is_number, bool(host.reads_pairs)) for host in hosts}
    assert len(kinds) == 4


# === What is refused ===

SENTENCES = {
    "empty": "The text is empty; remove it or fill it.",
    "number": "The text is of type number; give it as a string.",
    "pair": "The text is a pair, and the model reads single texts; give one text.",
    "surrogate": "Text 2 is not valid Unicode; repair its encoding.",
    "lists": "1 texts came with 2 second texts; give one for each.",
    "list": "2 texts came with no list of second texts; give one for each.",
    "option": "There is no option 'topk'; choose one of wasm, ",
    "truncate": "truncate 'no' must be true or false.",
    "foreign": "The option wasm is another module than the engine; ",
    "disposed": "The pipeline was disposed of; make another one.",
    "policy": "There is no exit policy 'sometimes' for this model; choose one of fractional_entropy, ",
    "change": "There is no exit policy 'change' for this model; choose one of fractional_entropy, ",
    "threshold": "The threshold NaN of the exit policy must be a finite number.",
    "whole": "The threshold 1.5 of 'patience' must be a whole number of at least 1.",
    "nowhere": "The model at nowhere.beex cannot be loaded: ",
    "integrity": "The model is another one than its integrity says: ",
    "hash": "integrity 'md5-abc' must be sha256-, sha384- or sha512- and a hash in base64.",
    "topK": "topK 0 must be a whole number of at least 1.",
    "onError": "onError 'ignore' must be 'raise' or 'return'.",
    "wasm": "The engine cannot be loaded: ",
    "source": "A model is given by its URL, or by the bytes of a .beex file.",
}


def test_mistakes_are_told_in_a_sentence(package):
    found = json.loads(
        run(*node(), SCRIPTS / "errors.mjs", package / "index.js", package / "models")
    )
    assert found["said"].keys() == SENTENCES.keys()
    for name, beginning in SENTENCES.items():
        assert found["said"][name].startswith(beginning)
        assert found["said"][name].endswith(".")
    fine, empty, long = found["returned"]
    assert found["truncated"] and found["policy"] == "confidence"
    assert found["frozen"] and found["bare"] == 3
    assert len(fine["probabilities"]) == 1
    assert empty == {"error": "Text 2 is empty; remove it or fill it."}
    assert long["error"].startswith("Text 3 has 102 tokens, the model reads 64: ")


def test_hostile_files(package):
    models = [pretrained.find("sst2-micro"), Path(__file__).with_name("golden") / "w1a8.beex"]
    script = SCRIPTS / "hostile.mjs"
    found = json.loads(run(*node(), script, package / "index.js", *models[:1]))
    assert found["refused"] > 100
    assert found["answered"] > 20


# === What is downloaded ===


def test_sizes(package):
    """Gzipped, as servers send them: the code with any of the modules, and a small model besides."""
    code = sum(npm_package.zipped(package / name) for name in npm_package.CODE)
    model = npm_package.zipped(package / "models" / "snips-micro.beex")
    for variant in npm_package.VARIANTS:
        total = code + npm_package.zipped(package / "wasm" / f"{variant}.wasm")
        assert total <= 60_000
        assert total + model <= 200_000


def test_the_code_is_all_that_a_page_loads(package):
    """Files that index.js imports, and what these import."""
    found, waiting = set(), {"index.js"}
    while waiting:
        found.add(name := waiting.pop())
        text = (package / name).read_text("utf-8")
        waiting |= set(re.findall(r'from "\./(.+)"', text)) - found
        assert not re.search(r"\b(eval|Function|XMLHttpRequest|importScripts)\b", text)
    assert found == set(npm_package.CODE)
