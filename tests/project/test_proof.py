"""The proof keeps what was measured before, and a measurement that breaks has failed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as proof
from benchmarks.result import Result, Row


@pytest.fixture
def row() -> Row:
    result = Result("it is quick", "at most 2 s", "1.5 s", passed=True, details={"runs": [1.4, 1.5]})
    return Row.of("quick", result, seconds=3.21)


def test_a_row_says_when_where_and_with_what(row: Row) -> None:
    assert row.seconds == 3.2
    assert "cores" in row.machine
    assert "torch" in row.versions
    assert len(row.date) == len("2026-01-31")


def test_a_new_row_replaces_its_older_self_and_keeps_the_others(row: Row, tmp_path: Path) -> None:
    files = {"rows_file": tmp_path / "docs" / "proof.json", "page_file": tmp_path / "docs" / "proof.md"}
    other = replace(row, name="other", date="2020-01-31")
    for each in (row, other, replace(row, figure="2.5 s", passed=False)):
        proof.keep(each, **files)
    kept = proof.read_rows(files["rows_file"])
    assert kept["other"] == other
    assert kept["quick"].figure == "2.5 s"
    page = files["page_file"].read_text("utf-8")
    assert page.count("\n## `") == 2
    assert "2020-01-31" in page
    assert page.count("**Fails**") == 1
    assert json.loads(files["rows_file"].read_text("utf-8"))[1]["details"] == {"runs": [1.4, 1.5]}


def test_a_claim_takes_at_most_eight_lines_however_long_its_figure_is(row: Row) -> None:
    long = replace(row, figure="a\nb; " * 300, target="x" * 1000)
    for told in (row, long):
        written = [line for line in proof.section(told).splitlines() if line]
        assert len(written) <= 8
        assert max(map(len, written)) <= proof.WIDTH * proof.LINES + 60
    assert "the rest is in proof.json" in proof.section(long)
    assert row.figure in proof.section(row)


def test_the_page_is_made_of_the_rows(root: Path) -> None:
    assert (root / "docs" / "proof.md").read_text("utf-8") == proof.page(proof.read_rows(proof.ROWS))


def test_a_measurement_that_breaks_has_failed_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure() -> Result:
        raise RuntimeError("no browser")

    monkeypatch.setattr("benchmarks.fresh_clone.measure", measure)
    row = proof.measure_here("fresh_clone")
    assert not row.passed
    assert row.figure == "RuntimeError: no browser"


def test_a_typing_error_gets_the_nearest_name() -> None:
    with pytest.raises(SystemExit, match="did you mean fresh_clone"):
        proof.choose(["fresh_clon"])


def test_every_script_is_a_measurement_and_none_is_left_out(root: Path) -> None:
    assert proof.choose([]) == proof.known()
    for name in proof.known():
        text = (root / "benchmarks" / f"{name}.py").read_text("utf-8")
        assert "def measure() -> Result:" in text
