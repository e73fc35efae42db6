"""The text classifier: encoder, one exit behind each block, and what it needs to read raw text."""

import importlib
import inspect
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from beex_keras import exits, pretrained, tasks
from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.layers import ExitHead
from beex_keras.losses import SoftRoutingLoss
from beex_keras.metrics import exit_metrics
from beex_keras.models import saving
from beex_keras.models.backbone import BEExformer
from beex_keras.models.config import BEExformerConfig
from beex_keras.tasks import TargetScaler
from beex_keras.text import TextPreprocessor


@tf.keras.utils.register_keras_serializable("beex_keras")
class BEExformerClassifier(tf.keras.Model):
    """Maps token ids int32 (B, T), or raw strings, to `exit_logits` (B, N, C), the logits of every exit.

    With `num_classes=1` the model is a regression: its one logit is the answer in standard deviations of
    the training targets, and `value_scale` converts it to their units.

    `fit`, `evaluate` and `predict` take ids. While a preprocessor is attached, they also take raw strings:
    a list of texts, a list of (text, text_pair) tuples, or a `tf.data.Dataset` of string tensors. Setting
    `preprocessor` to None detaches it. Labels are names or numbers of classes. For a regression they are
    targets in the user's units; only the targets of a `tf.data.Dataset` must be standardized already
    (`TargetScaler.transform`).

    Padding never changes a logit.

    Args:
        config: a `BEExformerConfig`, or the dictionary of one.
        preprocessor: a `TextPreprocessor` whose ids fit `config`, or None.
        labels: names of the classes, in the order of the logits; their numbers if None. A regression has
            the one name "value".
        policy: the `ExitPolicy` that inference uses; the default one if None.
        value_scale: scale of a regression's answers; its logits are the answers if None.
        matmul_dtype: dtype of the matrix products in training, as in `BEExformer`.

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
        value_scale: TargetScaler | None = None,
        matmul_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        # === Configuration ===
        if not isinstance(config, BEExformerConfig):
            config = BEExformerConfig.from_dict(config)
        is_regression = config.problem_type == "regression"
        names = tasks.VALUE_LABELS if is_regression else map(str, range(config.num_classes))
        labels = tuple(labels or names)
        if value_scale is not None and not is_regression:
            raise BeexError("A classifier's answers have no value_scale; leave it out.")
        if len(labels) != config.num_classes:
            problem = f"{len(labels)} labels were given for num_classes={config.num_classes}"
            raise BeexError(f"{problem}; give one label a class.")
        if preprocessor is not None:
            _check_preprocessor(preprocessor, config)

        # === Layers ===
        backbone = BEExformer(config, matmul_dtype, name="backbone")
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
        self.policy = policy or exits.get(exits.default(config.problem_type))
        self.value_scale = (value_scale or TargetScaler()) if is_regression else None
        self.backbone = backbone
        self.heads = heads

    @property
    def task(self) -> tasks.TextTask:
        """The kind of the task: how logits become answers, and labels become targets."""
        return tasks.make(self.labels, self.value_scale)

    @property
    def policy(self) -> exits.ExitPolicy:
        """The exit policy that inference uses; a policy that does not fit the model raises an error."""
        return self._exit_policy

    @policy.setter
    def policy(self, policy: exits.ExitPolicy) -> None:
        exits.check(policy, self.config.problem_type)
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

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains as in Keras, whose arguments it has, in Keras' order."""
        arguments = inspect.signature(super().fit).bind(x, y, *args, **kwargs)
        if isinstance(held_out := arguments.arguments.get("validation_data"), tuple):
            texts, labels, *rest = held_out
            held_out = (self.to_ids(texts), self.to_label_ids(labels), *rest)
        else:
            held_out = self.to_ids(held_out)
        ids, labels = self.to_ids(x), self.to_label_ids(y)
        arguments.arguments.update(x=ids, y=labels, validation_data=held_out)
        return super().fit(*arguments.args, **arguments.kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates as in Keras, whose arguments it has, in Keras' order."""
        return super().evaluate(self.to_ids(x), self.to_label_ids(y), *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        """Returns the logits of all exits (B, N, C); the arguments are Keras', in Keras' order."""
        return super().predict(self.to_ids(x), *args, **kwargs)

    def to_ids(self, x: Any) -> Any:
        """Turns raw strings into token ids, and returns anything else unchanged.

        Raises:
            BeexError: strings were given and no preprocessor is attached, or pairs were given to a model of
                single texts, or single texts to a model of pairs.
        """
        if isinstance(x, tf.data.Dataset):
            spec = x.element_spec
            texts = spec[0] if isinstance(spec, tuple) else spec
            if texts.dtype != tf.string:
                return x
            encode = self._require_preprocessor()
            self._check_rank(texts.shape.rank)
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
        preprocessor = self._require_preprocessor()
        self._check_rank(array.ndim)
        columns = [array.tolist()] if array.ndim == 1 else array.T.tolist()
        ids = preprocessor.encode(*columns)
        return ids[:, : (ids != 0).sum(axis=1).max(initial=1)]

    def to_label_ids(self, y: Any) -> Any:
        """Turns labels into what the loss reads, as `ClassificationTask.encode` and `RegressionTask.encode` do.

        Tensors stay as they are.

        Raises:
            BeexError: a label does not fit the task.
        """
        return y if y is None or isinstance(y, tf.Tensor) else self.task.encode(y)

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

    def _check_rank(self, rank: int) -> None:
        """Raises `BeexError` unless strings of this rank are what the model reads: 2 for pairs, else 1."""
        reads_pairs = self.config.num_segments > 1
        if reads_pairs and rank != 2:
            fix = "give a list of (text, text_pair) tuples"
            raise BeexError(f"The model reads pairs, and single texts were given; {fix}.")
        if not reads_pairs and rank == 2:
            fix = "give a list of texts"
            raise BeexError(f"The model reads single texts, and pairs were given; {fix}.")

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
            values["value_scale"] = TargetScaler.from_dict(values["value_scale"])
        return cls(**values)

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Writes configuration, labels, exit policy, vocabulary and weights to one directory.

        The directory is written whole or not at all; an existing directory is replaced.

        Raises:
            BeexError: the directory cannot be written.
        """
        saving.save(directory, self)

    @classmethod
    def from_pretrained(cls, model: str | os.PathLike[str]) -> "BEExformerClassifier":
        """Loads a model that is packaged, or that `save_pretrained` or a training wrote.

        A packaged model comes from its ``.beex`` file: it has the weights that were converted, except the
        magnitudes of latent weights.

        Args:
            model: a directory of `save_pretrained`, a run folder, or a name in
                `beex_keras.pretrained.names()`.

        Raises:
            BeexError: there is no such model, or a file is missing, is not ours, or does not fit the others.

        Example:
            >>> beex.BEExformerClassifier.from_pretrained("sst2-micro").config.num_blocks
            3
        """
        found = pretrained.find(model)
        if found.is_dir():
            return saving.load(saving.model_directory(found), cls.from_config)
        if found.parent != pretrained.FOLDER:
            raise BeexError(f"{model} is a file; load it by beex_keras.load or Keras' load_model.")
        # Formats of files stand above models, so the reader is looked up when it is needed.
        reader = importlib.import_module("beex_keras.export.beex")
        return reader.classifier(found.read_bytes(), str(found))


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
