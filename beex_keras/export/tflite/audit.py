"""Checks that every binary matrix of a model is binary in the converted file.

The converter says nothing when a binarized layer comes out float, or when weights end up outside the
branch that needs them; the audit raises.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.export.matrices import (
    CONVOLUTION,
    EMBEDDING,
    LOOK_UP,
    PRODUCT,
    BinaryMatrix,
    matrix_shapes,
)
from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.flatbuffer import Operation
from beex_keras.models import BEExformerConfig

_THRESHOLDS = 4
_REPORT = "this file must not be used, please report it"
_BUILD = "build the model from the configuration that it is exported with"


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """What the audit found; that there is one means that it passed.

    Attributes:
        operations: how often each op occurs.
        matrices: for each binary matrix, by name, the op that reads it.
        tensors: for each binary matrix, by name, the constant that holds it.
    """

    operations: dict[str, int]
    matrices: dict[str, str]
    tensors: dict[str, Any] = dataclasses.field(repr=False, compare=False)


def audit(
    data: Any,
    config: BEExformerConfig,
    matrices: Mapping[str, BinaryMatrix] | None = None,
    blocks: Collection[int] | None = None,
    first_exit: int = 1,
) -> AuditReport:
    """Finds every binary matrix of the configuration in the converted file.

    All are stored at one bit. Fully binary: the filter of one LceBconv2d for each. Weights-only:
    constants that LceDequantize unpacks for a FULLY_CONNECTED. The embedding: a constant whose rows
    are unpacked behind GATHER. With `matrices` the stored signs must equal them, weight for weight;
    without, shapes must. In a file that exits by itself each must stand in the branch of its block,
    and a branch must be given no constants.

    Args:
        data: the converted file, its bytes or as `flatbuffer.parse` gives it.
        config: the configuration that it must fulfil.
        matrices: the Keras model's, from `binary_matrices`.
        blocks: the blocks that the file has, counted from 1; all if None.
        first_exit: the first exit that a file can take by itself; blocks up to it stand together.

    Raises:
        BeexError: a matrix came out float, with other signs or outside its branch, there are more or
            fewer binary ops than matrices, or an op is neither TensorFlow Lite's nor Larq Compute
            Engine's.

    Example:
        >>> with open("model.tflite", "rb") as file:
        ...     data = file.read()
        >>> report = beex.export.audit(data, beex.export.metadata.read(data).config)
        >>> len(report.matrices), report.matrices["block_1/attention/query"]
        (17, 'FULLY_CONNECTED')
    """
    model = flatbuffer.parse(data) if isinstance(data, bytes) else data
    given = {name: matrix.signs.shape for name, matrix in (matrices or {}).items()}
    if matrices is not None and given != matrix_shapes(config):
        raise BeexError(f"The model's binary layers are not those of its configuration; {_BUILD}.")
    shapes = matrix_shapes(config, blocks)
    graphs = flatbuffer.nested_graphs(model)
    homes = {name: graphs[max(0, _block(name) - first_exit)] for name in shapes if len(graphs) > 1}
    kernel = CONVOLUTION if config.activation_bits == 1 else PRODUCT
    readers = {name: LOOK_UP if name == EMBEDDING else kernel for name in shapes}
    convolutions = sum(operation.name == CONVOLUTION for operation in flatbuffer.operations(model))
    if convolutions > (wanted := sum(name != EMBEDDING for name in shapes)):
        known = f"its configuration has {wanted} binary matrices"
        raise BeexError(
            f"The converted file has {convolutions} {CONVOLUTION} but {known}; {_BUILD}."
        )
    return find_matrices(model, shapes, readers, matrices, homes)


def find_matrices(
    model: Any,
    shapes: Mapping[str, tuple[int, ...]],
    readers: Mapping[str, str],
    matrices: Mapping[str, BinaryMatrix] | None = None,
    homes: Mapping[str, Any] | None = None,
) -> AuditReport:
    """Finds binary matrices in a parsed file, each once.

    Args:
        model: the parsed file.
        shapes: (inputs, outputs) of each matrix by its name, or (vocabulary, width).
        readers: the op that has to read each matrix.
        matrices: signs and scales by name; without them a matrix of the same shape will do.
        homes: graphs that the matrices have to stand in, by name; the main one if left out.

    Raises:
        BeexError: as `audit`.
    """
    operations = list(flatbuffer.operations(model))
    _check_operations(model, operations)
    candidates = list(_candidates(model, operations))
    found: dict[str, _Candidate] = {}
    for name, shape in shapes.items():
        matrix = None if matrices is None else matrices[name]
        home = (homes or {}).get(name, model.subgraphs[0])
        # Those of its own branch first.
        for candidate in sorted(candidates, key=lambda c: c.operation.graph is not home):
            if candidate.operation.name == readers[name] and candidate.holds(shape, matrix):
                break
        else:
            raise BeexError(
                f"{name} is binary, but no {readers[name]} of the converted file holds its signs: it "
                f"was converted to float or altered; {_REPORT} with the versions of larq and "
                "larq-compute-engine."
            )
        if candidate.operation.graph is not home:
            problem = "outside the branch of its block, so it would run after an earlier exit too"
            raise BeexError(f"{name} stands {problem}; {_REPORT}.")
        found[name] = candidate
        candidates.remove(candidate)
    return AuditReport(
        operations=flatbuffer.operation_counts(model),
        matrices={name: candidate.operation.name for name, candidate in found.items()},
        tensors={name: candidate.tensor for name, candidate in found.items()},
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Candidate:
    """A bit-packed constant; signs (outputs, inputs), or (vocabulary, width) of a table."""

    operation: Operation
    tensor: Any
    signs: np.ndarray
    is_thresholded: bool = False

    def holds(self, shape: tuple[int, ...], matrix: BinaryMatrix | None) -> bool:
        is_table = self.operation.name == LOOK_UP
        if self.signs.shape != (shape if is_table else shape[::-1]):
            return False
        if matrix is None:
            return True
        expected = matrix.signs if is_table else matrix.signs.T
        if self.is_thresholded:
            # A sum is compared with a threshold from one side only, so the converter flips the
            # rows whose scale is negative.
            expected = expected * np.where(matrix.scale >= 0, 1.0, -1.0)[:, np.newaxis]
        return np.array_equal(self.signs, expected)


def foreign_operations(model: Any) -> list[str]:
    """The names of the ops that no interpreter of Larq Compute Engine has."""
    operations = flatbuffer.operations(model)
    return [o.name for o in operations if o.is_custom and not o.name.startswith("Lce")]


def _check_operations(model: Any, operations: list[Operation]) -> None:
    for name in foreign_operations(model):
        problem = f"The converted file needs the op {name}, which no interpreter of Larq Compute Engine has"
        raise BeexError(f"{problem}; export a model of beex_keras layers only.")
    for operation in operations:
        # A constant given to a branch is copied by an interpreter, and no kernel can pack it.
        for tensor in operation.inputs[1:] if operation.name == "IF" else ():
            if flatbuffer.constant(model, tensor) is not None:
                constant = f"The constant {flatbuffer.text(tensor.name)}"
                place = f"outside the branch that uses it (at {operation.label})"
                raise BeexError(f"{constant} stands {place}; {_REPORT}.")


def _block(name: str) -> int:
    """The block whose branch a matrix belongs to; the embedding stands before the first."""
    return 1 if name == EMBEDDING else int(name.split("/")[0].removeprefix("block_"))


def _candidates(model: Any, operations: list[Operation]) -> Iterator[_Candidate]:
    """The constants that could be one of the matrices."""
    links = flatbuffer.Links(operations)
    for operation in operations:
        if operation.name == CONVOLUTION:
            words = flatbuffer.constant(model, operation.inputs[1])
            if words is not None and words.dtype == np.int32 and words.shape[1:3] == (1, 1):
                signs = flatbuffer.unpack_bits(words[:, 0, 0], operation.options["channels_in"])
                thresholded = operation.inputs[_THRESHOLDS:] not in ((), (None,))
                yield _Candidate(operation, operation.inputs[1], signs, is_thresholded=thresholded)
        elif operation.name == PRODUCT:
            unpack = links.producer(operation.inputs[1], flatbuffer.UNPACK)
            if unpack is not None:
                yield from _unpacked(model, operation, unpack.inputs[0], unpack)
        elif operation.name == flatbuffer.UNPACK:
            gather = links.producer(operation.inputs[0], LOOK_UP)
            if gather is not None:
                yield from _unpacked(model, gather, gather.inputs[0], operation)


def _unpacked(
    model: Any, reader: Operation, tensor: Any, unpack: Operation
) -> Iterator[_Candidate]:
    """The packed matrix that a tensor is, with rows as `unpack` reads them, if it is one."""
    words = flatbuffer.constant(model, tensor)
    if words is not None and words.dtype == np.int32 and words.ndim == 2:
        signs = flatbuffer.unpack_bits(words, int(unpack.outputs[0].shape[-1]))
        yield _Candidate(reader, tensor, signs)
