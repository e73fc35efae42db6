"""Reading and rewriting a converted file, over the object API of Larq Compute Engine's schema.

A pass is a function that changes a model in place and knows nothing of the others.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers

from beex_keras.errors import BeexError
from beex_keras.export.tflite import lce

IDENTIFIER = b"TFL3"

UNPACK = "LceDequantize"
"""The op that turns bit-packed int32 into ±1; how many channels, its output's shape says."""

_ALIGNMENT = 16
_BITS = 32


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operator of a graph, with its tensors looked up.

    Attributes:
        name: the builtin's name, or the custom op's code ("LceBconv2d").
        is_custom: whether it is a custom op.
        inputs: tensors; None where an optional one is left out.
        outputs: tensors.
        options: a custom op's attributes, by name.
        graph: the subgraph it stands in.
        operator: the schema's object, for passes that change it.
    """

    name: str
    is_custom: bool
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    options: dict[str, Any]
    graph: Any
    operator: Any

    @property
    def label(self) -> str:
        """The name of its first output, which names the op in a viewer."""
        return text(self.outputs[0].name) if self.outputs else self.name


def schema() -> Any:
    """The module of the schema's classes."""
    lce.require()
    from larq_compute_engine.mlir.python import tflite_schema

    return tflite_schema


def parse(data: bytes) -> Any:
    """A flatbuffer as a mutable `ModelT`.

    Raises:
        BeexError: the bytes are not a TFLite model.
    """
    classes = schema()
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise BeexError("The data is not a TFLite model: it lacks the identifier TFL3.")
    try:
        return classes.ModelT.InitFromObj(classes.Model.GetRootAs(data, 0))
    except Exception as error:  # the reader raises whatever a wrong offset leads to
        raise BeexError("The data is not a readable TFLite model; it is damaged.") from error


def pack(model: Any) -> bytes:
    """The bytes of a `ModelT`, every constant aligned to 16 bytes as interpreters expect."""
    builder = _SharingBuilder(1024)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.shape = None if tensor.shape is None else np.array(tensor.shape, np.int32)
        for operator in graph.operators:
            operator.inputs = np.array(indices(operator.inputs), np.int32)
            operator.outputs = np.array(indices(operator.outputs), np.int32)
    buffers = model.buffers
    try:
        model.buffers = [_AlignedBuffer(buffer) for buffer in buffers]
        builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    finally:
        model.buffers = buffers
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):
    """Writes a name, a shape or a list of tensors once, however many objects have the same."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._places: dict[tuple[str, bytes], int] = {}

    def CreateString(self, value: Any, *arguments: Any) -> int:
        key = "string", value.encode("utf-8") if isinstance(value, str) else bytes(value)
        if key not in self._places:
            self._places[key] = super().CreateString(value, *arguments)
        return self._places[key]

    def CreateNumpyVector(self, values: np.ndarray) -> int:
        key = str(values.dtype), values.tobytes()
        if key not in self._places:
            self._places[key] = super().CreateNumpyVector(values)
        return self._places[key]


class _AlignedBuffer:
    """Packs a buffer as the schema demands; the generated code forgets ``force_align``."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def Pack(self, builder: Any) -> Any:
        classes = schema()
        data = None
        if self.buffer.data is not None:
            content = np.asarray(self.buffer.data, np.uint8).tobytes()
            builder.StartVector(1, len(content), _ALIGNMENT)
            builder.head -= len(content)
            builder.Bytes[builder.head : builder.head + len(content)] = content
            builder.vectorNumElems = len(content)
            data = builder.EndVector()
        classes.BufferStart(builder)
        if data is not None:
            classes.BufferAddData(builder, data)
        return classes.BufferEnd(builder)


def text(value: Any) -> str:
    """A string of the schema, which may be bytes or missing."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def operations(model: Any) -> Iterator[Operation]:
    """Every operator of every graph, in order."""
    builtin = {number: name for name, number in vars(schema().BuiltinOperator).items()}
    for graph in model.subgraphs:
        for operator in graph.operators or []:
            code = model.operatorCodes[operator.opcodeIndex]
            custom = text(code.customCode)
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            yield Operation(
                custom or builtin.get(number, f"BUILTIN_{number}"),
                bool(custom),
                tuple(graph.tensors[i] if i >= 0 else None for i in indices(operator.inputs)),
                tuple(graph.tensors[i] for i in indices(operator.outputs)),
                _custom_options(operator),
                graph,
                operator,
            )


def graph_operations(model: Any, graph: Any) -> list[Operation]:
    """Every operator of one graph, in order."""
    return [operation for operation in operations(model) if operation.graph is graph]


class Links:
    """The operations of a graph, and which of them gives and which read a tensor."""

    def __init__(self, operations: list[Operation]) -> None:
        self.operations = operations
        self._producers = {id(tensor): o for o in operations for tensor in o.outputs}
        self._outputs = {
            id(graph.tensors[place])
            for graph in {id(o.graph): o.graph for o in operations}.values()
            for place in indices(graph.outputs)
        }

    def producer(self, tensor: Any, name: str = "") -> Operation | None:
        """What gives the tensor; None if nothing here does, or another op than that of `name`."""
        found = self._producers.get(id(tensor))
        return None if found is None or (name and found.name != name) else found

    def is_output(self, tensor: Any) -> bool:
        """Whether the tensor is an output of its graph."""
        return id(tensor) in self._outputs

    def readers(self, tensor: Any) -> list[Operation]:
        """What reads the tensor, in order."""
        return [o for o in self.operations if any(known is tensor for known in o.inputs)]


def rewrite(
    model: Any, replace: Callable[[Operation, Links], list[Any] | None], *names: str
) -> None:
    """Puts the operators that `replace` gives in place of an op of these names; None leaves it.

    What nothing reads any more goes, and what only that referred to.
    """
    for graph in model.subgraphs:
        links = Links(graph_operations(model, graph))
        operators = []
        for operation in links.operations:
            others = replace(operation, links) if operation.name in names else None
            operators += [operation.operator] if others is None else others
        graph.operators = operators
    drop_unread(model)


def bypass(model: Any, source: Callable[[Operation, Links], int | None], name: str) -> None:
    """Takes out each op of a name whose output is an input of it: what `source` gives, or None."""
    for graph in model.subgraphs:
        links = Links(graph_operations(model, graph))
        renamed: dict[int, int] = {}
        kept = []
        for operation in links.operations:
            operator = operation.operator
            operator.inputs = [renamed.get(i, i) for i in indices(operator.inputs)]
            place = source(operation, links) if operation.name == name else None
            if place is None:
                kept.append(operator)
            else:
                renamed[int(operator.outputs[0])] = place
        graph.operators = kept
        graph.outputs = [renamed.get(i, i) for i in indices(graph.outputs)]
        for entry in signature_entries(model, graph):
            entry.tensorIndex = renamed.get(entry.tensorIndex, entry.tensorIndex)
    drop_unread(model)


def branches(model: Any, operation: Operation) -> list[Any]:
    """The graphs that an IF runs: [where the condition holds, where not]; none of another op."""
    if operation.name != "IF":
        return []
    options, graphs = operation.operator.builtinOptions, model.subgraphs
    return [graphs[options.thenSubgraphIndex], graphs[options.elseSubgraphIndex]]


def outermost_first(model: Any) -> list[Any]:
    """The main graph and those that it runs, each before its branches."""
    return _following(model, 0)


def nested_graphs(model: Any) -> list[Any]:
    """The main graph, the one that runs where its condition fails, and so on inwards."""
    return _following(model, 1)


def _following(model: Any, first: int) -> list[Any]:
    """The main graph and the branches, from the one counted `first` on, of those found."""
    found = [model.subgraphs[0]]
    for graph in found:
        for operation in graph_operations(model, graph):
            found += branches(model, operation)[first:]
    return found


def _custom_options(operator: Any) -> dict[str, Any]:
    if operator.customOptions is None or len(operator.customOptions) == 0:
        return {}
    options = flexbuffers.Loads(bytearray(np.asarray(operator.customOptions, np.uint8)))
    return options if isinstance(options, dict) else {}


def operation_counts(model: Any) -> dict[str, int]:
    """How often each op occurs, most frequent first."""
    return dict(Counter(operation.name for operation in operations(model)).most_common())


def constant(model: Any, tensor: Any) -> np.ndarray | None:
    """The value of a tensor that is stored in the file; None for one that is computed."""
    data = model.buffers[tensor.buffer].data
    dtype = _dtypes().get(tensor.type)
    if data is None or len(data) == 0 or dtype is None:
        return None
    sizes = shape(tensor)
    values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype)
    return values.reshape(sizes) if values.size == np.prod(sizes, dtype=int) else None


def shape(tensor: Any) -> list[int]:
    """A tensor's sizes; none for a scalar, whose shape may be missing."""
    return [] if tensor.shape is None else [int(size) for size in tensor.shape]


def byte_size(tensor: Any) -> int:
    """The bytes that a tensor's values take."""
    return int(np.prod(shape(tensor), dtype=int)) * np.dtype(_dtypes()[tensor.type]).itemsize


def pack_bits(signs: np.ndarray) -> np.ndarray:
    """±1 (..., channels) → int32 (..., W), the inverse of `unpack_bits`; unused bits are zero."""
    channels = signs.shape[-1]
    padding = [(0, 0)] * (signs.ndim - 1) + [(0, -channels % _BITS)]
    bits = np.packbits(np.pad(signs < 0, padding), axis=-1, bitorder="little")
    return bits.view("<i4")


def unpack_bits(words: np.ndarray, channels: int) -> np.ndarray:
    """Bit-packed int32 (..., W) → ±1 float32 (..., `channels`); bit i of word w is channel 32w+i."""
    octets = np.ascontiguousarray(words, "<i4").view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, bitorder="little")
    return 1.0 - 2.0 * bits[..., :channels].astype(np.float32)


def add_tensor(graph: Any, name: str, shape: Sequence[int], dtype: Any) -> int:
    """Adds a computed tensor to a graph and returns its index."""
    tensor = schema().TensorT()
    tensor.name = name
    tensor.shape = [int(size) for size in shape]
    tensor.type = next(number for number, known in _dtypes().items() if known == dtype)
    tensor.buffer = 0
    tensor.hasRank = True
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def add_constant(model: Any, graph: Any, name: str, value: np.ndarray) -> int:
    """Adds a constant to a graph and returns its tensor's index."""
    index = add_tensor(graph, name, value.shape, value.dtype.type)
    graph.tensors[index].buffer = _add_buffer(model, value.tobytes())
    return index


def new_operator(
    model: Any,
    name: str,
    inputs: list[int],
    outputs: list[int],
    options: Any = None,
    version: int = 1,
) -> Any:
    """An operator of the builtin op `name`, or else of a custom op, not yet in a graph."""
    classes = schema()
    operator = classes.OperatorT()
    operator.inputs, operator.outputs = inputs, outputs
    if options is not None:
        operator.builtinOptions = options
        kind = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(classes.BuiltinOptions, kind)
    custom = "" if hasattr(classes.BuiltinOperator, name) else name
    number = getattr(classes.BuiltinOperator, "CUSTOM" if custom else name)
    known = [(code.builtinCode, text(code.customCode)) for code in model.operatorCodes]
    if (number, custom) not in known:
        code = classes.OperatorCodeT()
        code.builtinCode = number
        code.deprecatedBuiltinCode = min(number, 127)
        code.customCode = custom or None
        code.version = version
        model.operatorCodes.append(code)
        known.append((number, custom))
    operator.opcodeIndex = known.index((number, custom))
    return operator


def _add_buffer(model: Any, content: bytes) -> int:
    buffer = schema().BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def drop_unused(model: Any) -> None:
    """Drops the tensors, buffers and operator codes that nothing refers to any more."""
    for graph in model.subgraphs:
        used = {*indices(graph.inputs), *indices(graph.outputs)}
        for operator in graph.operators:
            used.update(indices(operator.inputs), indices(operator.outputs))
            used.update(indices(operator.intermediates))
        place = _renumbered(used - {-1})
        graph.tensors = [graph.tensors[old] for old in place]
        graph.inputs = _moved(graph.inputs, place)
        graph.outputs = _moved(graph.outputs, place)
        for operator in graph.operators:
            operator.inputs = _moved(operator.inputs, place)
            operator.outputs = _moved(operator.outputs, place)
            if operator.intermediates is not None:
                operator.intermediates = _moved(operator.intermediates, place)
        for entry in signature_entries(model, graph):
            entry.tensorIndex = place[entry.tensorIndex]
    _drop_unused_buffers(model)
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    place = _renumbered({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[old] for old in place]
    for operator in operators:
        operator.opcodeIndex = place[operator.opcodeIndex]


def signature_entries(model: Any, graph: Any) -> Iterator[Any]:
    """The entries of the signatures of one graph, inputs first."""
    for signature in model.signatureDefs or []:
        if model.subgraphs[signature.subgraphIndex] is graph:
            yield from [*(signature.inputs or []), *(signature.outputs or [])]


def drop_unread(model: Any) -> None:
    """Drops the operators whose outputs nothing reads, then what only they referred to."""
    for graph in model.subgraphs:
        read = set(indices(graph.outputs))
        kept = []
        for operator in reversed(graph.operators):
            if read.intersection(indices(operator.outputs)):
                read.update(indices(operator.inputs))
                kept.append(operator)
        graph.operators = kept[::-1]
    drop_unused(model)


def _drop_unused_buffers(model: Any) -> None:
    owners = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    owners += model.metadata or []
    # Buffer 0 is by convention the empty one of all computed tensors.
    place = _renumbered({0, *(owner.buffer for owner in owners)})
    model.buffers = [model.buffers[old] for old in place]
    for owner in owners:
        owner.buffer = place[owner.buffer]
    model.metadataBuffer = None


def _renumbered(used: set[int]) -> dict[int, int]:
    """The new places of what is left, by the old ones."""
    return {old: new for new, old in enumerate(sorted(used))}


def add_metadata(model: Any, name: str, content: bytes) -> None:
    """Attaches a named metadata entry, in place of one of the same name."""
    model.metadata = [entry for entry in model.metadata or [] if text(entry.name) != name]
    entry = schema().MetadataT()
    entry.name = name
    entry.buffer = _add_buffer(model, content)
    model.metadata.append(entry)


def get_metadata(model: Any, name: str) -> bytes | None:
    """The content of the named metadata entry, if there is one."""
    for entry in model.metadata or []:
        if text(entry.name) == name:
            data = model.buffers[entry.buffer].data
            return b"" if data is None else np.asarray(data, np.uint8).tobytes()
    return None


def is_sign_matrix(value: np.ndarray | None) -> bool:
    """Whether the constant is a float matrix of exactly ±1."""
    if value is None or value.dtype.kind != "f" or value.ndim < 2:
        return False
    return bool(np.all(np.abs(value) == 1))


def indices(values: Any) -> list[int]:
    """Tensor indices of an operator or a graph, which may be missing, as a list."""
    return [] if values is None else [int(value) for value in values]


def _moved(values: Any, place: dict[int, int]) -> list[int]:
    return [place.get(value, -1) for value in indices(values)]


def _dtypes() -> dict[int, Any]:
    names = ("float32", "float16", "int32", "int64", "int16", "int8", "uint8", "bool")
    return {getattr(schema().TensorType, name.upper()): np.dtype(name).type for name in names}
