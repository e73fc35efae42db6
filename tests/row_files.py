"""Files of labelled texts for tests."""

import json


def write_rows(path, rows, columns=("text", "label")):
    """Writes rows in the format that the suffix asks for."""
    if path.suffix in (".jsonl", ".json"):
        lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    elif path.suffix == ".csv":
        quoted = [[f'"{value}"'.replace("'", '""') for value in row] for row in rows]
        lines = [",".join(row) for row in [columns, *quoted]]
    else:
        lines = ["\t".join(map(str, row)) for row in [columns, *rows]]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def sentences(count, labels=("bad", "good")):
    return [(f"sentence {i}, caf\u00e9", labels[i % len(labels)]) for i in range(count)]
