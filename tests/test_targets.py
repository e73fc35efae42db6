"""Numbers to learn: their scale, and the data they come from."""

import json
from pathlib import Path

import numpy as np
import pytest

from beex_keras import BeexError, TargetScaler, load_task


def test_the_scale_is_that_of_training():
    targets = np.array([1.0, 2.0, 4.0])
    scale = TargetScaler.fit(targets)
    np.testing.assert_allclose(scale.transform(targets).mean(), 0, atol=1e-6)
    np.testing.assert_allclose(scale.transform(targets).std(), 1, rtol=1e-6)
    np.testing.assert_allclose(
        scale.inverse_transform(scale.transform(targets)), targets, rtol=1e-6
    )
    assert scale.inverse_transform(np.array([99, -99], np.float32)).tolist() == [4, 1]
    free = TargetScaler.fit(targets, clip=False)
    assert free.inverse_transform(np.array([99], np.float32))[0] > 100
    for each in (scale, free):
        assert TargetScaler.from_dict(json.loads(json.dumps(each.to_dict()))) == each


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([3.0, 3.0], "Every target of the training data is 3"),
        ([1e300, 2e300], "beyond 2\\*\\*40"),
        ([1e9, 1e9 + 1], "too little for float32; subtract 1e\\+09"),
        ([1e-300, 2e-300], "too little for float32"),
    ],
)
def test_targets_that_cannot_be_learned(targets, message):
    with pytest.raises(BeexError, match=message):
        TargetScaler.fit(np.array(targets))


@pytest.mark.parametrize(
    "values", [{"scale": 0.0}, {"scale": np.nan}, {"offset": 1e13}, {"least": 2, "most": 1}]
)
def test_scales_out_of_range(values):
    with pytest.raises(BeexError):
        TargetScaler(**{name: float(value) for name, value in values.items()})


TEXTS = [f"text {i} of a review" for i in range(40)]


def ratings(path: Path, values, header="review,stars") -> str:
    lines = [header, *(f"{text},{value}" for text, value in zip(TEXTS, values, strict=False))]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


COLUMNS = {"text_column": "review", "label_column": "stars"}


def test_numbers_that_are_not_all_whole_are_targets(tmp_path):
    values = [1 + i % 9 / 2 for i in range(40)]
    task = load_task(ratings(tmp_path / "a.csv", values), **COLUMNS)
    assert task.is_regression and task.metric == "pearson" and task.labels == ("value",)
    splits = task.splits().values()
    assert sorted(np.concatenate([split.labels for split in splits])) == sorted(values)
    rows = dict(zip(TEXTS, values, strict=True))
    assert all(rows[t] == y for s in splits for t, y in zip(s.texts, s.labels, strict=True))
    assert task.value_scale.most == max(task.train.labels)
    kinds = {"task_kind": "classification"}
    assert not load_task((TEXTS, [str(i % 2 + 0.5) for i in range(40)]), **kinds).is_regression


def test_whole_numbers_are_classes_unless_said_otherwise(tmp_path):
    file = ratings(tmp_path / "a.csv", [1 + i % 2 for i in range(40)])
    assert load_task(file, **COLUMNS).labels == ("1", "2")
    assert load_task(file, **COLUMNS, task_kind="regression").is_regression


def test_numbers_in_memory_and_in_json(tmp_path):
    values = np.arange(40) / 8
    file = tmp_path / "a.jsonl"
    lines = [
        json.dumps({"text": t, "label": v}) for t, v in zip(TEXTS, values.tolist(), strict=True)
    ]
    file.write_text("\n".join(lines), "utf-8")
    one, other = load_task(file), load_task((TEXTS, values))
    assert one.is_regression and one.fingerprint() == other.fingerprint()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("five", "line 4 of .* holds 'five'; a regression needs a finite number"),
        ("", "line 4 of .* is empty; fill it or remove the row"),
        ("inf", "holds 'inf'; a regression needs"),
        ("nan", "holds 'nan'; a regression needs"),
        ("1e999", "holds '1e999'; a regression needs"),
        ("1_000", "holds '1_000'; a regression needs"),
    ],
)
def test_faulty_targets_are_explained(tmp_path, value, message):
    file = ratings(tmp_path / "a.csv", [1, 2, value, *range(37)])
    with pytest.raises(BeexError, match=message):
        load_task(file, **COLUMNS, task_kind="regression")


def test_options_that_do_not_fit_are_explained(tmp_path):
    file = ratings(tmp_path / "a.csv", [3] * 40)
    with pytest.raises(BeexError, match="Every target of the training data is 3"):
        load_task(file, **COLUMNS, task_kind="regression")
    with pytest.raises(BeexError, match="is of kind classification; leave out task_kind"):
        load_task("rotten_tomatoes", task_kind="regression")
    with pytest.raises(BeexError, match="task_kind='ranking' is unknown"):
        load_task("rotten_tomatoes", task_kind="ranking")
    with pytest.raises(BeexError, match="no order; leave out both_orders"):
        load_task("rotten_tomatoes", both_orders=True)
    with pytest.raises(BeexError, match="leave out clip"):
        load_task("rotten_tomatoes", clip=False)


def test_a_word_among_numbers_is_a_mistake(tmp_path):
    values = [number / 4 for number in range(39)]
    file = ratings(tmp_path / "a.csv", [*values, "N/A"])
    with pytest.raises(BeexError, match="If the labels are amounts, say task_kind='regression'"):
        load_task(file, **COLUMNS)
    with pytest.raises(BeexError, match="line 41 of .* holds 'N/A'; a regression needs"):
        load_task(file, **COLUMNS, task_kind="regression")


def test_splits_have_the_same_kind_of_texts():
    pairs, labels = list(zip(TEXTS, TEXTS[::-1], strict=True)), [0, 1] * 20
    with pytest.raises(BeexError, match="The test data has pairs, the training data single texts"):
        load_task((TEXTS, labels), test=(pairs, labels))


def test_pairs_in_both_orders():
    pairs = [(text, f"other {text}") for text in TEXTS]
    single, both = (
        load_task((pairs, np.arange(40) / 8), both_orders=value) for value in (False, True)
    )
    count = len(single.train)
    assert len(both.train) == 2 * count
    assert both.train.texts[count:] == single.train.pairs == both.train.pairs[:count]
    assert both.train.pairs[count:] == single.train.texts
    np.testing.assert_array_equal(both.train.labels, np.tile(single.train.labels, 2))
    assert both.test.texts == single.test.texts
    assert both.fingerprint() != single.fingerprint()


def test_no_pair_that_is_held_out_is_trained_on_in_the_other_order():
    pairs = [(f"text {i}", f"other text {i}") for i in range(20)]
    pairs += [(second.upper(), first) for first, second in pairs]
    task = load_task((pairs, np.arange(40) / 8), both_orders=True)
    held_out = {
        frozenset(pair)
        for split in (task.validation, task.test)
        for pair in zip(map(str.lower, split.texts), map(str.lower, split.pairs), strict=True)
    }
    trained = zip(map(str.lower, task.train.texts), map(str.lower, task.train.pairs), strict=True)
    assert held_out and held_out.isdisjoint(map(frozenset, trained))
    assert "that are held out" in task.notes
