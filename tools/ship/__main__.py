"""Packages a trained model: writes its file, its card and its row in the README.

    python tools/ship sst2-micro runs/sst2-micro-{0,1,2} --about sst2 --data corpora/sst2
    python tools/ship --pages

The first takes run folders of one training with several seeds, chooses the one that is best on
validation data, never on test data, exports it and measures the file. The second only writes the pages anew
from the cards' figures.
"""

import json
import sys
from pathlib import Path

import click

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import card
from page import page, table, with_table

import beex_keras  # noqa: F401  (selects Keras 2 before TensorFlow is imported)
from beex_keras import exits, pretrained
from beex_keras.errors import BeexError
from beex_keras.export import beex as beex_format
from beex_keras.files import read_text, write_atomically

README = Path(__file__).parents[2] / "README.md"
PEERS = Path(__file__).parents[2] / "benchmarks" / "recorded" / "peers.json"
_PATH = click.Path(path_type=Path)


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("name", required=False)
@click.argument("runs", nargs=-1, type=_PATH)
@click.option("--about", help="The description of data and use: a name in about/, or a file.")
@click.option("--data", help="The data of the training.")
@click.option("--starts-from", default="", help="Whose weights it started from, and their licence.")
@click.option("--earlier", multiple=True, type=_PATH, help="A run these started or learned from.")
@click.option("--pages", is_flag=True, help="Only write the pages of all cards anew.")
@click.option("-o", "--output", type=_PATH, default=pretrained.FOLDER, help="Another folder.")
def main(name, runs, about, pages, output, **options):
    """See the module."""
    try:
        if not pages:
            if not (name and about and runs and options["data"]):
                raise BeexError("Give a name, --about, --data and run folders; or --pages.")
            ship(name, runs, about, output, **options)
        write_pages(output)
    except BeexError as error:
        raise click.ClickException(str(error)) from error


def ship(name, runs, about, output, data, starts_from, earlier):
    """Writes `name`.beex and `name`.json to the output folder."""
    from beex_keras import BEExformerClassifier

    found, before = card.read_runs(runs), card.read_earlier(earlier)
    settings = {weights: run.settings for weights, run in before.items()}
    seeds, real = card.seeds(found), card.twins(before, found)
    chosen = card.choose(found)
    classifier, calibration = (
        BEExformerClassifier.from_pretrained(chosen.folder),
        chosen.figures["calibration"],
    )
    if "w1a8" in chosen.results:  # as `beex convert` makes it
        classifier = classifier.with_activations(8)
        classifier.policy = exits.deserialize(calibration["policy"])
    file = beex_format.convert(classifier, calibration=calibration)
    people = card.read_about(about)
    words = chosen, people, data, starts_from, settings, real
    figures = card.describe(name, file, seeds, *words, card.shared_by(found))
    write(name, file, figures, output)


def write(name, data, figures, output):
    write_atomically(output / f"{name}.beex", data)
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    write_atomically(output / f"{name}.json", text)
    score = figures["test"]["score"]
    click.echo(f"{output / name}.beex: {len(data):,} bytes, {score:.4f} on test")


def write_pages(folder):
    """Every card's page, and for the package's own folder the README's table."""
    files = sorted(folder.glob("*.json"), key=lambda file: file.stem)  # as `pretrained.names`
    cards = [json.loads(read_text(file, "card")) for file in files]
    for figures in cards:
        write_atomically(folder / f"{figures['name']}.md", page(figures))
    if folder.resolve() == pretrained.FOLDER.resolve():
        peers = json.loads(read_text(PEERS, "peers' figures"))["rows"]
        write_atomically(README, with_table(read_text(README, "README"), table(cards, peers)))


if __name__ == "__main__":
    main()
