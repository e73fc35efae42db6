"""Writes English sentences of many kinds that do not occur in SST, one on each line.

    git clone https://github.com/mozilla/voice-web SOURCES/voice-web
    git -C SOURCES/voice-web checkout e0bfbc4be
    git clone https://github.com/UniversalDependencies/UD_English-EWT SOURCES/UD_English-EWT
    git -C SOURCES/UD_English-EWT checkout 15d613d8
    git clone https://github.com/nltk/nltk_data SOURCES/nltk_data
    git -C SOURCES/nltk_data checkout 5db857e6
    python benchmarks/recipes/sentences.py SOURCES --sst DATA/glue/SST-2 -o sentences.txt

Common Voice has sentences that were written to be read aloud (CC0). The English Web Treebank has blogs, mails,
reviews and questions (CC BY-SA 4.0). MASC has newspapers, essays, letters and tweets, for research and development,
also commercial. Sentences that occur in SST are left out as in `film_sentences.py`.
"""

import random
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
from film_sentences import WORDS, occurs_in_sst

from beex_keras.errors import BeexError
from beex_keras.files import read_text, write_atomically

_COMMON_VOICE = "voice-web/server/data/en"
_TREEBANK = "UD_English-EWT"
_OF_TREEBANK = ("*-dev.conllu", "*-test.conllu", "not-to-release/**/*.conllu")
"""The last pattern finds the documents of the training file."""

_MASC = "nltk_data/packages/corpora/masc_tagged.zip"

_NOT_ENGLISH = ("singleword", "fxvoice", "Foreign")
"""Files of Common Voice that have no English sentences."""

_JOINED = (
    (r" ([.,;:!?%)\]}])", r"\1"),
    (r"([(\[{$#]) ", r"\1"),
    (r" ('s|'re|'ve|'ll|'d|'m|n't)\b", r"\1"),
    (r"``\s?|\s?''", '"'),
)
"""Patterns that remove the spaces between the tokens of a text."""


def common_voice(folder: Path) -> Iterator[str]:
    """A line of a file is a sentence."""
    for file in sorted(folder.glob("*.txt")):
        if not any(name in file.name for name in _NOT_ENGLISH):
            yield from read_text(file, "file of sentences").splitlines()


def treebank(folder: Path) -> Iterator[str]:
    """The comment before a sentence's tokens has its text."""
    for file in (file for files in _OF_TREEBANK for file in sorted(folder.glob(files))):
        for line in read_text(file, "treebank").splitlines():
            if line.startswith("# text = "):
                yield line.removeprefix("# text = ")


def masc(file: Path) -> Iterator[str]:
    """A line has a sentence's tokens, each with its part of speech behind an underscore or a slash."""
    with zipfile.ZipFile(file) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".txt") and name.count("/") > 1:
                for line in archive.read(name).decode("utf-8", "replace").splitlines():
                    text = " ".join(re.sub(r"[_/][^_/]*$", "", token) for token in line.split())
                    for pattern, replacement in _JOINED:
                        text = re.sub(pattern, replacement, text)
                    yield text


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("sources", type=click.Path(path_type=Path, file_okay=False))
@click.option("--sst", type=click.Path(path_type=Path), required=True, help="GLUE's SST-2.")
@click.option("--seed", default=0, show_default=True, help="Seed of the order.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(sources: Path, sst: Path, seed: int, output: Path) -> None:
    """Writes the sentences in random order."""
    try:
        for part in (_COMMON_VOICE, _TREEBANK, _MASC):
            if not (sources / part).exists():
                raise BeexError(
                    f"{sources} has no {part}; clone the sources as the head of benchmarks/recipes/sentences.py says."
                )
        found = [
            *common_voice(sources / _COMMON_VOICE),
            *treebank(sources / _TREEBANK),
            *masc(sources / _MASC),
        ]
        occurs = occurs_in_sst(sst)
        texts = dict.fromkeys(" ".join(text.split()) for text in found)
        kept = [
            text for text in texts if WORDS[0] <= len(text.split()) <= WORDS[1] and not occurs(text)
        ]
        random.Random(seed).shuffle(kept)
        write_atomically(output, "".join(f"{text}\n" for text in kept))
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {len(kept):,} sentences.")


if __name__ == "__main__":
    main()
