"""The bits of the scores that a build of the engine answers, and the texts that it is asked."""

import random
from functools import cache
from pathlib import Path

from c_builds import TFLITE, WARNINGS, run

from beex_keras import pretrained
from beex_keras.runtime import library, load

MODELS = tuple(pretrained.names())
SMALL = tuple(name for name in MODELS if name.endswith("-micro"))


def build(target: Path, compiler: str, *flags: str, program="tests/scores.c", sources=None) -> Path:
    """A program with the engine, or with some of its sources."""
    if sources is None:
        sources = [*TFLITE.glob("kernels/*.c"), *TFLITE.glob("engine/*.c")]
    run(compiler, *flags, *WARNINGS, TFLITE / program, *sources, "-lm", "-o", target)
    return target


@cache
def texts(model: str, count: int) -> tuple[str, ...]:
    """Words and parts of words that the model knows, and characters from all of Unicode."""
    generator = random.Random(model)
    known = load(model).preprocessor.vocabulary[5:]
    planes = [(0x20, 0x7F), (0xA1, 0x600), (0x600, 0x3000), (0x3000, 0xD800), (0x10000, 0x30000)]

    def word() -> str:
        if generator.random() < 0.9:
            return generator.choice(known).removeprefix("##")
        return "".join(
            chr(generator.randrange(*generator.choice(planes)))
            for _ in range(generator.randrange(1, 5))
        )

    return tuple(
        " ".join(["x", *(word() for _ in range(generator.choice([2, 5, 10, 20, 30, 60])))])
        for _ in range(count)
    )


def scores(command: list, model: str, count: int, kernels: str) -> list[str]:
    """What tests/scores.c prints: exit, bits of the score, checksum of the logits."""
    lines = "".join(text + "\n" for text in texts(model, count))
    found = run(*command, pretrained.find(model), kernels, input=lines).splitlines()
    assert len(found) == count
    return found


def available() -> list[str]:
    """Kernels of this machine."""
    return list(library.self_test())
