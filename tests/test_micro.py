"""Whole files in TensorFlow Lite Micro beside Larq Compute Engine, and the memory that they need."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COMPILER, GELU, built, converted, needs_engine, random_ids

from beex_keras import exits
from beex_keras.export.tflite import flatbuffer, memory_plan
from beex_keras.runtime import LCERunner

sys.path.append(str(Path(__file__).parents[1] / "tools"))
import tflm_host

ROOT = Path(__file__).parents[1]

needs_micro = pytest.mark.skipif(tflm_host.why_not() is not None, reason=str(tflm_host.why_not()))

POLICIES = [
    exits.FractionalEntropy(0.05),
    exits.Entropy(1.2),
    exits.Confidence(0.4),
    exits.Patience(1),
    exits.FixedDepth(2),
]


IDS = random_ids(20, 12)
IDS[:, 4] = 3
IDS[::3, 7:] = 0


def run_rows(data: bytes, outputs: int, ops: str = tflm_host.PACKED) -> tuple[list, dict]:
    """The outputs for each row of IDS, and the arena."""
    micro = tflm_host.Micro(data, arena_size=1 << 20, ops=ops)
    rows = [micro.run(row[np.newaxis], outputs=outputs) for row in IDS]
    return [np.concatenate(arrays) for arrays in zip(*rows, strict=True)], micro.arena()


def planned(data: bytes) -> bytes:
    model = flatbuffer.parse(data)
    memory_plan.plan(model)
    return flatbuffer.pack(model)


IN_PLACE = {"ADD", "DIV", "EXP", "L2_NORMALIZATION", "LOGISTIC", "MUL", "NEG", "ROUND", "SOFTMAX",
            "SQRT", "SUB", "TANH"}  # fmt: skip


class Plan:
    """Runs every path of a file on names instead of numbers, in memory as the plan lays it out.

    A tensor's words in memory must still bear its name whenever it is read.
    """

    def __init__(self, data: bytes):
        self.model = flatbuffer.parse(data)
        plan = np.frombuffer(flatbuffer.get_metadata(self.model, memory_plan.NAME), "<i4")
        version, _, count, *offsets = plan
        tensors = [tensor for graph in self.model.subgraphs for tensor in graph.tensors]
        assert (version, count) == (1, len(tensors))
        self.place = {id(tensor): at for tensor, at in zip(tensors, offsets, strict=True)}
        self.words = np.zeros(max(offsets) + sum(map(flatbuffer.byte_size, tensors)), np.int64)
        self.names: dict[int, int] = {}
        self.paths = 0

    def region(self, tensor: Any) -> slice:
        start = self.place[id(tensor)]
        return slice(start, start + flatbuffer.byte_size(tensor))

    def has(self, tensor: Any) -> bool:
        return tensor is not None and self.place[id(tensor)] >= 0

    def write(self, tensor: Any, name: int) -> None:
        assert self.place[id(tensor)] % 16 == 0
        self.names[id(tensor)] = name
        self.words[self.region(tensor)] = name

    def read(self, tensor: Any) -> None:
        found = self.words[self.region(tensor)]
        assert np.all(found == self.names[id(tensor)]), flatbuffer.text(tensor.name)

    def follow(self, graph: Any) -> None:
        for operation in flatbuffer.graph_operations(self.model, graph):
            for tensor in filter(self.has, operation.inputs):
                self.read(tensor)
            before = self.words.copy()
            for branch in flatbuffer.branches(self.model, operation):
                self.words[:] = before
                self.enter(branch, operation)
            for output in filter(self.has, operation.outputs):
                self.check_place(output, operation)
                first = operation.inputs[0]
                moves = operation.name == "RESHAPE" and self.has(first)
                self.write(output, self.names[id(first)] if moves else id(output))
        for i in graph.outputs:
            if self.has(graph.tensors[i]):
                self.read(graph.tensors[i])

    def enter(self, branch: Any, operation: Any) -> None:
        targets = [branch.tensors[i] for i in branch.inputs]
        for source, target in zip(operation.inputs[1:], targets, strict=True):
            self.write(target, self.names[id(source)])
        for target in targets:
            self.read(target)
        self.follow(branch)
        self.paths += 1

    def check_place(self, output: Any, operation: Any) -> None:
        """An output lies apart from the inputs, unless the operation works in place."""
        ours = self.region(output)
        for tensor in filter(self.has, operation.inputs):
            theirs = self.region(tensor)
            apart = ours.stop <= theirs.start or theirs.stop <= ours.start
            whole = ours == theirs and operation.name in {*IN_PLACE, "RESHAPE"}
            assert apart or whole or operation.name == "IF", operation.label


def check_plan(data: bytes) -> None:
    plan = Plan(data)
    main = plan.model.subgraphs[0]
    for i in main.inputs:
        plan.write(main.tensors[i], id(main.tensors[i]))
    plan.follow(main)
    assert plan.paths == 2 * sum(o.name == "IF" for o in flatbuffer.operations(plan.model))


PAIRS = {"num_segments": 2}


@pytest.fixture(scope="module")
def three_blocks() -> bytes:
    """A weights-only file whose texts leave at different exits, without a plan."""
    return converted("weights-only", policy=exits.Entropy(1.2), **PAIRS)


SLOW = [
    *(("weights-only", policy, {}) for policy in POLICIES[2:]),
    ("fully-binary", POLICIES[3], {}),
    ("float", POLICIES[0], {}),
    ("weights-only", POLICIES[1], {"network": "ffn", "num_blocks": 2}),
]


@needs_micro
@pytest.mark.parametrize(
    ("mode", "policy", "changes"),
    [
        ("fully-binary", POLICIES[0], {}),
        ("weights-only", POLICIES[1], {}),
        ("float", POLICIES[3], {}),
        ("weights-only", POLICIES[2], {**GELU, "num_blocks": 2}),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW),
    ],
)
def test_files_that_exit_by_themselves(mode, policy, changes):
    sizes = {**PAIRS, **changes}
    data = converted(mode, policy=policy, plan_memory=True, **sizes)
    check_plan(data)
    exit_logits = built(mode, **sizes)(IDS).numpy()
    taken = policy.choose(exit_logits)
    decided = LCERunner(data).decide(IDS)
    (logits, index), _ = run_rows(data, 2)
    np.testing.assert_array_equal(index, taken)
    np.testing.assert_array_equal(decided.exits, taken)
    np.testing.assert_allclose(logits, decided.logits, rtol=0, atol=1e-5)
    np.testing.assert_allclose(logits, exit_logits[np.arange(20), taken], rtol=0, atol=1e-5)


@needs_micro
def test_memory():
    """Packed weights and the plan each spare memory and change nothing."""
    sizes = {"width": 36, "num_blocks": 2, **PAIRS}
    scores = exits.Entropy(0).scores(built(**sizes)(IDS))[:, 0]
    wide = converted(policy=exits.Entropy(float(np.median(scores))), **sizes)
    check_plan(planned(wide))
    results, arenas = [], []
    for data in (wide, planned(wide)):
        for ops in (tflm_host.UNPACKED, tflm_host.PACKED):
            outputs, arena = run_rows(data, 2, ops)
            results.append(outputs)
            arenas.append(arena["total"])
    assert len(set(results[0][1])) > 1
    for logits, index in results[1:]:
        np.testing.assert_array_equal(index, results[0][1])
        np.testing.assert_allclose(logits, results[0][0], rtol=0, atol=1e-5)
    unpacked, packed, unpacked_planned, packed_planned = arenas
    assert packed_planned < packed < unpacked
    assert packed_planned < unpacked_planned < unpacked


@needs_micro
def test_planned_memory_does_not_grow_with_depth(three_blocks):
    """A block's input is not kept for the blocks behind it."""
    two_blocks = converted(
        "weights-only", policy=exits.Entropy(1.2), plan_memory=True, num_blocks=2, **PAIRS
    )
    heads = [run_rows(data, 2)[1]["head"] for data in (two_blocks, planned(three_blocks))]
    assert heads[1] - heads[0] < 256


@needs_micro
def test_other_forms_of_the_file():
    model = built("fully-binary", **PAIRS)
    expected = model(IDS).numpy()
    data = converted("fully-binary", "all-outputs", plan_memory=True, **PAIRS)
    (logits,), _ = run_rows(data, 1)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)

    confidence = exits.Confidence(0.9)
    data = converted(
        "fully-binary", policy=confidence, threshold_input=True, plan_memory=True, **PAIRS
    )
    micro = tflm_host.Micro(data, arena_size=1 << 20)
    threshold = np.array([0.4], np.float32)
    found = [micro.run(row[np.newaxis], threshold, outputs=2)[1][0] for row in IDS]
    np.testing.assert_array_equal(found, exits.Confidence(0.4).choose(expected))


@needs_micro
def test_packed_weights_need_an_op_that_reads_them(three_blocks):
    """Any other FULLY_CONNECTED would take the words for floats."""
    micro = tflm_host.Micro(three_blocks, arena_size=1 << 20, ops="BeexRegisterHalf")
    with pytest.raises(RuntimeError):
        micro.run(IDS[:1])


@needs_micro
def test_ops_are_added_to_the_known_resolver_alone(three_blocks):
    """Beside ops that someone else added, the layout is not what was checked."""
    with pytest.raises((RuntimeError, ValueError)):
        tflm_host.runtime().Interpreter.from_bytes(
            three_blocks, custom_op_registerers=[tflm_host.PACKED] * 2, arena_size=1 << 20
        )


def test_other_versions_are_refused(monkeypatch):
    monkeypatch.setattr(tflm_host, "version", lambda name: "0.dev20991231")
    if tflm_host.COMPILER is not None:
        assert "0.dev20991231" in str(tflm_host.why_not())


@needs_micro
def test_the_ops_need_no_library_of_cpp():
    if shutil.which("nm") is None:
        pytest.skip("no nm")
    listed = subprocess.run(
        ["nm", "-DuC", tflm_host.library()], capture_output=True, text=True, check=True
    )
    wanted = {line.split(maxsplit=1)[-1].split("@")[0] for line in listed.stdout.splitlines()}
    assert any("GetEvalInput" in name for name in wanted)  # the list is what it seems
    for forbidden in ("malloc", "free", "operator new", "operator delete", "__cxa_throw", "std::"):
        assert not [name for name in wanted if name.startswith(forbidden)]


@needs_engine
def test_kernels_equal_plain_loops(tmp_path):
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    sources = [ROOT / "tflite" / name for name in ("tests/lce_test.c", "kernels/lce.c")]
    target = tmp_path / "lce_test"
    sanitize = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    for extra in (sanitize, ["-O2"]):  # where there are no sanitizers, without
        command = [COMPILER, *flags, *extra, *sources, "-o", target]
        if subprocess.run(command, capture_output=True).returncode == 0:
            break
    result = subprocess.run([target], capture_output=True, text=True)
    assert result.stdout == "0 failures\n", result.stdout + result.stderr
