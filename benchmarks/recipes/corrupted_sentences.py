"""Writes sentences, each as it is and with an error, with the labels of CoLA, to pre-train on grammar.

    python benchmarks/recipes/film_sentences.py --sst DATA/glue/SST-2 -o film_sentences.txt
    python benchmarks/recipes/corrupted_sentences.py film_sentences.txt --most 42000 -o corrupted.csv
    python benchmarks/recipes/corrupted_sentences.py film_sentences.txt --of corpora/cola -o cola_errors.txt

MiniLM was trained to give sentences of like meaning like embeddings, whatever their grammar. A model that first
learns to tell corrupted sentences from others has seen some grammar before the task.

The errors: a word changes places with the next one, moves, is left out, is added, takes another form, or is replaced
by a word that follows the previous word in another sentence. Some errors leave a sentence grammatical, so the labels
are not reliable. The same seed gives the same result.

With `--of` the sentences are the training texts of a task, many of which are ungrammatical already. They are written
with errors only, as texts without labels. SENTENCES then only give the words that follow each other.

Source: replaced words as in ELECTRA (Clark et al., 2020); the other errors are our reading.
"""

import itertools
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
from film_sentences import as_csv

from beex_keras.data import load_task
from beex_keras.errors import BeexError
from beex_keras.files import read_text, write_atomically

LABELS = "unacceptable", "acceptable"

_WORDS = 4, 14
"""The smallest and the largest number of words of a sentence; most sentences of CoLA are not longer."""

_FUNCTION_WORDS = 120
"""Added words are drawn from so many of the most frequent words and marks."""

_AGAIN = 0.15
"""The probability of one more error."""

_WEIGHT = 5
"""The weight of a task's texts beside other sentences, where words that follow each other are counted."""

_CLASSES = tuple(
    frozenset(words.split())
    for words in (
        "am are be been being is was were",
        "had has have having",
        "did do does doing done",
        "can could may might must shall should to will would",
        "a an the",
        "i me my myself",
        "he him himself his",
        "her hers herself she",
        "their theirs them themselves they",
        "our us we",
        "that these this those",
        "what which who whom whose",
        "any each every no some",
        "many much",
        "at by for from in into of on to with",
        "and because but or that",
        "as than that",
    )
)
"""Closed classes, in which a word has the others as forms."""

_ENDINGS = "s", "es", "ed", "d", "ing", "ly", "er", "est", "n", "en"


class Corruptor:
    """Puts an error into a sentence of words and marks.

    Args:
        sentences: tuples of words and marks, in which words and the words after them are counted.
        draw: the source of random numbers.
    """

    def __init__(self, sentences: Sequence[tuple[str, ...]], draw: random.Random) -> None:
        self._draw = draw
        counts: Counter[str] = Counter()
        self._next: dict[str, Counter[str]] = defaultdict(Counter)
        for sentence in sentences:
            words = [word.lower() for word in sentence]
            counts.update(words)
            for word, following in itertools.pairwise(words):
                self._next[word][following] += 1
        self._known = {word for word, count in counts.items() if count > 3}
        frequent = counts.most_common(_FUNCTION_WORDS)
        self._function = [word for word, _ in frequent if word.isalpha()]
        self._errors = {
            self.swap: 3,
            self.move: 2,
            self.omit_function: 2,
            self.omit: 2,
            self.insert: 2,
            self.repeat: 2,
            self.inflect: 5,
            self.replace: 3,
        }

    def __call__(self, sentence: tuple[str, ...]) -> tuple[str, ...]:
        """The sentence with one error, or seldom more; its last mark stays."""
        *words, end = sentence
        corrupted = words
        while corrupted == words or self._draw.random() < _AGAIN:
            error = self._draw.choices(list(self._errors), list(self._errors.values()))[0]
            corrupted = error(list(corrupted), self._draw.randrange(len(corrupted) - 1))
        corrupted[0] = corrupted[0][:1].upper() + corrupted[0][1:]
        return *corrupted, end

    # Each error takes words, which it may change in place, and a place that is not the last one.

    def swap(self, words: list[str], place: int) -> list[str]:
        words[place : place + 2] = words[place + 1], words[place]
        return words

    def move(self, words: list[str], place: int) -> list[str]:
        word = words.pop(place)
        words.insert(self._draw.randrange(len(words) + 1), word)
        return words

    def omit(self, words: list[str], place: int) -> list[str]:
        return words[:place] + words[place + 1 :] if len(words) > 3 else words

    def omit_function(self, words: list[str], place: int) -> list[str]:
        places = [i for i, word in enumerate(words) if word.lower() in self._function]
        return self.omit(words, self._draw.choice(places)) if places else words

    def insert(self, words: list[str], place: int) -> list[str]:
        words.insert(place + 1, self._draw.choice(self._function))
        return words

    def repeat(self, words: list[str], place: int) -> list[str]:
        words.insert(place, self._draw.choice(words))
        return words

    def inflect(self, words: list[str], place: int) -> list[str]:
        forms = {i: found for i, word in enumerate(words) if (found := self.forms(word.lower()))}
        if forms:
            place = self._draw.choice(list(forms))
            words[place] = self._draw.choice(forms[place])
        return words

    def replace(self, words: list[str], place: int) -> list[str]:
        if following := self._next[words[place].lower()]:
            words[place + 1] = self._draw.choices(list(following), list(following.values()))[0]
        return words

    def forms(self, word: str) -> list[str]:
        forms = set().union(*(words for words in _CLASSES if word in words))
        stems = {word} | {
            stem
            for ending in _ENDINGS
            if word.endswith(ending) and len(word) > len(ending) + 2
            for stem in (word.removesuffix(ending), word.removesuffix(ending) + "e")
        }
        made = {stem + ending for stem in stems for ending in ("", *_ENDINGS)}
        made |= {stem[:-1] + "ing" for stem in stems if stem.endswith("e")}
        if word.isalpha() and len(word) > 2:
            forms |= made & self._known
        return sorted(forms - {word})


def tokens(text: str) -> tuple[str, ...]:
    """Words and marks."""
    return tuple(re.findall(r"[\w']+|[^\w\s]", text))


def plain(texts: Iterator[str]) -> Iterator[tuple[str, ...]]:
    """Whole sentences of few words, without figures or quotations."""
    for text in texts:
        found = tokens(text)
        words = sum(word[0].isalpha() for word in found)
        if re.fullmatch(r"[A-Z][A-Za-z ,'-]+[.!?]", text) and _WORDS[0] <= words <= _WORDS[1]:
            yield found


def of_task(
    texts: Sequence[str],
    held_out: Iterable[str],
    others: Sequence[tuple[str, ...]],
    times: int,
    draw: random.Random,
) -> list[str]:
    """Each text so many times with errors, in a random order.

    Args:
        texts: the texts of a task; texts of fewer than four words and marks are left out.
        held_out: texts that must not occur in the result.
        others: further sentences in which words that follow each other are counted.
        times: versions of each text; fewer if two of them are the same.
        draw: the source of random numbers.
    """
    own = [tokens(text) for text in texts]
    corrupt = Corruptor([*others, *(own * _WEIGHT)], draw)
    made = {}
    for sentence in own:
        if len(sentence) < _WORDS[0]:
            continue
        whole = sentence if sentence[-1] in ".!?" else (*sentence, ".")
        for _ in range(times):
            made[_joined(corrupt(whole))] = None
    rows = sorted(made.keys() - {*texts, *held_out})
    draw.shuffle(rows)
    return rows


def _joined(words: Iterable[str]) -> str:
    return re.sub(r" ([.,!?;])", r"\1", " ".join(words))


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("sentences", type=click.Path(path_type=Path))
@click.option("--most", type=click.IntRange(1), help="Number of sentences; all by default.")
@click.option("--of", "task", help="Data whose training texts get errors, without labels.")
@click.option(
    "--times",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Versions of each text of the task.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of all random numbers.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(
    sentences: Path,
    most: int | None,
    task: str | None,
    times: int,
    seed: int,
    output: Path,
) -> None:
    """Writes the sentences with labels, or the texts of a task with errors."""
    try:
        draw = random.Random(seed)
        lines = read_text(sentences, "file of sentences").splitlines()
        whole = list(dict.fromkeys(plain(line.strip() for line in lines)))
        if task is not None:
            given = load_task(task)
            held_out = [*given.validation.texts, *given.test.texts]
            texts = of_task(given.train.texts, held_out, whole[:most], times, draw)
            write_atomically(output, "".join(f"{text}\n" for text in texts))
            click.echo(f"{output}: {len(texts):,} texts.")
            return
        draw.shuffle(whole)
        taken = whole[:most]
        corrupt = Corruptor(whole, draw)
        rows = [(" ".join(sentence), LABELS[1]) for sentence in taken]
        rows += [(" ".join(corrupt(sentence)), LABELS[0]) for sentence in taken]
        draw.shuffle(rows)
        write_atomically(output, as_csv(rows))
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {len(rows):,} texts of {len(taken):,} sentences.")


if __name__ == "__main__":
    main()
