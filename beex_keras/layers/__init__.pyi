from .attention import MultiHeadAttention
from .block import BEExformerBlock
from .dropout import Dropout, TokenDropout
from .embedding import BinaryTokenEmbedding, Embedding, PaddingMask
from .exit_head import ExitHead
from .ffn import FeedForwardNetwork
from .linear import BinaryLinear
from .normalization import LayerNorm
from .slfn import SelectiveLearnForgetNetwork

__all__ = [
    "BEExformerBlock",
    "BinaryLinear",
    "BinaryTokenEmbedding",
    "Dropout",
    "Embedding",
    "ExitHead",
    "FeedForwardNetwork",
    "LayerNorm",
    "MultiHeadAttention",
    "PaddingMask",
    "SelectiveLearnForgetNetwork",
    "TokenDropout",
]
