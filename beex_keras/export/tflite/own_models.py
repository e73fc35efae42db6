"""From any functional or Sequential Keras model to a parsed ``.tflite`` file, or one sentence why not."""

from typing import Any

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.export.matrices import model_matrices
from beex_keras.export.tflite import flatbuffer, graphs, lce, passes
from beex_keras.export.tflite.audit import AuditReport, find_matrices, foreign_operations


def convert_model(model: tf.keras.Model) -> tuple[Any, AuditReport]:
    """The parsed file for one sample, with every pass applied, and the report of its audit.

    Raises:
        BeexError: the model has no layers or shapes that are known beforehand, a layer has no form in
            Larq Compute Engine, or a binary layer did not come out binary.
    """
    _check_inputs(model)
    matrices = model_matrices(model)
    try:
        file = flatbuffer.parse(lce.convert_function(_graph(model)))
    except Exception as error:  # to trace a layer raises whatever the layer raises
        lce.require()
        raise _refusal(model, _failure(error)) from error
    if foreign := foreign_operations(file):
        raise _refusal(model, _lacking(foreign))
    passes.apply(file, is_binary=bool(matrices))
    shapes = {name: matrix.signs.shape for name, matrix in matrices.items()}
    readers = {name: matrix.reader for name, matrix in matrices.items()}
    return file, find_matrices(file, shapes, readers, matrices)


def _check_inputs(model: Any) -> None:
    if not isinstance(model, tf.keras.Model):
        raise BeexError(f"A Keras model is needed to convert, not {type(model).__name__}.")
    if not model.inputs:
        kind, fix = type(model).__name__, "build it by tf.keras.Model(inputs, outputs)"
        if isinstance(model, tf.keras.Sequential):
            raise BeexError(
                f"The model {model.name} has no input shape; begin it with tf.keras.Input."
            )
        raise BeexError(f"{kind} is a subclass of Model that does not show its layers; {fix}.")
    for tensor, name in zip(model.inputs, model.input_names, strict=True):
        if tensor.dtype == tf.string:
            fix = "let the model begin with token ids"
            raise BeexError(f"The input {name} has strings, which no .tflite file reads; {fix}.")
        if None in tensor.shape[1:]:
            fix = "give tf.keras.Input a whole one, such as shape=(32,)"
            raise BeexError(f"The input {name} has the open shape {tuple(tensor.shape)}; {fix}.")


def _graph(model: tf.keras.Model) -> graphs.Graph:
    """The model for one sample, with inputs and outputs of the names that Keras has for them."""
    pairs = zip(model.inputs, model.input_names, strict=True)
    specs = [tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name) for tensor, name in pairs]

    def call(*inputs: tf.Tensor) -> list[tf.Tensor]:
        nested = inputs[0] if len(inputs) == 1 else list(inputs)
        return tf.nest.flatten(model(nested, training=False))

    frozen = graphs.freeze(call, specs)

    def forward(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = zip(model.output_names, frozen(*inputs), strict=True)
        return {name: tf.identity(output) for name, output in outputs}

    return tf.function(forward, input_signature=specs, autograph=False)


# === Refusals ===


def _refusal(model: tf.keras.Model, reason: str) -> BeexError:
    """The error for a model that does not convert, which names its first such layer if there is one."""
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.InputLayer):
            continue
        found = _reason(layer)
        if found is not None:
            if isinstance(layer, tf.keras.Model) and layer.inputs:
                return _refusal(layer, found)
            kind = f"The layer {layer.name} ({type(layer).__name__}) cannot be converted"
            return BeexError(f"{kind}, since {found}; put another layer in its place.")
    return BeexError(f"The model {model.name} cannot be converted, since {reason}.")


def _reason(layer: tf.keras.layers.Layer) -> str | None:
    """The reason why a layer alone does not convert; None if it does, or cannot stand alone."""
    try:
        alone = tf.keras.Model(layer.input, layer.output)
    except (AttributeError, ValueError, TypeError):  # it has several calls, or reads other tensors
        return None
    try:
        foreign = foreign_operations(flatbuffer.parse(lce.convert_function(_graph(alone))))
    except Exception as error:
        return _failure(error)
    return _lacking(foreign) if foreign else None


def _lacking(operations: list[str]) -> str:
    return f"Larq Compute Engine lacks its op {operations[0]}"


def _failure(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".").split(";")[0]
    return f"the converter fails with '{text[:200]}'"
