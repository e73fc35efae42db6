"""What follows for a training where its arguments leave something open.

`docs/warm_starts.md` and `docs/few_labels.md` list the defaults; here they stand in the order in which they are settled.
`resolve` reads the start and decides whether there is a twin. `_shape` has the model's size and precision. `_Case` has the
recipe, and the twin's.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.models.config import BEExformerConfig
from beex_keras.training import binary_minilm, matrix_dtype
from beex_keras.training.arguments import NEEDS, NONE, TWIN, Arguments
from beex_keras.training.bert import MINILM
from beex_keras.training.recipe import TrainingConfig
from beex_keras.training.warm_starts import WarmStart, is_bert, is_real, warm_start


@dataclasses.dataclass(frozen=True)
class Passes:
    """How long a training is: it sees `texts` at least, in at least `fewest` epochs and at most `most`; see `epochs_of`."""

    texts: int
    fewest: int
    most: int


FROM_RANDOM = Passes(60_000, 2, 40)
FROM_START = Passes(12_000, 2, 10)
"""Of a warm start."""

TAUGHT = Passes(24_000, 2, 20)
"""Where `is_taught`: a binary model learns more slowly than its twin."""

OF_MANY_CLASSES = Passes(90_000, 2, 16)
"""Of a binary model with many classes that starts from an encoder. With two classes, one that no twin teaches would learn
the labels by heart."""

ANSWERED = Passes(20_000, 1, 10)
"""Of a warm start with few labelled texts, whose twin answers the others."""

_FEWEST_TEXTS, _MOST_EPOCHS = 5_000, 50
"""How many texts a warm start sees at least, even if that takes more epochs than `most`, and how many epochs it has
at most."""

FEW, _BATCH_OF_FEW = 10_000, 32
"""How many texts are few: up to so many a warm start has smaller batches, and so more steps; and the size of these
batches."""

_MOST_TAUGHT = 20_000
"""Up to how many labelled texts a twin teaches by default; of many classes up to `FEW`. With more two trainings would
take long, and with many classes the exits are as good without a teacher."""

_MOST_STARTED = 200_000
"""Up to how many labelled texts a training starts from the packaged binary MiniLM by default. With more a
smaller model is trained, which takes less time a text. Our reading."""

_SEEN_ONCE = 100_000
"""A warm start sees a larger number of texts only once, so that up to `_MOST_STARTED` take no longer."""

TAUGHT_MODEL = {"dropout": 0.0, "token_dropout": 0.0}
TAUGHT_TRAINING = {"soft_targets": 0.7, "replaced_tokens": 0.4}
"""Defaults where `is_taught`. The twin also answers texts with replaced tokens, and these keep the model from
learning the labels by heart. Dropout would only keep it from following its teacher."""

FAST_EXITS = {"head_rate": 10.0}
"""Default of a binary model from an encoder if it has many classes, or if its start is binary and nobody teaches it.
At a lower rate the early exits of many classes learn little."""

_MANY_CLASSES = 20
"""More classes than that are many. Our reading."""

REAL_TRAINING = {"learning_rate": 3e-4, "head_rate": 3.0}
"""Defaults of a float32 model that starts from the packaged binary MiniLM. It has more to learn than one that starts
from MiniLM, so its rate is higher, but not that of its exits."""

_DROPOUT = {"dropout": 0.1, "token_dropout": 0.1}
"""Defaults of a start from a classifier that was trained without, as one is that its twin taught."""

PAIR_MODEL = {"token_dropout": 0.0}
"""Defaults of a start from an encoder on pairs, in which a single word can decide."""


@dataclasses.dataclass(frozen=True)
class Data:
    """What of the training data settings follow from.

    Attributes:
        labelled: number of texts with a label; with `both_orders` each counts twice.
        classes: number of classes; 1 where labels are numbers.
        unlabelled: number of texts without one.
        is_regression: whether labels are numbers.
        is_pair: whether texts are pairs.
        both_orders: whether each pair is there a second time, with its texts exchanged.
        are_long: whether the texts are, see `binary_minilm.are_long`.
        is_known_language: whether the packaged binary MiniLM knows the language of the texts.
    """

    labelled: int
    classes: int = 2
    unlabelled: int = 0
    is_regression: bool = False
    is_pair: bool = False
    both_orders: bool = False
    are_long: bool = False
    is_known_language: bool = True

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
    """All that follows from the arguments of a call and its data."""

    model: BEExformerConfig
    training: TrainingConfig
    init: WarmStart | None
    teacher: WarmStart | None = None
    twin: "Resolved | None" = None  # which is trained first, to be the teacher
    start_by_default: bool = False  # whether the call says nothing of what `init` is
    is_foreign: bool = False  # whether only the texts' language keeps it from the default start


def resolve(arguments: Arguments, data: Data) -> Resolved:
    """Reads what the training starts from and learns from; errors as `warm_start`, and for a setting of no use."""
    is_open = arguments.leave_start_open and data.once <= _MOST_STARTED
    by_default = is_open and data.is_known_language
    if by_default:
        # MiniLM may have to be downloaded, so somebody has to ask for it.
        start = MINILM if arguments.teacher == TWIN else binary_minilm.name_for(data.is_pair)
        arguments = dataclasses.replace(arguments, init=start)
    layers = arguments.choice.get("init_layers")
    init = None if arguments.init in (None, NONE) else warm_start(arguments.init, layers)
    teacher = None
    if arguments.teacher not in (None, TWIN, NONE):
        # A model of ours has its own blocks; of a BERT-style encoder both take the same layers.
        teacher = warm_start(arguments.teacher, layers if is_bert(arguments.teacher) else None)
    case = _Case(arguments, data, init, _shape(arguments, init, data))
    found = Resolved(case.model(), case.training(), init, teacher)
    if case.by_twin:
        found = case.taught_by_twin(found)
    _refuse_idle(arguments, found)
    return dataclasses.replace(
        found,
        start_by_default=by_default and arguments.init != MINILM,
        is_foreign=is_open and not by_default,
    )


def _refuse_idle(arguments: Arguments, found: Resolved) -> None:
    """Refuses a setting that would change nothing."""
    usual = {**TrainingConfig().to_dict(), "init_layers": None}
    asked = {**usual, **found.training.to_dict(), **arguments.choice}
    there = {"init": found.init, "teacher": found.teacher or found.twin}
    for name, needed in NEEDS.items():
        if asked[name] != usual[name] and there[needed] is None:
            raise BeexError(
                f"{name} means nothing without {needed}; give {needed}, or leave it out."
            )


def _shape(arguments: Arguments, init: WarmStart | None, data: Data) -> BEExformerConfig:
    """The model, as far as it does not depend on its teacher."""
    if isinstance(arguments.model, BEExformerConfig):
        return arguments.model
    given = dict(arguments.model)
    if data.is_pair and init is not None and init.is_encoder:
        given = {**PAIR_MODEL, **given}
    preset, bits = arguments.choice.get("preset"), arguments.choice.get("bits")
    if data.are_long and arguments.leave_length_open and init is not None:
        given["max_length"] = binary_minilm.LENGTH
    if bits is None:
        fully = init is not None and init.bits["activation_bits"] == 1
        bits = "fully-binary" if fully else "weights-only"
    shape = None if init is None or init.is_encoder else init.shape
    if preset is None and shape is not None:
        dropout = {name: getattr(shape, name) or share for name, share in _DROPOUT.items()}
        return shape.with_bits(bits).replace(**{**dropout, **given})
    default = "tiny" if init is None else "minilm"
    return BEExformerConfig.preset(preset or default, bits, **given)


@dataclasses.dataclass(frozen=True)
class _Case:
    """A call whose start is read, and whose model has a shape."""

    arguments: Arguments
    data: Data
    init: WarmStart | None
    shape: BEExformerConfig

    @property
    def is_binary(self) -> bool:
        return self.shape.weight_bits == 1

    @property
    def from_encoder(self) -> bool:
        return self.init is not None and self.init.is_encoder

    @property
    def from_binary_encoder(self) -> bool:
        return self.init is not None and self.init.is_encoder and not is_real(self.init.bits)

    @property
    def from_minilm(self) -> bool:
        return self.arguments.init == MINILM and self.arguments.choice.get("init_layers") is None

    @property
    def is_warm(self) -> bool:
        start, model = self.init, self.shape.to_dict()
        return start is not None and starts_warm(start.is_encoder, start.bits, model)

    @property
    def is_long(self) -> bool:
        """Whether the start is warm and the model reads long texts."""
        return self.is_warm and self.shape.max_length >= binary_minilm.LENGTH

    def epochs_of(self, count: int, passes: Passes) -> int:
        """As the function of this name; a training sees half as many long texts, since each has more tokens."""
        if self.is_long:
            passes = dataclasses.replace(passes, texts=passes.texts // 2)
        return epochs_of(count, passes)

    @property
    def epochs(self) -> int | None:
        """The number that the call gives; twins have it too, so that it bounds the time of all trainings."""
        training = self.arguments.training
        return None if isinstance(training, TrainingConfig) else training.get("epochs")

    @property
    def by_twin(self) -> bool:
        """Whether the float32 twin is trained first, to be the teacher."""
        if self.arguments.teacher is not None:
            return self.arguments.teacher == TWIN
        # A whole recipe says all by itself.
        free = not isinstance(self.arguments.training, TrainingConfig)
        return free and self.from_encoder and self.has_few_to_teach and self.is_binary

    @property
    def has_few_to_teach(self) -> bool:
        """Whether the labelled texts are so few that a twin teaches by default."""
        return self.data.once <= (FEW if self.data.classes > _MANY_CLASSES else _MOST_TAUGHT)

    @property
    def has_teacher(self) -> bool:
        return self.by_twin or self.arguments.teacher not in (None, NONE)

    @property
    def is_taught(self) -> bool:
        start, bits = self.init, self.shape.weight_bits
        return start is not None and is_taught(self.by_twin, start.is_encoder, start.bits, bits)

    @property
    def is_answered(self) -> bool:
        """Whether a twin of few labelled texts answers unlabelled ones."""
        few = self.from_encoder and self.data.has_few_labels
        return self.by_twin and few and self.data.unlabelled > 0

    @property
    def passes(self) -> Passes:
        if self.is_answered:
            return ANSWERED
        if self.from_encoder and self.is_binary and self.data.classes > _MANY_CLASSES:
            return OF_MANY_CLASSES
        if self.is_taught:
            return TAUGHT
        return FROM_START if self.is_warm else FROM_RANDOM

    def model(self) -> BEExformerConfig:
        if self.is_taught and isinstance(self.arguments.model, dict):
            return self.shape.replace(**{**TAUGHT_MODEL, **self.arguments.model})
        return self.shape

    def training(self) -> TrainingConfig:
        if isinstance(self.arguments.training, TrainingConfig):
            return self.arguments.training
        data, is_warm = self.data, self.is_warm
        given: dict[str, Any] = {"policy": exits.default(data.is_regression)}
        given["epochs"] = self.epochs_of(data.count, self.passes)
        given["precision"] = matrix_dtype.default()
        if data.is_regression:
            given["loss"] = "uniform"
        if (is_warm and data.has_few_texts) or self.is_long:
            given["batch_size"] = _BATCH_OF_FEW
        if self.is_taught:
            given |= TAUGHT_TRAINING
        elif self.from_binary_encoder and not self.is_binary:
            given |= REAL_TRAINING
        if self.from_encoder and self.is_binary:
            untaught = self.from_binary_encoder and not self.has_teacher
            if untaught or data.classes > _MANY_CLASSES:
                given |= FAST_EXITS
        given |= self.arguments.training
        if is_warm:
            return TrainingConfig.warm(self.is_binary, **given)
        return TrainingConfig(**given)

    def taught_by_twin(self, found: Resolved) -> Resolved:
        """Returns the same settings with the twin as the teacher."""
        twin, init = self.twin(found.training), found.init
        named = self.from_minilm and binary_minilm.fits(found.model)
        if self.is_taught and self.has_few_to_teach and named:
            init = warm_start(binary_minilm.name_for(self.data.is_pair))
        return dataclasses.replace(found, init=init, twin=twin)

    def twin(self, training: TrainingConfig) -> Resolved:
        """The float32 twin that is to teach a model of this recipe.

        It learns by its last exit alone, as long as few texts need. Of a regression its exits all learn, as the model's
        do: then early exits of the model learn more. Of 500 texts with classes the model would be less accurate.
        """
        init, model = self.init, self.shape.twin()
        epochs = self.epochs or self.epochs_of(self.data.labelled, FROM_START)
        shared = ("batch_size", "policy", "tolerance", "margin", "precision", "pieces", "seed")
        own = {name: getattr(training, name) for name in shared}
        own["loss"] = training.loss if self.data.is_regression else "last"
        if init is not None and starts_warm(init.is_encoder, init.bits, model.to_dict()):
            if self.data.has_few_labels:  # however many texts there are without a label
                own["batch_size"] = min(training.batch_size, _BATCH_OF_FEW)
            if self.from_binary_encoder:
                own |= REAL_TRAINING
            recipe = TrainingConfig.warm(False, epochs=epochs, **own)
            return Resolved(model, recipe, init)
        epochs = self.epochs or max(epochs, training.epochs)
        return Resolved(model, TrainingConfig(epochs=epochs, **own), init)


def is_taught(by_twin: bool, is_encoder: bool, bits: Mapping[str, int], weight_bits: int) -> bool:
    """Whether a model of `weight_bits` is binary, starts from real weights or an encoder, and learns from its twin.

    `is_encoder` and `bits` are those of the start.
    """
    return by_twin and (is_encoder or is_real(bits)) and weight_bits == 1


def epochs_of(count: int, passes: Passes) -> int:
    """Returns the default number of epochs for `count` texts.

    A training needs a number of steps, so it goes over few texts more often.

    Source: our reading; near the epochs of the suites `paper` and `warm`.
    """
    is_warm = passes is not FROM_RANDOM
    fewest = 1 if is_warm and count > _SEEN_ONCE else passes.fewest
    epochs = min(max(fewest, -(-passes.texts // count)), passes.most)
    if not is_warm:
        return epochs
    return max(epochs, min(-(-_FEWEST_TEXTS // count), _MOST_EPOCHS))


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
