from . import (
    data,
    evaluation,
    exits,
    export,
    layers,
    losses,
    metrics,
    models,
    pretrained,
    quantizers,
    runtime,
    tasks,
    text,
    training,
)
from ._version import __version__
from .data import load_task
from .errors import BeexError, BeexWarning
from .evaluation import calibrate
from .exits import (
    Change,
    Confidence,
    Entropy,
    ExitPolicy,
    FixedDepth,
    FractionalEntropy,
    Patience,
)
from .export import convert
from .losses import SoftRoutingLoss
from .models import BEExformer, BEExformerClassifier, BEExformerConfig
from .precision import Precision
from .quantizers import PolynomialSign
from .runtime import Failure, Prediction, ValuePrediction, load, pipeline
from .tasks import TargetScaler
from .text import TextPreprocessor
from .training import TrainingConfig, train

__all__ = [
    "BEExformer",
    "BEExformerClassifier",
    "BEExformerConfig",
    "BeexError",
    "BeexWarning",
    "Change",
    "Confidence",
    "Entropy",
    "ExitPolicy",
    "Failure",
    "FixedDepth",
    "FractionalEntropy",
    "Patience",
    "PolynomialSign",
    "Precision",
    "Prediction",
    "SoftRoutingLoss",
    "TargetScaler",
    "TextPreprocessor",
    "TrainingConfig",
    "ValuePrediction",
    "__version__",
    "calibrate",
    "convert",
    "data",
    "evaluation",
    "exits",
    "export",
    "layers",
    "load",
    "load_task",
    "losses",
    "metrics",
    "models",
    "pipeline",
    "pretrained",
    "quantizers",
    "runtime",
    "tasks",
    "text",
    "train",
    "training",
]
