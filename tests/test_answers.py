"""What a pipeline answers: cut texts, texts that cannot be classified, threads, processes, event loops."""

import asyncio
import itertools
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import beex_keras as beex
from beex_keras import BeexError, Failure, Prediction
from beex_keras.runtime import CRunner

MODEL = "snips-micro"
TEXTS = [
    "play some jazz",
    "book a table for two in Paris tomorrow",
    "will it rain on Friday?",
    "rate this book four stars",
    "add this song to my running playlist",
]
BAD = {
    "": "is empty",
    " \t": "is empty",
    "\ud800": "is not valid Unicode",
    3: "is of type int",
    None: "is of type NoneType",
    b"bytes": "is of type bytes",
    ("a", "b"): "is a pair, and the model reads single texts",
}
LONG = "play " * 500


@pytest.fixture(scope="module")
def classify():
    return beex.pipeline(MODEL)


@pytest.fixture(scope="module")
def expected(classify):
    return classify(TEXTS)


def many(count):
    return list(itertools.islice(itertools.cycle(TEXTS), count))


# === What cannot be classified ===


def test_a_bad_text_costs_its_own_answer_alone(expected):
    classify = beex.pipeline(MODEL, on_error="return")
    answers = classify([*TEXTS[:2], *BAD, *TEXTS[2:]])
    bad = answers[2:-3]
    assert answers[:2] + answers[-3:] == expected
    for number, (answer, message) in enumerate(zip(bad, BAD.values(), strict=True), start=3):
        assert isinstance(answer, Failure)
        assert answer.error.startswith(f"Text {number} {message}")
        assert answer.to_dict() == {"error": answer.error}
    assert isinstance(classify(""), Failure)


@pytest.mark.parametrize("text", BAD, ids=repr)
def test_by_default_it_raises(classify, text):
    with pytest.raises(BeexError, match=f"Text 2 {BAD[text]}"):
        list(classify.stream(["a", text]))


def test_answers_in_front_of_a_bad_text_come_first(classify, expected):
    answers = classify.stream([*TEXTS, ""])
    assert [next(answers) for _ in TEXTS] == expected
    with pytest.raises(BeexError, match="Text 6 is empty"):
        next(answers)


def test_a_string_is_no_stream_of_texts(classify):
    async def answers():
        return [answer async for answer in classify.stream_async("good")]

    with pytest.raises(BeexError, match="put it in a list"):
        asyncio.run(answers())


def test_numbers_count_from_the_first_text_of_the_stream():
    classify = beex.pipeline(MODEL, on_error="return")
    classify.chunk = 4
    found = list(classify.stream(["a", *many(6), "", "b"]))
    assert [type(answer) for answer in found] == [*7 * [Prediction], Failure, Prediction]
    assert "Text 8" in found[7].error


@pytest.mark.parametrize("kind", ["beex", "keras"])
def test_long_texts_are_cut_and_say_so(kind):
    runner = beex.load(MODEL)
    if kind == "keras":
        runner = beex.runtime.KerasRunner(beex.BEExformerClassifier.from_pretrained(MODEL))
    room = runner.length - 2
    exact, over = ("play " * count for count in (room, room + 1))
    answers = beex.runtime.Pipeline(runner)([exact, over])
    assert [answer.truncated for answer in answers] == [False, True]
    assert answers[0].probabilities == answers[1].probabilities
    refusing = beex.runtime.Pipeline(runner, truncate=False, on_error="return")
    kept, refused, last = refusing([exact, over, exact])
    assert kept == last == answers[0]
    assert f"Text 2 has {runner.length + 1} tokens" in refused.error


def test_settings_are_checked():
    for settings in ({"on_error": "ignore"}, {"top_k": 0}):
        with pytest.raises(BeexError, match=f"{next(iter(settings))}="):
            beex.pipeline(MODEL, **settings)


# === Probabilities ===


def test_the_most_probable_labels(expected):
    best = beex.pipeline(MODEL, top_k=2)(TEXTS)
    for answer, whole in zip(best, expected, strict=True):
        assert len(whole.probabilities) == 7
        assert sum(whole.probabilities.values()) == pytest.approx(1)
        ranked = sorted(whole.probabilities.items(), key=lambda entry: -entry[1])
        assert list(answer.probabilities.items()) == ranked[:2]
        assert answer.label == ranked[0][0]


# === Threads, processes, event loops ===


def test_threads_share_a_pipeline(expected):
    classify = beex.pipeline(MODEL, num_threads=2)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: classify(many(100)), range(8)):
            assert found == 20 * expected


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("count", [1, 7, 100])
def test_threads_change_nothing(threads, count):
    texts = [*many(count), "", LONG, *many(count), 3]
    for settings in ({}, {"truncate": False, "top_k": 2}):
        one, some = (
            beex.pipeline(MODEL, on_error="return", num_threads=number, **settings)
            for number in (1, threads)
        )
        assert some(texts) == one(texts)


def test_an_event_loop_goes_on(classify, expected):
    async def texts():
        for text in TEXTS:
            await asyncio.sleep(0)
            yield text

    async def collected(stream):
        return [answer async for answer in stream]

    async def answers():
        one = await classify.run_async(TEXTS[0])
        chunks = beex.runtime.Pipeline(classify.runner, chunk=2)
        streams = [await collected(chunks.stream_async(s)) for s in (texts(), iter(TEXTS))]
        return one, await classify.run_async(TEXTS), *streams

    one, *lists = asyncio.run(answers())
    assert one == expected[0] and lists == 3 * [expected]


def test_a_pipeline_is_pickled(expected, tmp_path):
    path = tmp_path / "model.beex"
    path.write_bytes(beex.pretrained.find(MODEL).read_bytes())
    data = pickle.dumps(beex.pipeline(path, policy=beex.FixedDepth(2), num_threads=2))
    path.unlink()
    restored = pickle.loads(data)
    assert restored.policy == beex.FixedDepth(2)
    restored.policy = None
    assert restored(TEXTS) == expected


def _answer_in_child(classify, pipe):
    pipe.send(classify(many(100)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_engines_of_its_own(expected):
    """While a thread of the parent is at work, whose engine and thread the child never gets back."""
    classify = beex.pipeline(MODEL, num_threads=2)
    stop = threading.Event()
    work = threading.Thread(
        target=lambda: all(not stop.is_set() for _ in classify.stream(itertools.cycle(TEXTS)))
    )
    work.start()
    try:
        for _ in range(3):
            ours, theirs = multiprocessing.Pipe()
            context = multiprocessing.get_context("fork")
            child = context.Process(target=_answer_in_child, args=(classify, theirs))
            child.start()
            assert ours.poll(60), "the child hangs"
            assert ours.recv() == 20 * expected
            child.join()
    finally:
        stop.set()
        work.join()


# === Memory ===


def test_a_file_is_mapped_and_not_copied():
    runner = beex.load("sst2-minilm")
    assert isinstance(runner, CRunner)
    assert not runner._data.flags.owndata and not runner._data.flags.writeable
    with open("/proc/self/maps") as maps:
        assert any(line.rstrip().endswith("sst2-minilm.beex") for line in maps)
    copied = CRunner(beex.pretrained.find("sst2-minilm").read_bytes())
    ids = runner.encode(TEXTS)
    np.testing.assert_array_equal(runner.exit_logits(ids), copied.exit_logits(ids))
