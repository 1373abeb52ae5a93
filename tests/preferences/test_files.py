"""Pairs on disk: nothing that was acknowledged is ever lost, and what is no pair is named and left out."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rllab.core.errors import LabError
from rllab.core.files import data_dir
from rllab.preferences.labels import LabelStore, contradictions, import_pairs, without_duplicates
from rllab.preferences.pairs import Pair, load_pairs, save_pairs

AWKWARD = ["plain", "two\nlines", "\u2028 and \x85", '"quotes" {braces}', "héllo 猫 \u202e", "", "\x00", "a\rb"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.jsonl"


def filled(path, count=5):
    store = LabelStore(path, judge="me")
    return [store.label(f"prompt {n}", f"first {n}", f"second {n}", verdict="second") for n in range(count)]


@pytest.mark.parametrize("text", AWKWARD)
def test_any_text_comes_back_as_it_was(text, path):
    pairs = [Pair(text, text + "1", text + "2", "me", "now"), Pair("b", "c", "d")]
    save_pairs(path, pairs)
    assert load_pairs(path) == pairs
    store = LabelStore(path)
    assert store.pairs == pairs
    added = store.label(text, text + "3", text + "4", verdict="first")
    assert load_pairs(path) == [*pairs, added]


def test_half_a_character_becomes_a_question_mark(path):
    pair = LabelStore(path).label("\ud800", "a\udfff", "b", verdict="first")
    assert (pair.prompt, pair.chosen) == ("?", "a?")
    assert load_pairs(path) == [pair]


def test_a_label_says_who_judged_and_when(path):
    before = time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
    pair, *_ = filled(path)
    assert (pair.chosen, pair.rejected, pair.judge) == ("second 0", "first 0", "me")
    assert pair.time >= before
    assert pair.time.endswith("+00:00")


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_file_torn_at_any_byte_keeps_every_whole_label(cut, path):
    whole = filled(path, 3)
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    store = LabelStore(path)
    assert store.pairs == (whole if cut == 1 else whole[:2])
    assert store.problems == []
    added = store.label("again", "a", "b", verdict="first")
    assert load_pairs(path) == [*store.pairs[:-1], added]
    torn = path.with_suffix(".torn")
    assert torn.exists() == (cut > 1)
    if cut > 1:
        assert data.endswith(torn.read_bytes()[:-1] + data[len(data) - cut :])


KILLED = """
import sys
from rllab.preferences.labels import LabelStore
store = LabelStore(sys.argv[1], judge="me")
for n in range(10**6):
    pair = store.label(f"prompt {n}", "a" * (n % 7000), "b", verdict=("first", "second", "tie")[n % 3])
    print(n, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
@pytest.mark.parametrize("acknowledged", [1, 17, 60])
def test_a_killed_process_loses_no_label(acknowledged, path):
    with subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True) as process:
        for _ in range(acknowledged):
            last = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        last = max([last, *map(int, process.stdout.read().split())])
    store = LabelStore(path)
    found = {pair.prompt for pair in store.pairs} | {tie.prompt for tie in store.ties}
    assert found >= {f"prompt {n}" for n in range(last + 1)}
    assert store.problems == []


def test_a_full_disk_is_told_and_leaves_the_file_as_it_was(path, monkeypatch):
    filled(path, 2)
    before = path.read_bytes()
    store = LabelStore(path)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LabError, match=r"No space left on device.*make room"):
        store.label("p", "a", "b", verdict="first")
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert len(store) == 2
    store.label("p", "a", "b", verdict="first")
    assert len(load_pairs(path)) == 3


def test_ties_stand_in_a_file_of_their_own(path):
    store = LabelStore(path, judge="me")
    store.label("p", "a", "b", verdict="tie")
    with pytest.raises(LabError, match="prefer one in two pairs"):
        store.preferences()
    store.label("p", "a", "b", verdict="first")
    assert len(store) == 2
    assert [pair.chosen for pair in LabelStore(path).preferences()] == ["a"]
    assert [tie.first for tie in LabelStore(path).ties] == ["a"]
    assert set(json.loads(path.read_text("utf-8"))) == {"prompt", "chosen", "rejected", "judge", "time"}


def test_nothing_judged_is_told(path):
    with pytest.raises(LabError, match="nothing has been judged"):
        LabelStore(path).preferences()


def test_undo_takes_back_the_last_label_whatever_it_was(path):
    store = LabelStore(path)
    first = store.label("p", "a", "b", verdict="first")
    tie = store.label("p", "a", "c", verdict="tie")
    last = store.label("p", "c", "b", verdict="second")
    assert [store.undo(), store.undo()] == [last, tie]
    assert LabelStore(path).pairs == [first]
    assert LabelStore(path).ties == []
    assert LabelStore(path).undo() == first
    assert LabelStore(path).undo() is None


def test_undo_after_reopening_spares_lines_that_are_no_labels(path):
    filled(path, 2)
    with path.open("a", encoding="utf-8") as file:
        file.write("not json\n")
    store = LabelStore(path)
    assert store.undo().prompt == "prompt 1"
    assert path.read_text("utf-8").splitlines()[-1] == "not json"


@pytest.mark.parametrize("verdict", ["third", "", None])
def test_a_verdict_that_is_none_is_refused(verdict, path):
    with pytest.raises(LabError, match="choose one of first, second, tie"):
        LabelStore(path).label("p", "a", "b", verdict=verdict)


def test_two_equal_texts_are_no_pair(path):
    with pytest.raises(LabError, match="the same text"):
        LabelStore(path).label("p", "a", "a", verdict="first")


BAD_LINES = {
    "not json": b"prompt, chosen, rejected",
    "half a line": b'{"prompt": "a", "chosen": "b", "rej',
    "a list": b'["a", "b", "c"]',
    "a number": b"3",
    "null": b"null",
    "a missing text": b'{"prompt": "a", "chosen": "b"}',
    "a text that is none": b'{"prompt": "a", "chosen": ["b"], "rejected": "c"}',
    "no text but null": b'{"prompt": "a", "chosen": null, "rejected": "c"}',
    "no UTF-8": b'{"prompt": "\xff", "chosen": "b", "rejected": "c"}',
    "endless brackets": b"[" * 100_000,
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_a_malformed_line_is_named_and_the_good_ones_are_kept(line, path):
    good = [Pair("p", "a", "b"), Pair("p", "c", "d", "me", "now")]
    save_pairs(path, good)
    first, second = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, b"", line, second]) + b"\n")
    read = import_pairs(path)
    assert read.pairs == good
    assert [problem.field for problem in read.problems] == ["line 3 of the pair file"]
    assert "prompt, chosen and rejected" in str(read.problems[0])
    with pytest.raises(LabError, match="line 3"):
        load_pairs(path)
    assert LabelStore(path).pairs == good


def test_columns_that_others_add_are_left_alone(path):
    path.write_text('{"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 3, "judge": null}\n', "utf-8")
    assert load_pairs(path) == [Pair("p", "a", "b")]


def test_a_missing_file_is_told(path):
    for read in (load_pairs, import_pairs):
        with pytest.raises(LabError, match="there is no such file"):
            read(path)
    assert LabelStore(path).pairs == []


def test_labels_travel_from_store_to_store(path, tmp_path):
    filled(path, 3)
    LabelStore(path).export(tmp_path / "sent.jsonl")
    other = LabelStore(tmp_path / "other.jsonl", judge="you")
    other.take_in(import_pairs(tmp_path / "sent.jsonl").pairs)
    assert LabelStore(tmp_path / "other.jsonl").pairs == LabelStore(path).pairs


def test_labels_that_say_the_same_are_counted_once_and_denials_are_found():
    first, again, other = (
        Pair("p", "a", "b", "me", "1"),
        Pair("p", "a", "b", "me", "2"),
        Pair("p", "a", "b", "you", "3"),
    )
    denied, alone = Pair("p", "b", "a", "me", "4"), Pair("q", "a", "b", "me", "5")
    everything = [first, again, alone, other, denied]
    assert without_duplicates(everything) == [first, alone, other, denied]
    assert contradictions(everything) == [first, again, other, denied]


def shipped_files():
    return [path for path in sorted(data_dir().glob("*/preferences.jsonl")) if path.is_file()]


@pytest.mark.parametrize("file", shipped_files(), ids=lambda file: file.parent.name)
def test_pair_files_are_flat_tables_of_text(file, path):
    """What `datasets` asks of a JSON-lines file: one object a line, the same columns and types in each."""
    made = filled(path, 3)
    assert made
    for table in (file, path):
        lines = table.read_bytes().split(b"\n")
        assert lines[-1] == b""
        rows = [json.loads(line) for line in lines[:-1]]
        assert {tuple(row) for row in rows} == {("prompt", "chosen", "rejected", "judge", "time")}
        assert {type(value) for row in rows for value in row.values()} == {str}


@pytest.mark.parametrize("name", ["labels", *(file.parent.name for file in shipped_files())])
def test_datasets_loads_pair_files_as_they_are(name, path, tmp_path):
    from datasets import load_dataset

    filled(path, 3)
    files = {"labels": path} | {file.parent.name: file for file in shipped_files()}
    table = load_dataset("json", data_files=str(files[name]), split="train", cache_dir=str(tmp_path / "cache"))
    assert table.column_names == ["prompt", "chosen", "rejected", "judge", "time"]
    assert [Pair(**row) for row in table] == load_pairs(files[name])
