"""A card's figures as a page, and all cards' as the table of the README."""

from typing import Any

from beex_keras.errors import BeexError
from suite.summary import Mean
from suite.tables import NONE, points, score
from suite.tables import table as rows_table

_BEGIN = "<!-- models: written by tools/ship -->"
_END = "<!-- end of models -->"
_MOST_LABELS = 10
"""Rows that a card has by label."""

_NAMES = {"matthews": "Matthews", "f1": "F1", "pearson": "Pearson"}
"""Metrics that are not written as a program calls them."""
_PEERS = (
    "MiniLM fine-tuned, dynamic int8",
    "fastText, quantized .ftz",
    "TF-IDF + logistic regression",
)
"""Classifiers to use in place of a packaged model; speeds are compared with the first."""

_TASKS = {"glue/sst2": "SST-2", "snips": "SNIPS", "clinc": "CLINC150"}
_SPEED = "texts/s, batch 1"
_SCORES = ("validation", "score", "full_depth_score")


def page(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    name = card["name"]
    parts = [
        f"# {name}",
        f"{card['title']} Written by `tools/ship` from [{name}.json]({name}.json).",
        _use(card),
        *("## Data", _data(card), "## Training", _training(card)),
        *("## Correlation" if "value_scale" in card else "## Accuracy", _accuracy(card)),
        *("## Exits", _exits(card), "## Known failures", _failures(card), "## Size", _size(card)),
        *("## Use", card["intended_use"], card["limits"]),
    ]
    return "\n\n".join(parts) + "\n"


def table(cards: list[dict[str, Any]], peers: list[dict[str, Any]]) -> str:
    """The README's table: each task's packaged models, below the classifiers to use instead.

    Args:
        cards: figures of the models.
        peers: rows of benchmarks/recorded/peers.json, which have the speeds; a task without peers has the
            baseline of its cards.
    """
    measured = {(row["task"], row["contender"]): row for row in peers}
    rows = []
    tasks = sorted(
        {card["task"] for card in cards}, key=lambda task: ((task, _PEERS[0]) not in measured, task)
    )
    for task in tasks:
        int8 = measured.get((task, _PEERS[0]))

        def speed(name: str, task: str = task, int8: dict[str, Any] | None = int8) -> str:
            row = measured.get((task, name))
            return NONE if row is None or int8 is None else f"{row[_SPEED] / int8[_SPEED]:.1f}x"

        name = _TASKS.get(task, task)
        for peer in _PEERS:
            if (task, peer) in measured:
                row = measured[task, peer]
                rows.append(
                    [peer, name, f"{row['accuracy']:.1f}", _mb(row["model MB"]), speed(peer), "no"]
                )
        of_task = [card for card in cards if card["task"] == task]
        if int8 is None:
            kind, value = next(
                item for item in of_task[0]["baselines"].items() if "TF-IDF" in item[0]
            )
            rows.append([kind, name, score(value), NONE, NONE, "no"])
        for card in of_task:
            fits = any(row["board_ram"] <= 128 * 1024 for row in card["boards"])
            link = f"[`{card['name']}`](beex_keras/pretrained/{card['name']}.md)"
            shown = score(card["test"]["score"]) + (" (Pearson)" if "value_scale" in card else "")
            size, fast = _mb(card["file"]["bytes"] / 1e6), speed(f"{card['name']}, exits")
            rows.append([link, name, shown, size, fast, "yes" if fits else "no"])
    return rows_table(["classifier", "task", "accuracy", "MB", "speed", "board with 128 KB"], rows)


def _mb(size: float) -> str:
    return f"{size:.3g}"


def with_table(readme: str, models: str) -> str:
    """The README with the table between its two marks.

    Raises:
        BeexError: it lacks a mark.
    """
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise BeexError(f"README.md lacks the line {_BEGIN} or {_END}; put them back.")
    return f"{before}{_BEGIN}\n\n{models}\n\n{_END}{after}"


# === Parts of a page ===


def _use(card: dict[str, Any]) -> str:
    name = card["name"]
    pair = ' --pair "another text"' if _reads_pairs(card) else ""
    board = "        # or --target mcu -o firmware" if card["boards"] else ""
    return (
        f'```\nbeex predict {name} "a text"{pair}\n'
        f"beex convert {name} -o {name}.tflite{board}\n```\n\n"
        f"The model answers with {_labels(card)}. Its language is {', '.join(card['languages'])}. `beex "
        "convert`, `beex summary` and `BEExformerClassifier.from_pretrained` restore the Keras model from "
        "the file. It gives the same answers to the last bit, but the file does not have the magnitudes "
        f"of its latent weights. `beex train --init {name}` fine-tunes the model on your own texts, with "
        "the same preset and length."
    )


def _data(card: dict[str, Any]) -> str:
    data, texts = card["data"], "pairs of texts" if _reads_pairs(card) else "texts"
    parts = [
        f"{data['name']}, {data['source']}. Licence: {data['licence']} {data['about']}",
        f"{data['train']:,} {texts} are used for training, {data['validation']:,} for choices, and "
        f"{data['test']:,} for the figures on this page ({data['splits']}).",
    ]
    if command := data.get("command"):
        subject = "These commands write" if "\n" in command else "This command writes"
        parts += [f"{subject} the data as JSON lines:", f"```\n{command}\n```"]
    if before := card.get("before"):
        what = "The first of the trainings below learned from other labelled texts"
        parts += _file(what, before)
    what = "The teacher also answered texts without labels"
    for more in card.get("unlabelled") or ():
        parts += _file(what, more)
        what = "It also answered other texts without labels"
    return "\n\n".join(parts)


def _file(what: str, texts: dict[str, str]) -> list[str]:
    """Paragraphs on a file that a command writes."""
    return [
        f"{what}: {texts['name']}. Licence: {texts['licence']} This command writes them to the file "
        f"`{texts['file']}`, whose SHA-256 begins with {texts['sha256']}:",
        f"```\n{texts['command']}\n```",
    ]


def _training(card: dict[str, Any]) -> str:
    seeds = " ".join(str(row["seed"]) for row in card["seeds"])
    start = card["starts_from"] or "Random weights."
    return (
        f"{start}\n\n```\nfor seed in {seeds}; do\n  {card['commands']}\ndone\n```\n\n"
        f"The packaged model is that of seed {card['shipped_seed']}, the best on validation data. It was made with "
        + ", ".join(f"{name} {number}" for name, number in card["versions"].items())
        + "."
    )


def _accuracy(card: dict[str, Any]) -> str:
    seeds = card["seeds"]
    rows = []
    for row in seeds:
        name = f"seed {row['seed']}" + ", packaged" * (row["seed"] == card["shipped_seed"])
        rows.append([name, *(score(row[key]) for key in _SCORES), _percent(row["flops_saved"])])
    means = [_spread([row[name] for row in seeds]) for name in _SCORES]
    rows.append(["mean ± standard deviation", *means, NONE])
    if card.get("twins"):
        name = "its float32 twin" + (", mean" if len(card["twins"]) > 1 else "")
        of_twins = [[row[key] for row in card["twins"]] for key in _SCORES]
        rows.append([name, *map(_spread, of_twins), NONE])
    rows += [[name, NONE, score(value), NONE, NONE] for name, value in card["baselines"].items()]
    return (
        f"The table has the {_metric(card)} × 100.\n\n"
        + rows_table(["", "validation", "test, own exit", "test, full depth", "FLOPs saved"], rows)
        + f"\n\nIn the C engine, the file reaches {score(card['test']['score'])} on the test data."
    )


def _exits(card: dict[str, Any]) -> str:
    test = card["test"]
    policy = dict(card["policy"])
    name = policy.pop("name")
    values = ", ".join(f"{key} = {value:.4g}" for key, value in policy.items())
    exits = zip(test["exit_scores"], test["exit_shares"], strict=True)
    rows = [[str(n), score(value), _percent(share)] for n, (value, share) in enumerate(exits, 1)]
    rows.append(["own", score(test["score"]), NONE])
    return (
        f"The exit policy is `{name}` with {values}, calibrated on validation data. On the test data it "
        f"runs {test['mean_depth']:.2f} of {card['config']['num_blocks']} blocks on average, and saves "
        f"{_percent(test['flops_saved'])} of the FLOPs.\n\n"
        + rows_table(["exit", f"{_metric(card)} × 100", "texts that leave there"], rows)
    )


def _failures(card: dict[str, Any]) -> str:
    failures = card["failures"]
    titles = {"confidence": "its score", "length": "length", "unknown": "vocabulary"}
    titles |= {"groups": "wording", "labels": "label"}
    is_number = "value_scale" in card
    pair = ("pair",) if _reads_pairs(card) else ()

    def figure(row: dict[str, Any]) -> str:
        return f"{row['error']:.3f}" if is_number else score(row["accuracy"])

    kinds = dict(failures)
    if len(kinds.get("labels", ())) > _MOST_LABELS:
        titles["labels"] = "label, the worst"
        known = filter(_has_texts, kinds["labels"])
        kinds["labels"] = sorted(known, key=lambda row: row["accuracy"])[:_MOST_LABELS]
    rows = [
        [f"by {title}: {row['of']}", f"{row['texts']:,}", figure(row)]
        for kind, title in titles.items()
        for row in filter(_has_texts, kinds.get(kind, []))
    ]
    header = "mean absolute error" if is_number else "correct, %"
    parts = [
        "The table has groups of the test data:",
        rows_table(["texts", "number", header], rows),
    ]
    if is_number:
        if card["probes"]:
            columns = ("text", *pair, "about", "value", "answer", "exit")
            shown = [[str(row[name]) for name in columns] for row in card["probes"]]
            parts += [
                "These sentences were written to find weaknesses:",
                rows_table(columns, shown),
            ]
        return "\n\n".join(parts)
    if failures["confusions"]:
        shown = "; ".join(
            f"{row['label']} taken for {row['answer']}: {row['texts']}"
            for row in failures["confusions"]
        )
        parts.append(f"The most frequent mistakes are: {shown}.")
    if card["probes"]:
        wrong = sum(row["answer"] != row["label"] for row in card["probes"])
        parts += [
            f"{wrong} of {len(card['probes'])} answers to sentences that were written to find weaknesses "
            "are wrong:",
            rows_table(
                ["text", *pair, "about", "label", "answer", "score", "exit"],
                [
                    [
                        *(row[name] for name in ("text", *pair, "about", "label")),
                        row["answer"] if row["answer"] == row["label"] else f"**{row['answer']}**",
                        *(f"{row['score']:.2f}", str(row["exit"])),
                    ]
                    for row in card["probes"]
                ],
            ),
        ]
    return "\n\n".join(parts)


def _has_texts(row: dict[str, Any]) -> bool:
    return bool(row["texts"])


def _size(card: dict[str, Any]) -> str:
    file, config = card["file"], card["config"]
    kind = {(1, 32): "weights-only", (1, 8): "W1A8", (1, 1): "fully binary", (32, 32): "float32"}[
        config["weight_bits"], config["activation_bits"]
    ]
    parts = [
        f"The file has {file['bytes']:,} bytes, of which {file['weights']:,} are weights and "
        f"{file['vocabulary']:,} vocabulary ({file['vocabulary_entries']:,} entries). The model is "
        f"{kind}, has {config['num_blocks']} blocks of width {config['width']}, and reads up to "
        f"{config['max_length']} tokens. The C engine needs {file['arena']:,} bytes of memory beside the "
        "file."
    ]
    if card["boards"]:
        parts += [
            f"The model fits on these boards (`beex convert {card['name']} --target mcu -o firmware`); the "
            "table has bytes:",
            rows_table(
                ["board", "flash", "of", "RAM", "of"],
                [
                    [
                        f"{row['board']} ({row['core']})",
                        *(f"{row[key]:,}" for key in ("flash", "board_flash", "ram", "board_ram")),
                    ]
                    for row in card["boards"]
                ],
            ),
        ]
    return "\n\n".join(parts)


def _metric(card: dict[str, Any]) -> str:
    return _NAMES.get(card["metric"], card["metric"])


def _reads_pairs(card: dict[str, Any]) -> bool:
    return card["config"]["num_segments"] > 1


def _labels(card: dict[str, Any]) -> str:
    scale = card.get("value_scale")
    if scale is None:
        return f"one of the labels {', '.join(card['labels'])}"
    if scale["least"] is None:
        return "a number"
    return f"a number from {scale['least']:g} to {scale['most']:g}"


def _percent(value: float) -> str:
    return f"{round(100 * value)} %"


def _spread(values: list[float]) -> str:
    """Mean and spread."""
    return points(Mean.of(values)).removesuffix(" (1 seed)")
