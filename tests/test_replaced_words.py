"""The recipe that writes texts with replaced words."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy import write_toy_files

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "recipes"))
import replaced_words


def test_words_are_replaced_by_words_of_the_data_at_all_rates():
    texts = [" ".join(f"w{10 * row + place}" for place in range(10)) for row in range(50)]
    found = list(replaced_words.replaced(texts, 40, 0.4, 0))
    assert found == list(replaced_words.replaced(texts, 40, 0.4, 0))
    assert found != list(replaced_words.replaced(texts, 40, 0.4, 1))
    known = {word for text in texts for word in text.split()}
    changed = []
    for text, old in zip(found, texts * 40, strict=True):
        assert len(text.split()) == 10 and set(text.split()) <= known
        changed.append(sum(a != b for a, b in zip(text.split(), old.split(), strict=True)))
    # Rates are uniform in [0, 0.4): a fifth of the words in the mean, but not in every text.
    assert abs(sum(changed) / (10 * len(changed)) - 0.2) < 0.01
    assert min(changed) == 0 and max(changed) > 5


def test_the_file_has_each_text_once_and_a_missing_task_is_an_error(tmp_path):
    files = write_toy_files(tmp_path, train=60)
    output = tmp_path / "out.txt"

    def run(*words):
        return CliRunner().invoke(replaced_words.main, [*map(str, words), "-o", str(output)])

    done = run(files["data"], "--times", 3)
    lines = output.read_text("utf-8").splitlines()
    assert done.exit_code == 0 and f"{len(lines):,} texts" in done.output
    assert 60 < len(lines) <= 180 and len(set(lines)) == len(lines)
    missing = run(tmp_path / "none.csv")
    assert missing.exit_code == 1 and "Traceback" not in missing.output


@pytest.mark.parametrize("most", ["-1", "2"])
def test_a_share_outside_0_and_1_is_refused(tmp_path, most):
    words = [str(tmp_path / "none.csv"), "--most", most, "-o", str(tmp_path / "out.txt")]
    assert CliRunner().invoke(replaced_words.main, words).exit_code == 2
