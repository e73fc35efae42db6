"""From a classifier to ``.tflite`` files."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beex_keras.errors import BeexError
from beex_keras.export.description import EXITS, describe, is_segment_name, segment_name
from beex_keras.export.matrices import binary_matrices
from beex_keras.export.tflite import (
    fixedpoint,
    flatbuffer,
    freeze,
    fuse,
    graphs,
    lce,
    memory_plan,
    metadata,
    naming,
    onebit,
    tidy,
)
from beex_keras.export.tflite.audit import audit
from beex_keras.export.tflite.file_sizes import file_sizes
from beex_keras.files import atomic_path, check_replaceable, write_atomically
from beex_keras.models import BEExformerClassifier


def convert(
    classifier: BEExformerClassifier,
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    exit: str = "in-graph",
    threshold_input: bool = False,
    plan_memory: bool = False,
) -> bytes:
    """Converts the classifier to a `.tflite` file that contains everything that prediction needs.

    Every binary weight takes one bit, which an audit checks. Float32 twins can be converted, too.

    - ``exit="in-graph"``: the file exits by itself, by the classifier's policy. Input ``token_ids`` int32
      (1, T); outputs ``logits`` float32 (1, C) and ``exit_index`` int32 (1,), counted from 0. Blocks after
      the exit taken do not run.
    - ``exit="all-outputs"``: every block runs. Output ``exit_logits`` float32 (1, N, C).

    The names are those of the file's signature, and the order is that of the interpreter.

    Args:
        classifier: the model; preprocessor, labels and exit policy go into the file.
        length: T; `config.max_length` if None. A shorter graph is faster and reads less text.
        calibration: figures of the policy's calibration, which are stored with it (JSON values).
        exit: as above.
        threshold_input: with "in-graph", make the threshold an input, ``threshold`` float32 (1,).
        plan_memory: store a plan of the arena in the file, with which TensorFlow Lite Micro needs less
            memory.

    Raises:
        BeexError: Larq Compute Engine is missing or fails, `length` or an option does not fit, or a
            layer that is binary by its configuration did not come out binary.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", width=8, num_blocks=1)
        >>> data = beex.convert(beex.BEExformerClassifier(config))
        >>> beex.export.audit(data, config).matrices["block_1/attention/query"]
        'FULLY_CONNECTED'
    """
    _check_exit(exit, threshold_input, EXITS[:2])
    parts = freeze.freeze_parts(classifier, length)
    first = 1
    blocks, inputs = len(parts.blocks), [graphs.TOKEN_IDS]
    if exit == "in-graph":
        graph = graphs.self_exiting(parts, classifier.policy, threshold_input)
        outputs = [graphs.LOGITS, graphs.EXIT_INDEX]
        first = graphs.first_exit(classifier.policy, threshold_input)
        if threshold_input:
            inputs.append(graphs.THRESHOLD)
        else:
            blocks = classifier.policy.deepest(blocks)
    else:
        graph, outputs = graphs.all_exits(parts), [graphs.EXIT_LOGITS]
    model = _compiled(classifier, graph, inputs, outputs, range(1, blocks + 1), plan_memory, first)
    exiting = {"exit": exit, "threshold_input": threshold_input}
    metadata.attach(model, describe(classifier, parts.length, calibration, **exiting))
    return metadata.seal(flatbuffer.pack(model))


def convert_segments(
    classifier: BEExformerClassifier,
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    plan_memory: bool = False,
) -> list[bytes]:
    """Converts the classifier to one `.tflite` file for each block; the host decides after each.

    The first file reads ``token_ids`` int32 (1, T). The others read ``hidden`` float32 (1, T, D), which the
    file before gives, and the same ``token_ids``. All files give ``logits`` float32 (1, C), and all but the
    last give ``hidden``. The vocabulary is in the first file. Arguments and errors are those of `convert`.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", width=8, num_blocks=1)
        >>> files = beex.export.convert_segments(beex.BEExformerClassifier(config))
        >>> len(files)
        1
    """
    parts = freeze.freeze_parts(classifier, length)
    models, files = [], []
    for number, graph in enumerate(graphs.segments(parts), start=1):
        inputs = [graphs.TOKEN_IDS] if number == 1 else [graphs.HIDDEN, graphs.TOKEN_IDS]
        outputs = [graphs.LOGITS, graphs.HIDDEN][: 1 if number == len(parts.blocks) else 2]
        blocks = range(number, number + 1)
        models.append(_compiled(classifier, graph, inputs, outputs, blocks, plan_memory))
    digest = hashlib.sha256(b"".join(map(flatbuffer.pack, models))).hexdigest()
    about = describe(classifier, parts.length, calibration, exit="segments", model_digest=digest)
    for number, model in enumerate(models, start=1):
        preprocessor = about.preprocessor if number == 1 else None
        own = dataclasses.replace(about, segment=number, preprocessor=preprocessor)
        metadata.attach(model, own)
        files.append(metadata.seal(flatbuffer.pack(model)))
    return files


def export_file(
    classifier: BEExformerClassifier,
    path: str | os.PathLike[str],
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    exit: str = "in-graph",
    threshold_input: bool = False,
    plan_memory: bool = False,
) -> dict[str, int]:
    """Writes `convert`'s file to `path`, whole or not at all, and says where its bytes go.

    With ``exit="segments"`` `path` becomes a directory of `convert_segments`' files.

    Returns:
        The figures of its `FileSizes`, by name; for segments, their sums.

    Raises:
        BeexError: as `convert`, or the file cannot be written or has the suffix of another format.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", width=8, num_blocks=1)
        >>> sizes = beex.export.export_file(beex.BEExformerClassifier(config), "small.tflite")
        >>> sizes["binary"] < sizes["total"]
        True
    """
    _check_exit(exit, threshold_input, EXITS)
    if Path(path).suffix.lower() in (".beex", ".c", ".h"):
        what, fix = "a .tflite file", "end its name in .tflite"
        if exit == "segments":
            what, fix = "a directory of segments", "leave out its suffix"
        raise BeexError(f"{path} is to be {what}; {fix}.")
    if exit != "segments":
        data = convert(classifier, length, calibration, exit, threshold_input, plan_memory)
        write_atomically(path, data)
        return dataclasses.asdict(file_sizes(data))
    check_replaceable(path, is_segment_name)
    files = convert_segments(classifier, length, calibration, plan_memory)
    with atomic_path(path) as directory:
        directory.mkdir()
        for number, data in enumerate(files, start=1):
            (directory / segment_name(number)).write_bytes(data)
    sizes = [dataclasses.asdict(file_sizes(data)) for data in files]
    return {kind: sum(figures[kind] for figures in sizes) for kind in sizes[0]}


def _check_exit(exit: str, threshold_input: bool, known: Sequence[str]) -> None:
    if exit not in known:
        raise BeexError(f"exit={exit!r} must be {' or '.join(map(repr, known))}.")
    if threshold_input and exit != "in-graph":
        raise BeexError(
            "A threshold can be an input only of a file that exits by itself; leave out threshold_input."
        )


def _compiled(
    classifier: BEExformerClassifier,
    graph: graphs.Graph,
    inputs: list[str],
    outputs: list[str],
    blocks: range,
    plan_memory: bool,
    first_exit: int = 1,
) -> Any:
    """The parsed file of a graph with some blocks: every pass applied, audited and named."""
    config, model = classifier.config, flatbuffer.parse(lce.convert_function(graph))
    tidy.remove_barriers(model)
    tidy.unfold_gelu(model)
    fuse.fuse(model)
    onebit.pack_tables(model)
    onebit.pack_kernels(model)
    if config != config.twin():  # a float32 twin's file is float32 throughout
        fixedpoint.pack_reals(model)
    tidy.use_select_v2(model)
    tidy.share_buffers(model)
    tidy.drop_empty_quantization(model)
    report = audit(model, config, binary_matrices(classifier), blocks, first_exit)
    naming.order_signature(model, inputs, outputs)
    naming.name_tensors(model, report.tensors)
    naming.name_graphs(model, first_exit)
    if plan_memory:
        memory_plan.plan(model)
    return model
