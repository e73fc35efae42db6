"""The C tokenizer against tensorflow-text's, on all text in a folder.

    python benchmarks/tokenizer.py FOLDER

Texts are the fields of .tsv files, the strings in .jsonl files and the lines of .txt and .md files, each
once, cut at 510 tokens. The vocabulary is learned from them; both kinds of letter case are compared.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from measure import json_option, show

LENGTH = 512


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("--vocabulary", "vocabulary_file", type=click.Path(), help="A vocab.txt to use.")
@click.option("--vocabulary-size", default=8000, show_default=True, help="Tokens to learn.")
@json_option
def main(folder: str, vocabulary_file: str | None, vocabulary_size: int, as_json: bool) -> None:
    from beex_keras import BEExformerClassifier, BEExformerConfig
    from beex_keras.export import beex as beex_format
    from beex_keras.runtime import CRunner
    from beex_keras.text import TextPreprocessor, learn_vocabulary, read_vocabulary

    files = {file: sorted(set(_texts(file))) for file in sorted(Path(folder).rglob("*"))}
    files = {file: texts for file, texts in files.items() if texts}
    if not files:
        raise click.UsageError(f"{folder} holds no .tsv, .jsonl, .txt or .md file with text.")
    rows: list[dict[str, Any]] = []
    for lower_case in (True, False):
        vocabulary = (
            read_vocabulary(vocabulary_file)
            if vocabulary_file
            else learn_vocabulary(
                (text for texts in files.values() for text in texts), vocabulary_size, lower_case
            )
        )
        preprocessor = TextPreprocessor(vocabulary, LENGTH, lower_case)
        sizes = {"width": 2, "num_heads": 1, "hidden_width": 1, "num_blocks": 1}
        sizes |= {"vocabulary_size": len(vocabulary), "max_length": LENGTH}
        config = BEExformerConfig(**sizes, separator_id=preprocessor.separator_id)
        engine = CRunner(beex_format.convert(BEExformerClassifier(config, preprocessor)))
        for file, texts in files.items():
            theirs, ours = preprocessor.encode(texts), engine.encode(texts)
            row = {"file": str(file.relative_to(folder)), "case": "lower" if lower_case else "kept"}
            row |= {"texts": len(texts), "tokens": int(np.count_nonzero(theirs))}
            rows.append({**row, "differ": int((ours != theirs).any(axis=1).sum())})
    compared, differ = (sum(row[name] for row in rows) for name in ("texts", "differ"))
    show(rows, f"{compared:,} texts compared, {differ:,} differ", as_json)


def _texts(file: Path) -> Iterator[str]:
    """Every text of a file that is not blank; none if the file is of another kind."""
    if file.suffix not in (".tsv", ".jsonl", ".txt", ".md") or not file.is_file():
        return
    for line in file.read_text("utf-8").split("\n"):
        if file.suffix == ".tsv":
            parts: list[Any] = line.split("\t")
        elif file.suffix == ".jsonl" and line:
            parts = list(json.loads(line).values())
        else:
            parts = [line]
        yield from (part for part in parts if isinstance(part, str) and part.strip())


if __name__ == "__main__":
    main()
