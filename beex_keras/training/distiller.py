r"""The gradient step: all exits learn at once from labels, and from a teacher if there is one.

Without a teacher the loss is `SoftRoutingLoss`, \(L\); the paper needs no more. With a teacher the loss is

\[
(1 - a) \, L + a \, S + \kappa \, H
\]

with `distillation_alpha` \(a\) and `hidden_loss_weight` \(\kappa\). \(S\) is the mean over all exits of the
cross-entropy to the probabilities of the teacher's last exit; for a regression, of the squared error to its answer.
Without a teacher the model's own last exit teaches the earlier ones. \(H\) compares the outputs \(x_i\) of the
model's N blocks with the outputs \(\hat x_i\) of the teacher's blocks at the real tokens \(t\) of a batch, relative
to the teacher's variance around its mean \(\bar x_i\):

\[
H = \frac{1}{N} \sum_{i=1}^{N}
\frac{\sum_t \lVert x_{it} - \hat x_{it} \rVert^2}{\sum_t \lVert \hat x_{it} - \bar x_i \rVert^2}
\]

A teacher has an answer to every text. Texts without a label, and texts in which tokens were replaced by others
(`replace_tokens`), learn the teacher's probabilities alone.

Source: hidden states and replaced words as TinyBERT (Jiao et al., 2020), which replaces words by a language
model; exits that learn from the last one as Zhang et al. (2019); the relative error is our reading.
"""

from functools import partial
from typing import Any

from beex_keras.backend import tf
from beex_keras.models import BEExformerClassifier


@tf.keras.utils.register_keras_serializable("beex_keras")
class Distiller(tf.keras.Model):
    """Trains a classifier on labels, and on the outputs of a teacher if there is one.

    `fit` takes token ids int32 (B, T), and as targets class numbers or standardized targets (B,), or a dictionary of
    "labels" and "teacher_logits" (B, C), the outputs of a teacher that were computed before. A label that is missing
    is -1, or NaN for a regression.

    Args:
        student: the classifier to train.
        teacher: a classifier with blocks of the same shape, which is not trained.
        distillation_alpha, hidden_loss_weight, token_replacement_rate: as in `TrainingConfig`.
        seed: seed of the replaced tokens.

    Example:
        >>> student = beex.BEExformerClassifier(beex.BEExformerConfig.preset("micro", num_blocks=2))
        >>> distiller = beex.training.Distiller(student, distillation_alpha=0.5)
        >>> distiller.compile("adam", beex.SoftRoutingLoss())
        >>> history = distiller.fit(np.array([[2, 7, 3]]), np.array([1]), verbose=0)
        >>> sorted(history.history)
        ['loss']
    """

    def __init__(
        self,
        student: BEExformerClassifier,
        teacher: BEExformerClassifier | None = None,
        *,
        distillation_alpha: float = 0.0,
        hidden_loss_weight: float = 4.0,
        token_replacement_rate: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.student = student
        self.distillation_alpha = distillation_alpha
        self.hidden_loss_weight = hidden_loss_weight
        self.token_replacement_rate = token_replacement_rate
        self.seed = seed
        self._outputs = student if teacher is None else _with_hidden_states(student)
        # Keras counts the weights of a model that is an attribute, but not those of a partial's function.
        self._teach = None if teacher is None else partial(_with_hidden_states(teacher))
        self.built = True  # as the student is

    def call(self, ids: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return self.student(ids, training=training)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        ids, targets, _ = tf.keras.utils.unpack_x_y_sample_weight(data)
        targets = targets if isinstance(targets, dict) else {"labels": targets}
        labels, known = _known_labels(targets["labels"])
        if self.token_replacement_rate:
            ids, replaced = self._replace_tokens(ids)
            known *= tf.cast(~replaced, tf.float32)
        taught = None
        if self._teach is not None:
            # The teacher has no dropout; "training" is the dtype of its matrix products.
            taught = self._teach(ids, training=True)
        with tf.GradientTape() as tape:
            outputs = self._outputs(ids, training=True)
            *hidden, logits = outputs if isinstance(outputs, list) else [outputs]
            alpha = self.distillation_alpha
            loss = (1.0 - alpha) * self.compute_loss(ids, labels, logits, known)
            further = self._soft_loss(logits, taught, targets.get("teacher_logits"), known)
            if taught is not None:
                mask = self.student.backbone.padding_mask(ids)
                further += self.hidden_loss_weight * hidden_loss(hidden, taught[:-1], mask)
            # Keras divides its own loss by the number of replicas, too.
            loss += further / tf.distribute.get_strategy().num_replicas_in_sync
        self.optimizer.minimize(loss, self.student.trainable_variables, tape)
        return self.compute_metrics(ids, labels, logits, known)

    def _replace_tokens(self, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seed = tf.stack([self.seed, tf.cast(self.optimizer.iterations, tf.int32)])
        return replace_tokens(
            ids, self.student.config.separator_id, self.token_replacement_rate, seed
        )

    def _soft_loss(
        self,
        logits: tf.Tensor,
        taught: list[tf.Tensor] | None,
        teacher_logits: tf.Tensor | None,
        known: tf.Tensor,
    ) -> tf.Tensor:
        r"""\(a S\), where texts without a known label have the weight 1 in place of \(a\)."""
        alpha = self.distillation_alpha
        if taught is not None:
            teacher_logits = taught[-1][:, -1]
        if teacher_logits is not None:
            losses = tf.reduce_mean(_exit_losses(logits, teacher_logits), axis=1)
            return tf.reduce_mean((1.0 - known * (1.0 - alpha)) * losses)
        if not alpha:
            return 0.0
        own = tf.stop_gradient(logits[:, -1])
        return alpha * tf.reduce_mean(_exit_losses(logits, own)[:, :-1])


def _known_labels(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels (B,) with zeros in place of missing ones, and 1.0 where a label is known, else 0.0 (B,)."""
    known = ~tf.math.is_nan(labels) if labels.dtype.is_floating else labels >= 0
    return tf.where(known, labels, tf.zeros_like(labels)), tf.cast(known, tf.float32)


def replace_tokens(
    ids: tf.Tensor, separator_id: int, rate: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Replaces tokens in half of a batch's texts by other tokens of the batch.

    Each token of a text is replaced with the probability \(\max(0, u)\), where \(u\) is uniform in \([-r, r)\).
    Its substitute is drawn from all tokens of the batch. The first token of a text, separators and padding stay.

    Args:
        ids: token ids, int32 (B, T).
        separator_id: id of the token [SEP].
        rate: \(r\).
        seed: two integers (2,) that determine the result.

    Returns:
        The new ids, and which texts may have changed, bool (B,).
    """
    rates, draws, order = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    shape = tf.shape(ids)
    places = tf.where((ids != 0) & (ids != separator_id) & (tf.range(shape[1]) > 0))
    words = tf.gather_nd(ids, places)
    drawn = tf.random.stateless_uniform(tf.shape(words), order, 0, tf.size(words), tf.int32)
    substitutes = tf.scatter_nd(places, tf.gather(words, drawn), tf.cast(shape, tf.int64))
    probability = tf.random.stateless_uniform((shape[0],), rates, -rate, rate)
    chosen = tf.random.stateless_uniform(shape, draws) < probability[:, tf.newaxis]
    return tf.where(chosen & (substitutes != 0), substitutes, ids), probability > 0


def hidden_loss(student: list[tf.Tensor], teacher: list[tf.Tensor], mask: tf.Tensor) -> tf.Tensor:
    r"""\(H\) of the outputs of N blocks, each (B, T, D), at the real tokens, bool (B, T)."""
    real = tf.cast(mask, tf.float32)[..., tf.newaxis]
    count = tf.reduce_sum(real)
    errors = []
    for own, taught in zip(student, teacher, strict=True):
        mean = tf.reduce_sum(real * taught, axis=(0, 1)) / count
        variance = tf.reduce_sum(real * (taught - mean) ** 2)
        errors.append(tf.reduce_sum(real * (own - taught) ** 2) / variance)
    return tf.add_n(errors) / len(errors)


def _exit_losses(logits: tf.Tensor, teacher_logits: tf.Tensor) -> tf.Tensor:
    """The loss of each exit against the logits (B, C) of a teacher: (B, N)."""
    if logits.shape[-1] == 1:
        return tf.math.squared_difference(logits, teacher_logits[:, tf.newaxis])[:, :, 0]
    target = tf.nn.softmax(teacher_logits)[:, tf.newaxis]
    return -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=-1)


def _with_hidden_states(model: BEExformerClassifier) -> tf.keras.Model:
    """The same model with the outputs of its blocks before the logits."""
    return tf.keras.Model(model.input, [*(head.input for head in model.heads), model.output])
