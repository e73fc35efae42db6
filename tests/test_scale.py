"""A Parquet data set is classified whole, whatever happens to a worker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import needs_engine, shake, tiny_config

import beex_keras as beex
from beex_keras.export import beex as beex_format
from beex_keras.models import BEExformerClassifier
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor

EXAMPLES = Path(__file__).parents[1] / "examples"
NOT_HERE = "Ray Data is not installed: pip install 'ray[data]' 'pyarrow<26'"
MODEL = "sst2-micro"

DRIVER = """
import os, signal, sys
from pathlib import Path
import classify_parquet as example

FOLDER = Path(sys.argv.pop(1))

class Mortal(example.Classifier):
    # The first worker that comes to its third batch is killed, once.
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.batches = 0
        (FOLDER / f"started-{os.getpid()}").touch()

    def __call__(self, batch):
        self.batches += 1
        if self.batches == 3:
            try:
                (FOLDER / "killed").touch(exist_ok=False)
            except FileExistsError:
                return super().__call__(batch)
            (FOLDER / "killed").write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)

example.Classifier = Mortal
example.main()
"""


@pytest.mark.slow
@needs_engine
def test_the_result_is_whole_when_a_worker_is_killed(tmp_path):
    pytest.importorskip("ray.data", reason=NOT_HERE, exc_type=ImportError)
    from pyarrow import parquet, table

    texts = [f"{'not ' * (n % 7)}a film of {n} gorgeous, dull or witty scenes" for n in range(3000)]
    texts[5], texts[1500], texts[2999] = "", None, "long " * 1000
    rows = {"id": list(range(len(texts))), "review": texts}
    (tmp_path / "reviews").mkdir()
    for part in range(3):
        some = {name: values[part::3] for name, values in rows.items()}
        parquet.write_table(table(some), tmp_path / "reviews" / f"{part}.parquet")
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER, "utf-8")
    options = f"--model {MODEL} --text-column review --workers 2 --batch-size 100".split()
    files = [tmp_path / "reviews", tmp_path / "labelled"]
    subprocess.run(
        [sys.executable, driver, tmp_path, *files, *options],
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": f"{EXAMPLES}:{EXAMPLES.parent}"},
    )

    killed = tmp_path / f"started-{(tmp_path / 'killed').read_text('utf-8')}"
    assert {killed} < set(tmp_path.glob("started-*"))
    found = sorted(parquet.read_table(files[1]).to_pylist(), key=lambda row: row["id"])
    names = ("label", "score", "exit", "truncated")
    expected = beex.pipeline(MODEL, on_error="return")(texts)
    assert [{name: row[name] for name in names} for row in found] == [
        {name: getattr(answer, name, None) for name in names} for answer in expected
    ]
    assert [row["id"] for row in found] == rows["id"]
    assert [row["review"] for row in found] == texts
    assert [row["id"] for row in found if row["error"] is not None] == [5, 1500]
    assert found[2999]["truncated"]


@pytest.fixture(scope="module")
def rating(tmp_path_factory) -> Path:
    """A model that answers a number from 1 to 5."""
    words = [*SPECIAL_TOKENS, *"abcdefgh"]
    config = tiny_config(num_classes=1, vocabulary_size=len(words))
    preprocessor, scale = TextPreprocessor(words, 12), beex.TargetScaler(3.0, 0.5, 1.0, 5.0)
    file = tmp_path_factory.mktemp("rating") / "rating.beex"
    model = shake(BEExformerClassifier(config, preprocessor, value_scale=scale))
    file.write_bytes(beex_format.convert(model))
    return file


@needs_engine
def test_a_number_has_a_column_in_place_of_label_and_score(rating, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    monkeypatch.syspath_prepend(EXAMPLES)
    import classify_parquet

    texts = ["a b", "", "c d e", "h " * 100, None]
    worker = classify_parquet.Classifier(str(rating), "text", "own_", num_threads=1)
    found = worker(pyarrow.table({"text": texts}))
    names = ["own_value", "own_exit", "own_truncated", "own_error"]
    assert found.column_names == ["text", *names]
    assert [str(kind) for kind in found.schema.types[1:]] == ["double", "int32", "bool", "string"]
    answers = beex.load(rating).classify(["a b", "c d e", "h " * 100])
    rows = found.to_pylist()
    assert [rows[n]["own_value"] for n in (0, 2, 3)] == [answer.value for answer in answers]
    assert [rows[n]["own_exit"] for n in (0, 2, 3)] == [answer.exit for answer in answers]
    assert [row["own_truncated"] for row in rows] == [False, None, False, True, None]
    assert [row["own_value"] is None for row in rows] == [
        row["own_error"] is not None for row in rows
    ]
    assert len({answer.value for answer in answers}) == 3


def test_a_column_called_value_is_in_its_way(rating, tmp_path, monkeypatch):
    pytest.importorskip("ray.data", reason=NOT_HERE, exc_type=ImportError)
    from pyarrow import parquet, table

    monkeypatch.syspath_prepend(EXAMPLES)
    import classify_parquet

    parquet.write_table(table({"text": ["a"], "value": [1.0]}), tmp_path / "in.parquet")
    options = [str(tmp_path / "in.parquet"), str(tmp_path / "out"), "--model", str(rating)]
    result = CliRunner().invoke(classify_parquet.main, options)
    assert result.exit_code == 2 and "There is a column value already" in result.output


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--model", "nothing"], "There is no model at nothing"),
        (
            ["--model", MODEL, "--text-column", "review"],
            "There is no column review, but text, label.",
        ),
        (["--model", MODEL], "There is a column label already; give a --prefix."),
    ],
)
def test_a_mistake_is_said_before_anything_starts(tmp_path, monkeypatch, options, problem):
    pytest.importorskip("ray.data", reason=NOT_HERE, exc_type=ImportError)
    from pyarrow import parquet, table

    monkeypatch.syspath_prepend(EXAMPLES)
    import classify_parquet

    parquet.write_table(table({"text": ["a film"], "label": ["1"]}), tmp_path / "in.parquet")
    files = [str(tmp_path / "in.parquet"), str(tmp_path / "out")]
    result = CliRunner().invoke(classify_parquet.main, [*files, *options])
    assert result.exit_code == 2 and problem in result.output
    assert not (tmp_path / "out").exists()
