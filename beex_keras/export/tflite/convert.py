"""From a Keras model to the bytes of a ``.tflite`` file."""

from typing import Any

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.export.description import EXITS, Metadata, describe
from beex_keras.export.matrices import binary_matrices
from beex_keras.export.tflite import (
    flatbuffer,
    graphs,
    lce,
    memory_plan,
    metadata,
    own_models,
    passes,
)
from beex_keras.export.tflite.audit import audit
from beex_keras.export.tflite.passes import naming
from beex_keras.models import BEExformerClassifier


def to_tflite(
    model: tf.keras.Model,
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    exit: str = "in-graph",
    threshold_input: bool = False,
    plan_memory: bool = False,
) -> bytes:
    """Converts a classifier, or any other functional or Sequential Keras model, to a `.tflite` file.

    Every binary weight takes one bit, which an audit checks. The file of a classifier contains
    everything that prediction needs:

    - ``exit="in-graph"``: the file exits by itself, by the classifier's policy. Input ``token_ids`` int32
      (1, T); outputs ``logits`` float32 (1, C) and ``exit_index`` int32 (1,), counted from 0. Blocks after
      the exit taken do not run.
    - ``exit="all-outputs"``: every block runs. Output ``exit_logits`` float32 (1, N, C).

    The file of another model reads one sample. Its inputs and outputs have the names and the order that
    Keras has for them. The names are those of the file's signature, and the order is that of the
    interpreter.

    Args:
        model: a `BEExformerClassifier`, whose preprocessor, labels and exit policy go into the file; or a
            model of any layers that Larq Compute Engine converts. All arguments but `plan_memory` are
            for a classifier.
        length: T; `config.max_length` if None. A shorter graph is faster and reads less text.
        calibration: figures of the policy's calibration, which are stored with it (JSON values).
        exit: as above.
        threshold_input: with "in-graph", make the threshold an input, ``threshold`` float32 (1,).
        plan_memory: store a plan of the arena in the file, with which TensorFlow Lite Micro needs less
            memory.

    Raises:
        BeexError: Larq Compute Engine is missing or fails, `length` or an option does not fit, a binary
            layer did not come out binary, or a layer cannot be converted, which the error names.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", width=8, num_blocks=1)
        >>> data = beex.export.to_tflite(beex.BEExformerClassifier(config))
        >>> beex.export.audit(data, config).matrices["block_1/attention/query"]
        'FULLY_CONNECTED'
    """
    if exit not in EXITS:
        raise BeexError(f"exit={exit!r} must be {' or '.join(map(repr, EXITS))}.")
    if threshold_input and exit != "in-graph":
        itself = "A threshold can be an input only of a file that exits by itself"
        raise BeexError(f"{itself}; leave out threshold_input.")
    if isinstance(model, BEExformerClassifier):
        file, about = _converted_classifier(model, length, calibration, exit, threshold_input)
    else:
        if length is not None or calibration is not None or exit != EXITS[0] or threshold_input:
            only = "length, calibration, exit and threshold_input are for a BEExformerClassifier"
            raise BeexError(f"{only}; leave them out.")
        file, about = _converted_model(model), None
    if plan_memory:
        memory_plan.plan(file)
    metadata.attach(file, about)
    return metadata.seal(flatbuffer.pack(file))


def _converted_classifier(
    classifier: BEExformerClassifier,
    length: int | None,
    calibration: dict[str, Any] | None,
    exit: str,
    threshold_input: bool,
) -> tuple[Any, Metadata]:
    config, policy = classifier.config, classifier.policy
    frozen = graphs.freeze_classifier(classifier, length)
    inputs, blocks, first = [graphs.TOKEN_IDS], config.num_blocks, 1
    if exit == "in-graph":
        graph = graphs.self_exiting(frozen, policy, threshold_input)
        outputs, first = (
            [graphs.LOGITS, graphs.EXIT_INDEX],
            graphs.first_exit(policy, threshold_input),
        )
        if threshold_input:
            inputs.append(graphs.THRESHOLD)
        else:
            blocks = policy.max_exit(blocks)
    else:
        graph, outputs = graphs.all_exits(frozen), [graphs.EXIT_LOGITS]
    file = flatbuffer.parse(lce.convert_function(graph))
    passes.apply(file, is_binary=config != config.twin())
    report = audit(file, config, binary_matrices(classifier), range(1, blocks + 1), first)
    naming.order_signature(file, inputs, outputs)
    naming.name_tensors(file, report.tensors)
    naming.name_graphs(file, first)
    exiting = {"exit": exit, "threshold_input": threshold_input}
    return file, describe(classifier, frozen.length, calibration, **exiting)


def _converted_model(model: tf.keras.Model) -> Any:
    file, report = own_models.convert_model(model)
    naming.order_signature(file, model.input_names, model.output_names)
    naming.name_tensors(file, report.tensors)
    return file
