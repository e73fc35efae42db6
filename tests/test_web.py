"""The npm package: the host's bits from every module, its interface in Node, bundlers and a browser."""

import ctypes
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pages
import pytest
from browsers import emulate, requested, served, wait_for
from c_builds import TFLITE, run, shared
from conftest import COMPILER, needs_engine
from test_exactness import build, texts

from beex_keras import load, pretrained
from beex_keras.runtime import library

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools" / "web"))
import npm_package  # noqa: E402

SCRIPTS = Path(__file__).with_name("web")
TOOLS = ROOT / "build" / "web-tools" / "node_modules" / ".bin"
WASI = Path("/usr/lib/wasm32-wasi")
CLANG, NODE = npm_package.clang(), shutil.which("node")
VECTORS = [name for name in npm_package.VARIANTS if name != "plain"]

pytestmark = [
    needs_engine,
    pytest.mark.slow,
    pytest.mark.skipif(
        not CLANG or not NODE, reason="no Clang for WebAssembly, or no Node: tools/install_web.sh"
    ),
]

needs_wasi = pytest.mark.skipif(not WASI.is_dir(), reason="no wasi-libc: tools/install_web.sh")
needs_npm = pytest.mark.skipif(
    not all((TOOLS / name).exists() for name in ("tsc", "vite")) or not shutil.which("npm"),
    reason="no npm, TypeScript or Vite: tools/install_web.sh",
)


@functools.cache
def node() -> tuple[str, ...]:
    """Node, with a flag where relaxed vectors need one."""
    flag = "--experimental-wasm-relaxed-simd"
    known = subprocess.run([NODE, flag, "-e", "0"], capture_output=True).returncode == 0
    return (NODE, "--no-warnings", *([flag] if known else []))


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Path:
    """What `make web` builds; the playground stands beside it."""
    folder = shared(tmp_path_factory, "web", "npm")
    return npm_package.build(folder, CLANG)


@pytest.fixture(scope="session")
def archive(package, tmp_path_factory) -> Path:
    """What `npm pack` makes of it."""
    folder = tmp_path_factory.mktemp("archive")
    run("npm", "pack", "--silent", "--pack-destination", folder, cwd=package)
    (file,) = folder.glob("*.tgz")
    return file


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


class Result(ctypes.Structure):
    """`beex_result` of tflite/engine/beex.h."""

    _fields_ = [
        ("exit", ctypes.c_size_t),
        ("label", ctypes.c_size_t),
        ("score", ctypes.c_float),
        ("value", ctypes.c_float),
        ("truncated", ctypes.c_int),
    ]


class Host:
    """The engine that Python has on a model, by its C interface alone."""

    def __init__(self, model: Path) -> None:
        self._c = ctypes.CDLL(str(library.path()))
        self._c.beex_best_arena_size.restype = ctypes.c_size_t
        self._c.beex_label.restype = ctypes.c_char_p
        data = np.frombuffer(model.read_bytes(), np.uint8)
        self._data = np.zeros(-(-len(data) // 8), np.uint64)
        self._data.view(np.uint8)[: len(data)] = data
        self._model, self._engine = (np.zeros(1024, np.uint64) for _ in range(2))
        self._call("beex_open", self._model, self._data, ctypes.c_size_t(len(data)))
        size = self._c.beex_best_arena_size(self._at(self._model))
        self._arena = np.zeros(size // 8 + 1, np.uint64)
        start = self._engine, self._model, self._arena, ctypes.c_size_t(self._arena.nbytes), None
        self._call("beex_start", *start)
        header = np.frombuffer(model.read_bytes()[:256], np.uint32)
        self.reads_pairs = header[7] > 1
        self.has_vocabulary, self.is_number = bool(header[23]), bool(header[39])
        self.blocks, self.classes = int(header[13]), int(header[14])

    @staticmethod
    def _at(array: np.ndarray) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def _call(self, name: str, *arguments) -> None:
        plain = [self._at(a) if isinstance(a, np.ndarray) else a for a in arguments]
        status = getattr(self._c, name)(*plain)
        assert status == 0, f"{name}: {status}"

    def label(self, number: int) -> str:
        return self._c.beex_label(self._at(self._model), ctypes.c_size_t(number)).decode()

    def answer(self, text: str, pair: str | None) -> tuple[dict, np.ndarray]:
        """The prediction as the package writes it, but for probabilities; and what each exit says."""
        result, exits = Result(), ctypes.c_size_t()
        parts = []
        for part in (text, pair):
            data = None if part is None else part.encode()
            parts += [data, ctypes.c_size_t(len(data or b""))]
        self._call("beex_classify", self._engine, *parts, ctypes.byref(result))
        values = np.zeros((self.blocks, self.classes), np.float32)
        size = ctypes.c_size_t(values.size)
        self._call("beex_exits", self._engine, values, size, ctypes.byref(exits))
        found = {"exit": result.exit, "truncated": bool(result.truncated)}
        if self.is_number:
            found["value"] = result.value
        else:
            found |= {"label": self.label(result.label), "score": result.score}
        return found, values[: exits.value]


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
    """300 texts of each, and Python's labels and exits."""
    for model in pretrained.names():
        file = pretrained.find(model)
        job = {"model": str(file), "texts": list(texts(model, 300))}
        (found,) = answers(package, variant, [job])
        python = load(file).classify(job["texts"])
        for said, expected in zip(found["said"], python, strict=True):
            assert (said["label"], said["exit"]) == (expected.label, expected.exit)
            assert said["truncated"] == expected.truncated
            assert [p["label"] for p in said["probabilities"]] == list(expected.probabilities)
            shares = [p["score"] for p in said["probabilities"]]
            np.testing.assert_allclose(shares, list(expected.probabilities.values()), atol=1e-6)
        check_equal(Host(file), job, found)


@pytest.fixture(scope="session")
def random_models(tmp_path_factory) -> list[Path]:
    """Small files of all kinds: precisions, networks, tasks, policies, single texts and pairs."""
    folder = tmp_path_factory.mktemp("random")
    program = folder / "differential_test"
    run(build(program, COMPILER, "-O1", program="tests/differential_test.c"), "-w", folder, 300)
    return [file for file in sorted(folder.glob("*.beex")) if Host(file).has_vocabulary]


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


# === The archive ===

SCRIPT = """
import { pipeline } from "beex-keras";
import model, { integrity } from "beex-keras/models/sst2-micro";
const classify = await pipeline(model, { integrity });
console.log(classify("what a lovely film").label);
"""

INLINE = """
import { readFile } from "node:fs/promises";
import { pipeline } from "beex-keras";
import wasm from "beex-keras/wasm/simd";
const classify = await pipeline(await readFile(process.argv[2]), { wasm });
console.log(classify("what a lovely film").label);
"""

TYPED = """
import { pipeline, BeexError, type Prediction } from "beex-keras";
import { pipeline as inWorker } from "beex-keras/worker";
import model, { integrity } from "beex-keras/models/sst2-micro";
import wasm from "beex-keras/wasm/simd";

const classify = await pipeline(model, { integrity, wasm, topK: 1, policy: { name: "entropy", threshold: 0.3 } });
const one: Prediction = classify("a text");
const many: Prediction[] = classify(["a text", "another"]);
if (one.value === undefined) console.log(one.label.length, one.score.toFixed(2), one.probabilities[0]?.label);
else console.log(one.value.toFixed(2));
classify.policy = { name: "confidence", threshold: 0.9 };
console.log(classify.exits("a text").exits.map(({ policyScore }) => policyScore.toFixed(2)), many.length);
const lenient = await inWorker("model.beex", { onError: "return" });
const answer = await lenient("a text");
if (answer.error !== undefined) throw new BeexError(answer.error);
// @ts-expect-error there is no such option
await pipeline(model, { quantized: true });
// @ts-expect-error a text is a string
classify(5);
"""


@pytest.fixture(scope="session")
def installed(archive, tmp_path_factory) -> Path:
    """An empty folder with the archive installed into it."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    run("npm", "install", "--silent", "--offline", "--no-audit", archive, cwd=folder)
    return folder


@needs_npm
def test_a_script_of_five_lines(installed):
    (installed / "script.mjs").write_text(SCRIPT)
    assert run(*node(), installed / "script.mjs") == "positive\n"
    (installed / "inline.mjs").write_text(INLINE)
    assert run(*node(), installed / "inline.mjs", pretrained.find("sst2-micro")) == "positive\n"


THREADED = """
import { pipeline } from "beex-keras/worker";
import model, { integrity } from "beex-keras/models/sst2-micro";
const classify = await pipeline(model, { integrity });
console.log((await classify("what a lovely film")).label);
console.log(await classify("").catch(({ name }) => name));
classify.dispose();
"""


@pytest.mark.parametrize("program", [("deno", "run", "--quiet", "--allow-all"), ("bun",)], ids=str)
def test_other_runtimes(installed, program):
    if not (TOOLS / program[0]).exists():
        pytest.skip(f"no {program[0]}: tools/install_web.sh")
    (installed / "script.mjs").write_text(SCRIPT)
    (installed / "threaded.mjs").write_text(THREADED)
    command = [TOOLS / program[0], *program[1:]]
    assert run(*command, "script.mjs", cwd=installed) == "positive\n"
    assert run(*command, "threaded.mjs", cwd=installed) == "positive\nBeexError\n"


@needs_npm
def test_types(installed):
    (installed / "typed.mts").write_text(TYPED)
    options = ("--strict", "--noEmit", "--target", "es2022", "--lib", "es2023,dom")
    run(
        *[TOOLS / "tsc", *options, "--module", "nodenext", "--moduleResolution", "nodenext"],
        "typed.mts",
        cwd=installed,
    )


@needs_npm
def test_the_archive_has_the_notices(archive):
    with tarfile.open(archive) as tar:
        names = set(tar.getnames())
        for name in ("NOTICE", "LICENSE"):
            assert tar.extractfile(f"package/{name}").read() == (ROOT / name).read_bytes()
    models = {f"package/models/{name}.beex" for name in pretrained.names()}
    assert models <= names
    assert {f"package/wasm/{name}.wasm" for name in npm_package.VARIANTS} <= names


# === A browser ===

BUNDLED = """
import { pipeline } from "beex-keras";
import { pipeline as inWorker } from "beex-keras/worker";
import model, { integrity } from "beex-keras/models/sst2-micro";

const said = {};
try {
  const classify = await pipeline(model, { integrity });
  said.here = classify("what a lovely film").label;
  const threaded = await inWorker(model, { integrity });
  said.worker = (await threaded(["what a lovely film", "flat and lifeless"])).map(({ label }) => label);
  said.exits = (await threaded.exits("what a lovely film")).exits.length;
  await threaded.setPolicy({ name: "fixed_depth", threshold: 2 });
  said.exit = (await threaded("what a lovely film")).exit;
  said.refused = await threaded("").catch(({ name, message }) => `${name}: ${message}`);
  said.hostile = await inWorker(new Uint8Array(999)).catch(({ name }) => name);
  threaded.dispose();
  said.disposed = await threaded("a").catch(({ message }) => message);
} catch (error) {
  said.error = String(error);
}
try {
  said.eval = new Function("return 1")();
} catch (error) {
  said.eval = error.name;
}
document.title = JSON.stringify(said);
"""

PAGE = (
    '<!doctype html><link rel="icon" href="data:,"><script type="module" src="./page.js"></script>'
)

POLICY = "; ".join(
    (
        *("default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "connect-src 'self'"),
        *("worker-src 'self'", "style-src 'self'", "img-src 'self' data:"),
    )
)

BLOCKS = pretrained.card("sst2-micro")["config"]["num_blocks"]

EXPECTED = {
    "here": "positive",
    "worker": ["positive", "negative"],
    "exits": BLOCKS,
    "exit": 2,
    "refused": "BeexError: The text is empty; remove it or fill it.",
    "hostile": "BeexError",
    "disposed": "The pipeline was disposed of; make another one.",
    "eval": "EvalError",
}


def check_page(browser, folder: Path) -> None:
    with served(folder, POLICY) as address:
        browser.get(address)
        said = json.loads(wait_for(lambda: browser.title))
        assert said == EXPECTED


def test_a_page_without_a_bundler(package, browser, tmp_path):
    shutil.copytree(package, tmp_path / "beex-keras")
    code = BUNDLED.replace('"beex-keras"', '"./beex-keras/index.js"')
    code = re.sub('"beex-keras/(.+)"', r'"./beex-keras/\1.js"', code)
    (tmp_path / "page.js").write_text(code)
    (tmp_path / "index.html").write_text(PAGE)
    check_page(browser, tmp_path)


@needs_npm
def test_a_page_that_vite_bundled(installed, browser, tmp_path):
    """It takes along the model that is used, and no other."""
    shutil.copytree(installed, tmp_path / "site")
    (tmp_path / "site" / "page.js").write_text(BUNDLED)
    (tmp_path / "site" / "index.html").write_text(PAGE)
    run(TOOLS / "vite", "build", "--logLevel", "error", "--target", "es2022", cwd=tmp_path / "site")
    dist = tmp_path / "site" / "dist"
    models = [file.name for file in dist.rglob("*.beex")]
    assert len(models) == 1 and models[0].startswith("sst2-micro")
    check_page(browser, dist)


@needs_npm
def test_the_page_of_the_documentation(installed, browser, tmp_path):
    """Its blocks of JavaScript, one after the other, in a bundle."""
    blocks = [b.text for b in pages.read("docs/web.md")[0] if b.language == pages.JS]
    log = "const said = [];\nconsole.log = (...values) => said.push(values);\n"
    end = "\ndocument.title = JSON.stringify(said);\n"
    shutil.copytree(installed, tmp_path / "site")
    (tmp_path / "site" / "page.js").write_text("\n".join([log, *blocks, end]))
    (tmp_path / "site" / "index.html").write_text(PAGE)
    run(TOOLS / "vite", "build", "--logLevel", "error", "--target", "es2022", cwd=tmp_path / "site")
    with served(tmp_path / "site" / "dist", POLICY) as address:
        browser.get(address)
        first, (lenient,), *exits, worker, inlined = json.loads(wait_for(lambda: browser.title))
    assert first[0] == "positive" and first[2] == 1
    assert lenient[0]["label"] == "negative" and "error" in lenient[1]
    assert [said[0] for said in exits] == ["positive"] * BLOCKS
    assert worker == inlined == ["positive"]


def test_the_sizes_of_the_documentation(package):
    """Each row of its table, within a hundredth: other versions of Clang may write other code."""
    text = (ROOT / "docs" / "web.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)\.wasm` \|.*?\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", text, re.M)
    assert [name for name, *_ in rows] == list(npm_package.VARIANTS)[::-1]
    code = sum(npm_package.zipped(package / name) for name in npm_package.CODE)
    for name, *written in rows:
        module = package / "wasm" / f"{name}.wasm"
        small = npm_package.zipped(module)
        for number, size in zip(written, (module.stat().st_size, small, code + small), strict=True):
            assert int(number.replace(",", "")) == pytest.approx(size, rel=0.01)


# === The playground ===


def text_of(browser, name: str) -> str:
    return browser.execute_script(f"return document.getElementById('{name}').textContent")


@pytest.mark.parametrize("width, dark", [(1100, False), (390, True)])
def test_the_playground(package, browser, tmp_path, width, dark):
    folder = package.parent / "playground"
    with served(folder, POLICY) as address:
        emulate(browser, width, dark=dark)
        browser.get(address)
        assert wait_for(lambda: text_of(browser, "label"))
        assert requested(browser) == {address}

        browser.find_element("css selector", "#models input[value=sst2-micro]").send_keys(" ")
        wait_for(lambda: len(browser.find_elements("css selector", "#exits li")) == BLOCKS)
        field = browser.find_element("id", "text")
        field.clear()
        field.send_keys("what a lovely film")
        expected = load(pretrained.find("sst2-micro")).classify(["what a lovely film"])[0]
        wait_for(lambda: text_of(browser, "label") == expected.label)
        sure = f"{100 * expected.score:.1f} % sure at exit {expected.exit} of {BLOCKS}"
        assert sure in text_of(browser, "summary")
        assert re.fullmatch(r"[\d,]+ µs[\d,]+ texts a second", text_of(browser, "time"))
        size = pretrained.card("sst2-micro")["file"]["bytes"]
        assert f"model {size / 1000:.0f} KB" in text_of(browser, "bytes")

        slider = browser.find_element("id", "threshold")
        slider.send_keys("\ue010")  # End: no exit reaches a confidence of 1
        wait_for(lambda: f"at exit {BLOCKS} of {BLOCKS}" in text_of(browser, "summary"))
        assert "No exit passed the threshold" in text_of(browser, "summary")
        browser.find_element("id", "reset").send_keys(" ")
        wait_for(lambda: f"at exit {expected.exit} of {BLOCKS}" in text_of(browser, "summary"))

        damaged = tmp_path / "damaged.beex"
        damaged.write_bytes(pretrained.find("sst2-micro").read_bytes()[:-1])
        browser.find_element("id", "file").send_keys(str(damaged))
        wait_for(lambda: "cannot be read" in text_of(browser, "error"))
        browser.find_element("id", "file").send_keys(str(pretrained.find("snips-micro")))
        wait_for(lambda: "from your disk" in text_of(browser, "bytes"))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.get_log("browser") == []
        if kept := os.environ.get("BEEX_SCREENSHOT"):
            browser.save_screenshot(f"{kept}-{width}.png")


def test_the_playground_with_many_classes(package, browser):
    with served(package.parent / "playground", POLICY) as address:
        browser.get(address)
        wait_for(lambda: text_of(browser, "label"))
        browser.find_element("css selector", "#models input[value=clinc-minilm]").send_keys(" ")
        wait_for(lambda: "142 others" in text_of(browser, "legend"))
        assert len(browser.find_elements("css selector", "#legend li")) == 9


def test_the_playground_with_a_number(package, browser, random_models):
    """A model that answers a number, of pairs: a second field, and no classes."""
    hosts = ((file, Host(file)) for file in random_models)
    file = next(file for file, host in hosts if host.is_number and host.reads_pairs)
    with served(package.parent / "playground", POLICY) as address:
        browser.get(address)
        wait_for(lambda: text_of(browser, "label"))
        browser.find_element("id", "file").send_keys(str(file))
        wait_for(lambda: browser.find_element("id", "pair").is_displayed())
        for name, text in (("text", "a b"), ("pair", "c")):
            browser.find_element("id", name).clear()
            browser.find_element("id", name).send_keys(text)
        value = Host(file).answer("a b", "c")[0]["value"]
        wait_for(lambda: text_of(browser, "summary").startswith("The number of exit"))
        assert float(text_of(browser, "label")) == pytest.approx(value, rel=5e-3)
        assert text_of(browser, "legend") == ""
        assert browser.get_log("browser") == []
