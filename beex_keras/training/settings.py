"""What a call of `train` or `beex train` asks for, and what follows where it says nothing.

Both speak of the same words: `preset`, `bits`, `init_layers`, columns of the data, and the fields of
`BEExformerConfig`, `TrainingConfig` and `RunOptions`. What is not given follows from the start:

- a binary model with at most 100,000 labelled texts starts from the packaged binary MiniLM, see
  `beex_keras.training.binary_minilm`, and has no teacher; with unlabelled texts it starts from "minilm"; not so if
  the call says something about the size or brings a vocabulary;
- the preset is "minilm" for a BERT-style encoder or the binary MiniLM, and "tiny" for a training from random
  weights; a start from a model of ours has that model's shape;
- the bits are "weights-only", or "fully-binary" where the start is so already;
- the recipe is that of `TrainingConfig.warm` where the start's real weights have something to lose;
- the number of epochs follows from the number of training texts, see `epochs_of`;
- a warm start on few texts has smaller batches;
- a binary model that starts from an encoder and has few labelled texts learns from its float32 twin;
- where such a model has unlabelled texts too, a second twin learns from the first one's answers to them, and the
  twin that is better on validation data is the teacher; if they start from MiniLM, a linear model on MiniLM's
  embeddings answers beside the first twin, see `beex_keras.training.mixture`;
- a binary model that its twin teaches has no dropout, and texts with replaced tokens; the exits of one that starts
  from the packaged binary MiniLM without a teacher learn faster;
- a model that starts from an encoder hides no token of pairs;
- with few labelled texts it starts from the packaged binary MiniLM where it would from MiniLM;
- the exit policy is that of `beex_keras.exits.default`.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any

from beex_keras import exits, fields
from beex_keras.errors import BeexError
from beex_keras.models.config import BEExformerConfig
from beex_keras.training import binary_minilm
from beex_keras.training.bert import MINILM
from beex_keras.training.recipe import RunOptions, TrainingConfig
from beex_keras.training.warm_starts import WarmStart, is_bert, is_real, warm_start

Source = str | os.PathLike[str] | WarmStart | None
"""What a training starts from or learns from: a name, a path, or read already."""

TWIN = "twin"
"""The name of a teacher that is trained first: the float32 twin of the model."""

NONE = "none"
"""In place of a start or a teacher: none, where there is one by default."""

_TEXTS, _WARM_TEXTS, _EPOCHS, _WARM_EPOCHS = 60_000, 12_000, (2, 40), (2, 10)
"""How many texts a training sees at least, from random weights and from a warm start, and over how many
epochs at least and at most."""

_ANSWERED_TEXTS, _ANSWERED_EPOCHS = 20_000, (1, 10)
"""The same where a twin of few labelled texts answers unlabelled ones."""

_FEWEST_TEXTS, _MOST_EPOCHS = 5_000, 50
"""How many texts a warm start sees at least, even if that takes more than `_WARM_EPOCHS`, and how many
epochs it has at most."""

FEW, _BATCH_OF_FEW = 10_000, 32
"""How many texts are few: up to so many a warm start has smaller batches, and so more steps; and their size."""

_MOST_STARTED = 100_000
"""Up to how many labelled texts a training starts from the packaged binary MiniLM by default. With more the training
of a small model takes long enough."""

TAUGHT_MODEL = {"dropout": 0.0, "token_dropout": 0.0}
TAUGHT_TRAINING = {"soft_targets": 0.7, "replaced_tokens": 0.4}
"""Defaults where `is_taught`. The twin also answers texts with replaced tokens, and these keep the model from
learning the labels by heart. Dropout would only keep it from following its teacher."""

UNTAUGHT_TRAINING = {"head_rate": 10.0}
"""Default of a model that starts from the packaged binary MiniLM and that nobody teaches. At a lower rate the early
exits of many classes learn little."""

PAIR_MODEL = {"token_dropout": 0.0}
"""Defaults of a start from an encoder on pairs, in which a single word can decide."""

DATA = (
    *("data_dir", "text_column", "pair_column", "label_column"),
    *("task_kind", "both_orders", "clip"),
)
"""Words for `load_task`."""

CHOICE = ("preset", "bits", "init_layers")
"""Words that stand for several settings of a model, or for a part of its start."""

_OF_DATA = {"num_classes", "num_segments", "separator_id"}
MODEL = tuple(name for name in fields.names(BEExformerConfig) if name not in _OF_DATA)
"""Fields of a model's configuration that the data does not decide."""

_OF_INIT, _OF_TEACHER = ("init_layers", "anneal"), ("hidden_weight", "replaced_tokens")
NEEDS = {**dict.fromkeys(_OF_INIT, "init"), **dict.fromkeys(_OF_TEACHER, "teacher")}
"""Settings that mean nothing without an argument of `train`."""


@dataclasses.dataclass(frozen=True)
class Data:
    """What of the training data settings follow from.

    Attributes:
        labelled: number of texts with a label; with `both_orders` each counts twice.
        unlabelled: number of texts without one.
        is_regression: whether labels are numbers.
        is_pair: whether texts are pairs.
        both_orders: whether each pair is there a second time, with its texts exchanged.
    """

    labelled: int
    unlabelled: int = 0
    is_regression: bool = False
    is_pair: bool = False
    both_orders: bool = False

    @property
    def count(self) -> int:
        """Number of all texts."""
        return self.labelled + self.unlabelled

    @property
    def has_few_labels(self) -> bool:
        """Whether at most `FEW` texts have a label."""
        return self.once <= FEW

    @property
    def has_few_texts(self) -> bool:
        """Whether there are at most `FEW` texts."""
        return self.once + self.unlabelled <= FEW

    @property
    def once(self) -> int:
        """Number of texts with a label, with each pair in one order."""
        return self.labelled // 2 if self.both_orders else self.labelled


@dataclasses.dataclass(frozen=True)
class Resolved:
    """All that follows from the words of a call and its data."""

    model: BEExformerConfig
    training: TrainingConfig
    init: WarmStart | None
    teacher: WarmStart | None = None
    twin: "Resolved | None" = None  # which is trained first, to be the teacher
    with_frozen: bool = False  # whether the embeddings that the twin started from teach beside it
    start_by_default: bool = False  # whether the call says nothing of what `init` is


def known() -> list[str]:
    """All words, in alphabetical order."""
    own = (*fields.names(TrainingConfig), *fields.names(RunOptions))
    return sorted({*DATA, *CHOICE, *MODEL, *own})


@dataclasses.dataclass(frozen=True)
class Words:
    """The words of a call, sorted by what they are about and checked as far as data need not be read."""

    data: dict[str, Any]  # arguments of `load_task`
    choice: dict[str, Any]  # those of `CHOICE`
    model: dict[str, Any] | BEExformerConfig  # some fields, or all
    training: dict[str, Any] | TrainingConfig
    run: RunOptions
    init: Source
    teacher: Source

    @classmethod
    def read(
        cls,
        settings: Mapping[str, Any],
        model: BEExformerConfig | None = None,
        training: TrainingConfig | None = None,
        init: Source = None,
        teacher: Source = None,
        has_unlabelled: bool = False,
    ) -> "Words":
        """Sorts `settings`; refuses one that is unknown, out of range, of no use or given twice."""
        said = init, teacher, model, training
        if has_unlabelled and all(word is None for word in said) and _fits_packaged(settings):
            init = MINILM
        if has_unlabelled and teacher is None and init not in (None, NONE) and is_bert(init):
            teacher = TWIN
        if has_unlabelled and teacher in (None, NONE):
            fix = f'give one, such as teacher="{TWIN}"'
            raise BeexError(
                f"Unlabelled texts mean nothing without a teacher to answer them; {fix}."
            )
        for unknown in sorted(set(settings) - set(known())):
            raise BeexError(f"Unknown setting '{unknown}'; known are {', '.join(known())}.")
        defaults = {**TrainingConfig().to_dict(), "init_layers": None}
        asked = {**defaults, **({} if training is None else training.to_dict()), **settings}
        sources = {"init": init, "teacher": teacher}
        for name, needed in NEEDS.items():
            if asked[name] != defaults[name] and sources[needed] in (None, NONE):
                fix = f"give {needed}, or leave it out"
                raise BeexError(f"{name} means nothing without {needed}; {fix}.")

        def of(names: Iterable[str]) -> dict[str, Any]:
            return {name: settings[name] for name in names if name in settings}

        recipe = fields.names(TrainingConfig)
        for whole, own in ((model, (*MODEL, "preset", "bits")), (training, recipe)):
            if whole is not None and of(own):
                kind = type(whole).__name__
                raise BeexError(f"{min(of(own))} is given beside a {kind}; put it in there.")
        of_model = of(MODEL) if model is None else model
        of_training = of(recipe) if training is None else training
        options = RunOptions(**of(fields.names(RunOptions)))
        words = cls(of(DATA), of(CHOICE), of_model, of_training, options, init, teacher)
        words._training(words._model(None), Data(1))  # so that faults show before anything is read
        return words

    def resolve(self, data: "Data") -> Resolved:
        """Reads what the training starts from and learns from; errors as `warm_start`."""
        if start := self._default_start(data):
            # The twin takes longer, and may have to be downloaded, so somebody has to ask for it.
            words = dataclasses.replace(self, init=start, teacher=self.teacher or NONE)
            return dataclasses.replace(words.resolve(data), start_by_default=start != MINILM)
        layers = self.choice.get("init_layers")
        init = None if self.init in (None, NONE) else warm_start(self.init, layers)
        model = self._model(init, data.is_pair)
        few = data.has_few_labels and init is not None and init.is_encoder
        # A whole recipe says all by itself.
        free = self.teacher is None and not isinstance(self.training, TrainingConfig)
        by_twin = self.teacher == TWIN or (free and few and model.weight_bits == 1)
        from_minilm = self.init == MINILM and layers is None
        answered = by_twin and few and data.unlabelled > 0
        teacher = None
        if self.teacher not in (None, TWIN, NONE):
            # A model of ours has its own blocks; of a BERT-style encoder both take the same layers.
            teacher = warm_start(self.teacher, layers if is_bert(self.teacher) else None)
        warm = init is not None and starts_warm(init.is_encoder, init.bits, model.to_dict())
        taught = init is not None and is_taught(
            by_twin, init.is_encoder, init.bits, model.weight_bits
        )
        if taught and isinstance(self.model, dict):
            model = model.replace(**{**TAUGHT_MODEL, **self.model})
        is_binary = init is not None and init.is_encoder and not is_real(init.bits)
        defaults = TAUGHT_TRAINING if taught else {}
        if is_binary and teacher is None and not by_twin:
            defaults = UNTAUGHT_TRAINING
        training = self._training(model, data, warm, defaults, answered)
        twin = self._twin(training, init, data) if by_twin else None
        with_frozen = answered and from_minilm
        if twin is not None and answered and model.weight_bits == 1:
            twin = _second(twin, training, data.count, with_frozen)
            with_frozen = False
        if taught and few and from_minilm and binary_minilm.fits(model):
            init = warm_start(binary_minilm.NAME)
        return Resolved(model, training, init, teacher, twin, with_frozen)

    def _default_start(self, data: "Data") -> str | None:
        """The name of the start of a call that says nothing of it; random weights if None."""
        whole = isinstance(self.training, TrainingConfig)
        if self.init is not None or isinstance(self.model, BEExformerConfig) or whole:
            return None
        if data.once > _MOST_STARTED or not _fits_packaged({**self.choice, **self.model}):
            return None
        return MINILM if self.teacher == TWIN else binary_minilm.NAME

    def _twin(self, training: TrainingConfig, init: WarmStart | None, data: "Data") -> Resolved:
        """The float32 twin that is to teach a model of this recipe.

        It learns by its last exit alone, which is all that it is asked for, as long as few texts need.
        """
        if init is not None and init.is_encoder and not is_real(init.bits):
            init = warm_start(MINILM)  # what that was before it was binarized
        model = self._model(init, data.is_pair).twin()
        epochs = epochs_of(data.labelled, warm=True)
        shared = ("batch_size", "policy", "tolerance", "precision", "pieces", "seed")
        own = {"loss": "last", **{name: getattr(training, name) for name in shared}}
        if init is not None and starts_warm(init.is_encoder, init.bits, model.to_dict()):
            if data.has_few_labels:  # however many texts there are without a label
                own["batch_size"] = min(training.batch_size, _BATCH_OF_FEW)
            return Resolved(model, TrainingConfig.warm(False, epochs=epochs, **own), init)
        return Resolved(model, TrainingConfig(epochs=max(epochs, training.epochs), **own), init)

    def _model(self, init: WarmStart | None, is_pair: bool = False) -> BEExformerConfig:
        if isinstance(self.model, BEExformerConfig):
            return self.model
        given = dict(self.model)
        if is_pair and init is not None and init.is_encoder:
            given = {**PAIR_MODEL, **given}
        preset, bits = self.choice.get("preset"), self.choice.get("bits")
        if bits is None:
            fully = init is not None and init.bits["activation_bits"] == 1
            bits = "fully-binary" if fully else "weights-only"
        shape = None if init is None or init.is_encoder else init.shape
        if preset is None and shape is not None:
            return shape.with_bits(bits).replace(**given)
        default = "tiny" if init is None else "minilm"
        return BEExformerConfig.preset(preset or default, bits, **given)

    def _training(
        self,
        model: BEExformerConfig,
        data: "Data",
        warm: bool = False,
        defaults: Mapping[str, Any] | None = None,
        answered: bool = False,
    ) -> TrainingConfig:
        if isinstance(self.training, TrainingConfig):
            return self.training
        given: dict[str, Any] = {"policy": exits.default(data.is_regression)}
        given["epochs"] = epochs_of(data.count, warm, answered)
        if warm and data.has_few_texts:
            given["batch_size"] = _BATCH_OF_FEW
        given |= {**(defaults or {}), **self.training}
        return (
            TrainingConfig.warm(model.weight_bits == 1, **given)
            if warm
            else TrainingConfig(**given)
        )


def _fits_packaged(settings: Mapping[str, Any]) -> bool:
    """Whether these settings leave a model that can start from the packaged binary MiniLM."""
    if settings.get("preset") is not None:
        return False
    own = {name: settings[name] for name in MODEL if name in settings}
    bits = settings.get("bits") or "weights-only"
    model = BEExformerConfig.preset("minilm", bits, **own)
    return model.weight_bits == 1 and binary_minilm.fits(model)


def _second(twin: Resolved, training: TrainingConfig, count: int, with_frozen: bool) -> Resolved:
    """A twin that learns anew, from the labels and from what `twin` answers to all `count` texts.

    Source: a student of its teacher's shape as Furlanello et al. (2018, "Born-Again Neural Networks"), on
    unlabelled texts as Xie et al. (2020, "Self-Training with Noisy Student"): dropout is the noise.
    """
    config = dataclasses.replace(
        twin.training,
        epochs=epochs_of(count, warm=True, answered=True),
        batch_size=training.batch_size,
        soft_targets=TAUGHT_TRAINING["soft_targets"],
    )
    return Resolved(twin.model, config, twin.init, twin=twin, with_frozen=with_frozen)


def is_taught(by_twin: bool, is_encoder: bool, bits: Mapping[str, int], weight_bits: int) -> bool:
    """Whether a model of `weight_bits` is binary, starts from real weights or an encoder, and learns from its twin.

    `is_encoder` and `bits` are those of the start.
    """
    return by_twin and (is_encoder or is_real(bits)) and weight_bits == 1


def epochs_of(count: int, warm: bool, answered: bool = False) -> int:
    """Returns the default number of epochs for `count` texts.

    A training needs a number of steps, so it goes over few texts more often. `answered` is for a warm start
    with few labelled texts, whose twin answers the others.

    Source: our reading; near the epochs of the suites `paper` and `warm`.
    """
    texts, (fewest, most) = (_WARM_TEXTS, _WARM_EPOCHS) if warm else (_TEXTS, _EPOCHS)
    if answered:
        texts, (fewest, most) = _ANSWERED_TEXTS, _ANSWERED_EPOCHS
    epochs = min(max(fewest, -(-texts // count)), most)
    return max(epochs, min(-(-_FEWEST_TEXTS // count), _MOST_EPOCHS)) if warm else epochs


def starts_warm(is_encoder: bool, bits: Mapping[str, int], model: Mapping[str, Any]) -> bool:
    """Whether `TrainingConfig.warm` has the defaults for a start.

    So it is where real weights have something to lose; only a binary model that goes on from a
    binary one learns as from random weights.

    Args:
        is_encoder: whether the start is an encoder that has learned no task.
        bits: of its parts, by their names in `model`.
        model: the settings of the model to train.
    """
    if is_encoder or model["weight_bits"] == 32:
        return True
    mine = BEExformerConfig.from_dict(dict(model)).precision.learned_bits()
    return any(number > mine[name] for name, number in bits.items())
