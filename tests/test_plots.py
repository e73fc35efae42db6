"""Figures hold the numbers that they were given, and are written whole."""

import types

import numpy as np
import pytest

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.evaluation import calibrate, evaluate, plots

pytest.importorskip("matplotlib")

HISTORY = {
    "loss": [0.7, 0.5, 0.4],
    "exit_1": [0.5, 0.6, 0.7],
    "val_exit_1": [0.5, 0.55, 0.6],
    "val_exit_2": [0.5, 0.6, 0.7],
    "val_calibrated_accuracy": [0.5, 0.6, 0.71],
}


@pytest.fixture(scope="module")
def logits_and_labels():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 200)
    signal = (2 * labels - 1)[:, None] * np.array([0.5, 1.0, 1.5]) + generator.normal(size=(200, 3))
    return np.stack([np.zeros_like(signal), signal], axis=2).astype(np.float32), labels


@pytest.fixture(scope="module")
def evaluation(logits_and_labels):
    return evaluate(*logits_and_labels, exits.Confidence(0.8))


def lines(axes) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines}


def test_history():
    left, right = plots.history(HISTORY).axes
    assert lines(left) == {"training": HISTORY["loss"]}
    drawn = lines(right)
    assert list(drawn) == ["exit 1", "exit 2", "calibrated"]
    assert drawn["exit 2"] == pytest.approx([50, 60, 70])


def test_history_without_validation_draws_the_training_accuracy():
    _, right = plots.history({"loss": [1.0], "exit_1": [0.5]}).axes
    assert lines(right) == {"exit 1": [50.0]}
    assert "training" in right.get_title("left")


def test_history_needs_an_epoch():
    with pytest.raises(BeexError, match="no finished epoch"):
        plots.history({"loss": []})


def test_trade_off_marks_the_chosen_point(logits_and_labels):
    found = calibrate(exits.Confidence(), *logits_and_labels, tolerance=0.01)
    (axes,) = plots.trade_off(found).axes
    (star,) = [line for line in axes.lines if line.get_marker() == "*"]
    assert star.get_xdata()[0] == pytest.approx(100 * found.cost)
    estimate = found.full_depth_accuracy - found.loss
    assert star.get_ydata()[0] == pytest.approx(100 * estimate)
    assert max(map(len, (line.get_xdata() for line in axes.lines))) == len(found.curve.cost)


def test_exit_histogram(evaluation):
    (axes,) = plots.exit_histogram(evaluation).axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx([100 * share for share in evaluation.exit_shares])
    assert f"{evaluation.mean_depth:.2f} of 3" in axes.get_title("left")
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[2] == f"3\n({evaluation.exit_scores[2]:.3f})"


def test_quantizer_draws_forward_and_gradient():
    left, right = plots.quantizer().axes
    forward, polynomial = left.lines
    assert set(np.unique(forward.get_ydata())) == {-1.0, 1.0}
    w = np.asarray(right.lines[0].get_xdata(), np.float64)
    gradient = right.lines[0].get_ydata()
    assert gradient == pytest.approx(np.maximum(0, 2 - 2 * np.abs(w)), abs=1e-6)
    assert np.gradient(polynomial.get_ydata(), w) == pytest.approx(gradient, abs=0.01)


def test_quantizers_side_by_side():
    left, right = plots.quantizer(["polynomial_sign", "ste_sign"]).axes
    assert len(left.lines) == len(right.lines) == 2


def test_save(tmp_path, evaluation):
    figure = plots.exit_histogram(evaluation)
    plots.save(figure, tmp_path / "new" / "a.png")
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")
    plots.save(figure, tmp_path / "a.SVG")
    assert b"<svg" in (tmp_path / "a.SVG").read_bytes()


@pytest.mark.parametrize("name", ["figure", "figure.xyz"])
def test_save_rejects_an_unknown_format(tmp_path, name, evaluation):
    with pytest.raises(BeexError, match="end its name in"):
        plots.save(plots.exit_histogram(evaluation), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_run_figures(tmp_path, logits_and_labels):
    found = calibrate(exits.Entropy(), *logits_and_labels)
    run = types.SimpleNamespace(
        directory=tmp_path,
        history=HISTORY,
        calibration=found,
        evaluation=evaluate(*logits_and_labels, found.policy),
    )
    files = plots.save_run_figures(run)
    assert sorted(tmp_path.rglob("*.png")) == sorted(files)
    assert [file.name for file in files] == ["history.png", "trade_off.png", "exits.png"]


def test_matplotlib_is_asked_for_when_missing(monkeypatch, evaluation):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(BeexError, match="plots"):
        plots.exit_histogram(evaluation)
    assert plots.save_run_figures(None) == []
