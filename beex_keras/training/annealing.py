r"""From real to binary without losing it: quantizers that turn binary while a model trains.

A model that starts from real weights knows something, and signs taken at once would forget most of
it. Here a matrix begins as the real one that its latent weights came from and ends as their signs,

\[
(1 - \lambda) \, \frac{L}{m} + \lambda \operatorname{sign}(L), \qquad
(1 - \lambda) \, \frac{h(z) - c}{s} + \lambda \operatorname{sign}(z)
\]

while \(\lambda\) rises linearly from 0 to 1: first of the weights, then of the token table, then of
the activations (\(m\), \(c\) and \(s\) as in `beex_keras.training.transfer`). The model itself stays
as it is; its quantizers are others while it trains.

Source: the order is that of BiT's steps (Liu et al., NeurIPS 2022); the mixture is our reading.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from beex_keras.backend import tf
from beex_keras.layers.linear import latent_mean
from beex_keras.quantizers import Quantizer
from beex_keras.training.transfer import PARTS, Approximation, Transfer


class Annealing(tf.keras.callbacks.Callback):
    r"""Moves \(\lambda\) of each part as the training goes on; binary whenever an epoch ends.

    The parts that are real at the start share the first `steps` steps evenly, one after another.
    At the end of an epoch everything is binary, so that the callbacks behind
    this one see the model that will be exported; the next epoch goes on where this one was.

    Args:
        start: what is real.
        steps: of the whole schedule.

    Attributes:
        step: training steps done; to be saved with a checkpoint.
    """

    def __init__(self, start: Transfer, steps: int) -> None:
        super().__init__()
        self.start, self.steps = start, steps
        self.step = tf.Variable(0, dtype=tf.int64, name="annealing_step")
        self._mix = {part: tf.Variable(1.0, trainable=False, name=part) for part in PARTS}

    @contextmanager
    def quantizers(self, model: tf.keras.Model) -> Iterator[None]:
        """Returns a context in which `model` and its `backbone` have the annealed quantizers.

        Functions that Keras has traced hold the quantizers of their time, so they are dropped at
        either end.
        """
        real, token = self.start.real, model.backbone.embedding.token
        if not real or not self.steps:
            yield
            return
        own: Any = token.table_quantizer
        if "embedding" in real:
            scale = token.precision.embedding_latent_scale
            token.table_quantizer = self._of_weights(own, scale, "embedding")
        before = []
        for number, block in enumerate(model.backbone.blocks):
            for name, linear in block.linears().items():
                kernel, inputs = linear.matmul.kernel_quantizer, linear.matmul.input_quantizer
                before.append((linear, kernel, inputs))
                if "weights" in real:
                    scale = linear.precision.latent_scale
                    linear.set_kernel_quantizer(self._of_weights(kernel, scale, "weights"))
                if "activations" in real:
                    of = self.start.activations[number][name]
                    linear.matmul.input_quantizer = self._of_activations(inputs, of)
        _forget_functions(model)
        try:
            yield
        finally:
            token.table_quantizer = own
            for linear, kernel, inputs in before:
                linear.set_kernel_quantizer(kernel)
                linear.matmul.input_quantizer = inputs
            _forget_functions(model)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        for number, part in enumerate(self.start.real):
            done = int(self.step) * len(self.start.real) / max(self.steps, 1) - number
            self._mix[part].assign(min(max(done, 0.0), 1.0))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step.assign_add(1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for mix in self._mix.values():
            mix.assign(1.0)

    def _of_weights(self, quantizer: Quantizer, scale: float, part: str) -> Quantizer:
        mix, mean = self._mix[part], latent_mean(scale)

        def annealed(latent: tf.Tensor) -> tf.Tensor:
            return (1.0 - mix) * latent / mean + mix * quantizer(latent)

        return annealed

    def _of_activations(self, quantizer: Quantizer, of: Approximation) -> Quantizer:
        mix = self._mix["activations"]

        def annealed(z: tf.Tensor) -> tf.Tensor:
            real = (of.function(z) - of.centre) / of.spread
            return (1.0 - mix) * real + mix * quantizer(z)

        return annealed


def _forget_functions(model: tf.keras.Model) -> None:
    model.train_function = model.test_function = model.predict_function = None
