"""The npm package where it is installed: Node, Deno, Bun, TypeScript, a browser and the playground."""

import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import pages
import pytest
from browsers import emulate, requested, served, wait_for
from c_builds import run
from web_package import ROOT, TOOLS, Host, needs, needs_npm, node, npm_package

from beex_keras import load, pretrained

pytest_plugins = ["web_package"]
pytestmark = needs


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
import { pipeline, BeexError, type Options, type Prediction } from "beex-keras";
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
const options: Options = { onError: "return" };
const { label, exit, error } = (await pipeline(model, options))("a text");
// @ts-expect-error a failure has no exit
console.log(label, error, exit.toFixed());
// @ts-expect-error the labels are the model's
classify.labels.sort();
// @ts-expect-error there is no such option
await pipeline(model, { quantized: true });
// @ts-expect-error a text is a string
classify(5);
"""


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
