r"""Weights of a model as the start of one with fewer bits: nothing is lost until it is binarized.

A real matrix becomes a scale per channel and latent weights in proportion to it,

\[
W_{kc} = \alpha_c \, \frac{L_{kc}}{m}, \qquad \alpha_c = \overline{|W_{\cdot c}|}, \qquad
m = \overline{|L_{\cdot c}|}
\]

with half the latent scale as \(m\), the mean of a uniform start's magnitudes, so that the latent
weights lie where the polynomial's gradient is steep. The token table is treated alike, per column,
after its mean has moved to the positions, which every text adds. The other way round, a real matrix takes
binary weights as they are, \(W_{kc} = \alpha_c \operatorname{sign}(L_{kc})\).

The activations \(h\) that a matrix reads become the sign of \(z\), of which they are a function, by
the least squares approximation

\[
h(z) \approx c + s \operatorname{sign}(z), \qquad
c \pm s = \operatorname{E}[h(z) \mid \pm z \geq 0]
\]

over a sample of texts. \(s\) goes to \(\alpha\), and \(c\) times the column sums of signs to the
bias: thresholds and scales of activations are learned as those from then on (the threshold of
\(z\) itself is the bias, or \(\beta\), that it ends with).

Source: \(\overline{|W|}\) is XNOR-Net's scale (Rastegari et al., ECCV 2016); the rest our reading.
"""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.layers import BinaryLinear
from beex_keras.layers.binarization import LATENT_LIMIT, latent_mean
from beex_keras.layers.feed_forward import ACTIVATIONS
from beex_keras.models import BEExformer, topology
from beex_keras.models.config import BEExformerConfig
from beex_keras.precision import WEIGHTS_ONLY

PARTS = ("weights", "embedding", "activations")
"""What is binarized, in the order of BiT's steps."""

BITS = tuple(WEIGHTS_ONLY.bits())
"""The bits of each of `PARTS`, as `BEExformerConfig` names them."""

_SAMPLE = 64
_LENGTHS = ("max_length", "num_blocks")
_SHAPE = (
    *("width", "num_heads", "hidden_width", "gate_width", "network"),
    *("gate_activation", "content_activation"),
)


def check_start(source: BEExformerConfig, target: BEExformerConfig, path: str) -> None:
    """Raises `BeexError` unless `target` can start from `source`, or from a part of it."""
    for name in (*_LENGTHS, *_SHAPE):
        its, mine = getattr(source, name), getattr(target, name)
        if mine > its if name in _LENGTHS else mine != its:
            needs = "as many or more" if name in _LENGTHS else "the same shape"
            having = f"The model in {path} has {name}={its}, the one to train {mine}"
            raise BeexError(f"{having}; a start needs {needs}.")
    # Real weights can be what binary ones are, but activations with signs need other weights.
    number = source.precision.learned_bits()["activation_bits"]
    if target.precision.learned_bits()["activation_bits"] > number:
        fix = "only a model of as few or fewer bits can start from it"
        raise BeexError(f"The model in {path} has activation_bits={number}; {fix}.")


def can_start(source: BEExformerConfig, target: BEExformerConfig) -> bool:
    """Whether `check_start` has nothing to say."""
    try:
        check_start(source, target, "")
    except BeexError:
        return False
    return True


def part_of(source: BEExformer, target: BEExformer) -> BEExformer:
    """A copy of `source` cut to what `target` has: its first blocks and positions.

    Where only `target` reads pairs, the segments are those that it has. Where only `source` does, its
    first segment goes to the positions, which every single text adds likewise.
    """
    mine = target.config
    lengths = {name: getattr(mine, name) for name in (*_LENGTHS, "num_segments")}
    part = BEExformer(source.config.replace(**lengths))
    weights = {**_by_name(target), **_by_name(source)}
    # All of a weight, but for the table of positions.
    part.set_weights([weights[name][: len(value)] for name, value in _by_name(part).items()])
    if source.config.num_segments > mine.num_segments:
        first = source.embedding.segment[0]
        part.embedding.position.assign_add(tf.broadcast_to(first, part.embedding.position.shape))
    return part


def _by_name(encoder: BEExformer) -> dict[str, np.ndarray]:
    """Weights by their names, which do not depend on the number of blocks or segments."""
    names = (weight.name for weight in encoder.weights)
    return dict(zip(names, encoder.get_weights(), strict=True))


def sample(ids: np.ndarray) -> list[np.ndarray]:
    """Some of the rows, evenly spread, each without its padding: (1, T)."""
    rows = ids[np.linspace(0, len(ids) - 1, min(_SAMPLE, len(ids))).astype(int)]
    return [row[row != 0][None] for row in rows]


def transfer(source: BEExformer, target: BEExformer, ids: list[np.ndarray]) -> tuple[str, ...]:
    """Gives `target` the weights of `source`, from which `check_start` lets it start.

    Args:
        source: the start.
        target: the model that gets the weights.
        ids: a sample of texts without padding, (1, T) each, read only if `target` is fully binary and `source` is
            not.

    Returns:
        Those of `PARTS` that were real in `source` and are binary in `target`. Their binarizers give the real values
        for a `fraction` of 0.
    """
    own, given = (model.config.precision.learned_bits() for model in (target, source))
    real = tuple(part for part, name in zip(PARTS, BITS, strict=True) if own[name] < given[name])
    for block, other in zip(target.blocks, source.blocks, strict=True):
        for name, linear in block.linears().items():
            _copy_linear(other.linears()[name], linear)
    _copy_rest(source, target)
    if "embedding" in real:
        _binarize_table(source, target)
    elif own["embedding_bits"] > given["embedding_bits"]:
        token = source.embedding.token
        signs = np.where(token.table.numpy() >= 0, 1, -1)
        target.embedding.token.table.assign(signs * token.scale)
    else:
        target.embedding.token.set_weights(source.embedding.token.get_weights())
    if "activations" in real:
        _binarize_activations(target, ids)
    return real


def _copy_linear(source: BinaryLinear, target: BinaryLinear) -> None:
    target.bias.assign(source.bias)
    if source.precision.weights == target.precision.weights:
        target.set_weights(source.get_weights())
        return
    weights = source.kernel.numpy()
    if target.precision.weights != 1:
        target.kernel.assign(np.where(weights >= 0, 1, -1) * source.alpha)
        return
    alpha, latent = _binarized(weights, target.precision.latent_scale)
    target.alpha.assign(alpha)
    # A channel of zeros has no signs to give: it keeps the ones it was made with.
    target.kernel.assign(np.where(alpha > 0, latent, target.kernel.numpy()))


def _binarized(weights: np.ndarray, latent_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The scale of each of the last axis' channels, and the latent weights."""
    scale = np.abs(weights).mean(axis=tuple(range(weights.ndim - 1)))
    latent = weights / np.where(scale > 0, scale, 1) * latent_mean(latent_scale)
    return scale, np.clip(latent, -LATENT_LIMIT, LATENT_LIMIT)


def _binarize_table(source: BEExformer, target: BEExformer) -> None:
    table, token = source.embedding.token.table.numpy(), target.embedding.token
    mean = table.mean(axis=0)
    scale, latent = _binarized(table - mean, token.precision.embedding_latent_scale)
    token.scale.assign(scale)
    token.table.assign(latent)
    target.embedding.position.assign_add(np.broadcast_to(mean, target.embedding.position.shape))


def _copy_rest(source: BEExformer, target: BEExformer) -> None:
    """Positions, segments and normalizations, which are real in every form."""
    target.embedding.position.assign(source.embedding.position)
    if target.embedding.num_segments > 1:
        target.embedding.segment.assign(source.embedding.segment)
    target.embedding.normalization.set_weights(source.embedding.normalization.get_weights())
    norms = [part.name for part in topology.block(target.config) if part.kind == topology.NORM]
    for mine, its in zip(target.blocks, source.blocks, strict=True):
        for name in norms:
            getattr(mine, name).set_weights(getattr(its, name).get_weights())


def _binarize_activations(model: BEExformer, ids: list[np.ndarray]) -> None:
    r"""Approximates the inputs of each matrix by signs; the scales and biases of the model take \(s\) and \(c\).

    The fraction 0 of its binarizers makes the model read real inputs, of which it records a sample.
    """
    binarizers = model.binarizers()["activations"]
    inputs: dict[str, list[np.ndarray]] = defaultdict(list)
    functions = {
        f"{block.name}/{part.name}": ACTIVATIONS[part.activation]
        for block in model.blocks
        for part in topology.matrices(model.config)
    }

    def recorder(name: str) -> Callable[[tf.Tensor], tf.Tensor]:
        def record(z: tf.Tensor) -> tf.Tensor:
            inputs[name].append(z.numpy().ravel())
            return functions[name](z)

        return record

    for name, binarizer in binarizers.items():
        binarizer.start_from(recorder(name))
        binarizer.fraction = 0.0
    for row in ids:
        x = model.embedding(row)
        for block in model.blocks:
            x = block(x)
    for block in model.blocks:
        for short, linear in block.linears().items():
            name = f"{block.name}/{short}"
            centre, spread = _approximate(functions[name], np.concatenate(inputs[name]))
            alpha, signs = linear.alpha.numpy(), np.where(linear.kernel.numpy() >= 0, 1, -1)
            linear.alpha.assign(alpha * spread)
            linear.bias.assign(linear.bias.numpy() + alpha * centre * signs.sum(axis=(0, 1, 2)))
            binarizers[name].start_from(_standardized(functions[name], centre, spread))
            binarizers[name].finish()


def _standardized(
    function: Callable[[tf.Tensor], tf.Tensor], centre: float, spread: float
) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda z: (function(z) - centre) / spread


def _approximate(function: Callable[[tf.Tensor], tf.Tensor], z: np.ndarray) -> tuple[float, float]:
    r"""\(c\) and \(s\) of the least squares approximation of \(h(z)\), where `function` is \(h\)."""
    h = function(tf.constant(z)).numpy()
    high = float(h[z >= 0].mean()) if (z >= 0).any() else float(h.mean())
    low = float(h[z < 0].mean()) if (z < 0).any() else float(h.mean())
    return (high + low) / 2, max((high - low) / 2, 1e-3)
