"""All that works without TensorFlow, run by tests/test_without_tensorflow.py in a folder of its own."""

import sys

for name in ("tensorflow", "tf_keras", "tensorflow_text", "larq", "larq_compute_engine"):
    sys.modules[name] = None  # importing it raises

import json
from pathlib import Path

from commands import beex as run

import beex_keras as beex

texts, labels = ["what a lovely film", "a dull, endless bore"], ["positive", "negative"]
for name in beex.pretrained.names():
    assert name in run("models", name)
    assert json.loads(run("predict", name, texts[0], "--json"))["exit"] >= 1
    runner = beex.load(name)
    assert type(runner).__name__ == "CRunner"
classify = beex.pipeline("sst2-micro", top_k=1)
assert [prediction.label for prediction in classify(texts)] == labels
for policy in (beex.FractionalEntropy(), beex.Entropy(), beex.Patience(), beex.FixedDepth(2)):
    assert beex.pipeline("sst2-micro", policy=policy)(texts[0]).exit in range(1, 5)

rows = [json.dumps({"text": t, "label": n}) for t, n in 20 * list(zip(texts, labels, strict=True))]
Path("rows.jsonl").write_text("\n".join(rows), "utf-8")
files = ("rows.jsonl", "--validation", "rows.jsonl", "--test", "rows.jsonl")
assert json.loads(run("evaluate", "sst2-micro", *files, "--json"))["score"] == 1
task = beex.load_task("rows.jsonl", validation="rows.jsonl", test="rows.jsonl")
assert beex.evaluation.evaluate_runner(classify.runner, task, task.test).score == 1

size = beex.pretrained.card("sst2-micro")["file"]["bytes"]
assert json.loads(run("summary", "sst2-micro", "--json"))["beex_file"]["total"] == size
assert "exported" in run("summary", "--preset", "tiny")
run("convert", "sst2-micro", "-o", "short.beex", "--length", 16, "--threshold", 0.9)
short = beex.load("short.beex")
assert (short.length, short.policy) == (16, beex.Confidence(0.9))
found = json.loads(run("calibrate", "short.beex", *files[1:3], "--policy", "entropy", "--json"))
assert found["validation_samples"] == 40
assert beex.load("short.beex").policy == beex.Entropy(found["policy"]["tau"])
run("convert", "sst2-micro", "-o", "model.c")
assert "model_data" in Path("model.c").read_text("utf-8")
run("convert", "sst2-micro", "--target", "mcu", "-o", "firmware")
assert Path("firmware/Makefile").is_file()
assert "self-test passed" in run("--version", "--verbose")

for arguments in (("convert", "sst2-micro", "-o", "model.tflite"), ("train", *files, "-o", "run")):
    assert "pip install 'beex-keras[train]'" in run(*arguments, code=2), arguments
assert not any(module and module.startswith("tensorflow.") for module in sys.modules)
print("all works")
