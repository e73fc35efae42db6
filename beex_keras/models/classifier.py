"""The text classifier: encoder, one exit behind each block, and what it needs to read raw text."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from beex_keras import exits
from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.layers import ExitHead
from beex_keras.losses import SoftRoutingLoss
from beex_keras.metrics import exit_metrics
from beex_keras.models import saving
from beex_keras.models.backbone import BEExformer
from beex_keras.models.config import BEExformerConfig
from beex_keras.text import TextPreprocessor
from beex_keras.value_scale import VALUE_LABELS, ValueScale


@tf.keras.utils.register_keras_serializable("beex_keras")
class BEExformerClassifier(tf.keras.Model):
    """Maps token ids int32 (B, T), or raw strings, to `exit_logits` (B, N, C), the logits of every exit.

    With `num_classes=1` the model is a regression: its one logit is the answer in standard deviations of
    the training targets, and `value_scale` converts it to their units.

    `fit`, `evaluate` and `predict` take ids. While a preprocessor is attached, they also take raw strings:
    a list of texts, a list of (text, text) pairs, or a `tf.data.Dataset` of string tensors. Setting
    `preprocessor` to None detaches it. Labels are names or numbers of classes. For a regression they are
    targets in the user's units; only the targets of a `tf.data.Dataset` must be standardized already
    (`ValueScale.standardize`).

    Padding never changes a logit.

    Args:
        config: a `BEExformerConfig`, or the dictionary of one.
        preprocessor: a `TextPreprocessor` whose ids fit `config`, or None.
        labels: names of the classes, in the order of the logits; their numbers if None. A regression has
            the one name "value".
        policy: the `ExitPolicy` that inference uses; the default one if None.
        value_scale: scale of a regression's answers; its logits are the answers if None.

    Raises:
        BeexError: preprocessor, labels, policy or scale do not fit `config`.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", num_blocks=2)
        >>> model = beex.BEExformerClassifier(config)
        >>> model(np.array([[2, 7, 8, 3]])).shape.as_list()
        [1, 2, 2]
    """

    def __init__(
        self,
        config: BEExformerConfig | dict[str, Any],
        preprocessor: TextPreprocessor | None = None,
        labels: Sequence[str] | None = None,
        policy: exits.ExitPolicy | None = None,
        value_scale: ValueScale | None = None,
        **kwargs: Any,
    ) -> None:
        # === Configuration ===
        if not isinstance(config, BEExformerConfig):
            config = BEExformerConfig.from_dict(config)
        names = VALUE_LABELS if config.is_regression else map(str, range(config.num_classes))
        labels = tuple(labels or names)
        if value_scale is not None and not config.is_regression:
            raise BeexError("A classifier's answers have no value_scale; leave it out.")
        if len(labels) != config.num_classes:
            problem = f"{len(labels)} labels were given for num_classes={config.num_classes}"
            raise BeexError(f"{problem}; give one label a class.")
        if preprocessor is not None:
            _check_preprocessor(preprocessor, config)

        # === Layers ===
        backbone = BEExformer(config, name="backbone")
        heads = [
            ExitHead(config.num_classes, config.dropout, name=f"exit_{number}")
            for number in range(1, config.num_blocks + 1)
        ]

        # === Functional model ===
        token_ids = tf.keras.Input((None,), dtype=tf.int32, name="token_ids")
        mask = backbone.padding_mask(token_ids)
        outputs = backbone(token_ids)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        logits = [head(x, padding_mask=mask) for head, x in zip(heads, outputs, strict=True)]
        exit_logits = StackExits(name="exit_logits")(logits)
        super().__init__(inputs=token_ids, outputs=exit_logits, **kwargs)

        self.config = config
        self.preprocessor = preprocessor
        self.labels = labels
        self.policy = policy or exits.get(exits.default(config.is_regression))
        self.value_scale = (value_scale or ValueScale()) if config.is_regression else None
        self.backbone = backbone
        self.heads = heads

    @property
    def policy(self) -> exits.ExitPolicy:
        """The exit policy that inference uses; a policy that does not fit the model raises an error."""
        return self._exit_policy

    @policy.setter
    def policy(self, policy: exits.ExitPolicy) -> None:
        exits.check(policy, self.config.is_regression)
        self._exit_policy = policy

    # === Training on ids or raw text ===

    def compile(
        self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Compiles as in Keras. The default loss is `SoftRoutingLoss`, and the default metrics are the
        accuracy of each exit, or the correlations of a regression with the targets."""
        loss = SoftRoutingLoss() if loss is None else loss
        if metrics is None:
            metrics = exit_metrics(self.config.num_blocks, self.policy, self.value_scale)
        super().compile(optimizer, loss, metrics, **kwargs)

    def fit(self, x: Any = None, y: Any = None, validation_data: Any = None, **kwargs: Any) -> Any:
        if isinstance(validation_data, tuple):
            texts, labels, *rest = validation_data
            validation_data = (self.to_ids(texts), self.to_label_ids(labels), *rest)
        else:
            validation_data = self.to_ids(validation_data)
        x, y = self.to_ids(x), self.to_label_ids(y)
        return super().fit(x, y, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        return super().evaluate(self.to_ids(x), self.to_label_ids(y), **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        return super().predict(self.to_ids(x), **kwargs)

    def to_ids(self, x: Any) -> Any:
        """Turns raw strings into token ids, and returns anything else unchanged.

        Raises:
            BeexError: strings were given and no preprocessor is attached.
        """
        if isinstance(x, tf.data.Dataset):
            spec = x.element_spec
            texts = spec[0] if isinstance(spec, tuple) else spec
            if texts.dtype != tf.string:
                return x
            encode = self._require_preprocessor()
            if isinstance(spec, tuple):
                return x.map(lambda text, *rest: (_encode(encode, text), *rest), tf.data.AUTOTUNE)
            return x.map(lambda text: _encode(encode, text), tf.data.AUTOTUNE)
        if x is None or isinstance(x, tf.distribute.DistributedDataset):
            return x
        if isinstance(x, tf.Tensor) and x.dtype != tf.string:
            return x
        array = np.asarray(x)
        if array.dtype.kind not in "USO":
            return array
        pairs = array[:, 1].tolist() if array.ndim == 2 else None
        texts = (array[:, 0] if array.ndim == 2 else array).tolist()
        ids = self._require_preprocessor().encode(texts, pairs)
        return ids[:, : (ids != 0).sum(axis=1).max(initial=1)]

    def to_label_ids(self, y: Any) -> Any:
        """Turns label names into class numbers, and targets of a regression into standardized ones.

        Tensors, and numbers of classes, stay as they are.

        Raises:
            BeexError: a name or number that is not among `labels`, or a target that is no finite number.
        """
        if y is None or isinstance(y, tf.Tensor):
            return y
        array = np.asarray(y)
        if self.value_scale is not None:
            if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
                raise BeexError("The targets of a regression must be finite numbers.")
            return self.value_scale.standardize(array)
        if array.dtype.kind not in "UO":
            last = len(self.labels) - 1
            if (
                array.dtype.kind in "iu"
                and array.size
                and not 0 <= array.min() <= array.max() <= last
            ):
                wrong = array.min() if array.min() < 0 else array.max()
                fix = "count from 0, or give the names"
                raise BeexError(f"Class numbers go from 0 to {last}, not to {wrong}; {fix}.")
            return array
        numbers = {label: number for number, label in enumerate(self.labels)}
        unknown = sorted(set(array.tolist()) - set(numbers))
        if unknown:
            known = ", ".join(self.labels)
            raise BeexError(f"Unknown label '{unknown[0]}'; the model knows {known}.")
        return np.array([numbers[name] for name in array.tolist()], np.int32)

    def with_activations(self, bits: int) -> "BEExformerClassifier":
        """Returns a classifier with the same weights that reads activations of 32 or 8 bits.

        Raises:
            BeexError: its weights are real, or were trained for binary activations.
        """
        config = self.config.with_activations(bits)
        parts = self.preprocessor, self.labels, self.policy, self.value_scale
        other = BEExformerClassifier(config, *parts)
        other.set_weights(self.get_weights())
        return other

    def _require_preprocessor(self) -> TextPreprocessor:
        if self.preprocessor is None:
            advice = "attach one by model.preprocessor = TextPreprocessor(vocabulary, max_length)"
            raise BeexError(f"The model reads token ids, as it has no preprocessor; {advice}.")
        return self.preprocessor

    # === Saving and loading ===

    def get_config(self) -> dict[str, Any]:
        scale = {} if self.value_scale is None else {"value_scale": self.value_scale.to_dict()}
        return {
            "config": self.config.to_dict(),
            "preprocessor": None if self.preprocessor is None else self.preprocessor.get_config(),
            "labels": list(self.labels),
            "policy": exits.serialize(self.policy),
            **scale,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "BEExformerClassifier":
        values = {**config, "policy": exits.deserialize(config["policy"])}
        if values.get("preprocessor") is not None:
            values["preprocessor"] = TextPreprocessor.from_config(values["preprocessor"])
        if "value_scale" in values:
            values["value_scale"] = ValueScale.from_dict(values["value_scale"])
        return cls(**values)

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Writes configuration, labels, exit policy, vocabulary and weights to one directory.

        The directory is written whole or not at all; an existing directory is replaced.

        Raises:
            BeexError: the directory cannot be written.
        """
        saving.save(directory, self)

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str]) -> "BEExformerClassifier":
        """The classifier that `save_pretrained` wrote, with equal weights.

        Raises:
            BeexError: a file is missing, is not ours, or does not fit the others.
        """
        return saving.load(directory, cls.from_config)


@tf.keras.utils.register_keras_serializable("beex_keras")
class StackExits(tf.keras.layers.Layer):
    """N tensors of logits (B, C) → `exit_logits` (B, N, C)."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        return tf.stack(inputs, axis=1)


def _check_preprocessor(preprocessor: TextPreprocessor, config: BEExformerConfig) -> None:
    """Raises `BeexError` if the ids that the preprocessor gives do not fit the model."""
    size, mine = preprocessor.vocabulary_size, config.vocabulary_size
    if size > mine:
        problem = f"The vocabulary has {size} entries but the model embeds {mine}"
        raise BeexError(f"{problem}; set vocabulary_size={size}.")
    length, mine = preprocessor.max_length, config.max_length
    if length > mine:
        problem = f"The preprocessor gives up to {length} tokens but the model reads {mine}"
        raise BeexError(f"{problem}; give both the same max_length.")
    separator, mine = preprocessor.separator_id, config.separator_id
    if separator != mine:
        problem = f"The model has separator_id={mine} but the vocabulary has {separator}"
        raise BeexError(f"{problem}; set separator_id={separator}.")


def _encode(preprocessor: TextPreprocessor, text: tf.Tensor) -> tf.Tensor:
    """A batch of strings (B,) or of pairs (B, 2) → ids, in a graph."""
    if text.shape.rank == 2:
        return preprocessor(text[:, 0], text[:, 1])
    return preprocessor(text)
