"""`python lab.py test` finds a browser that starts, hides no failure and skips nothing in silence."""

import sys
from pathlib import Path

import pytest

from tests import __main__ as runner
from tests import browser
from tests.page import __main__ as page


def script(path: Path, status: int) -> str:
    path.write_text(f"#!/bin/sh\nexit {status}\n", "utf-8")
    path.chmod(0o755)
    return str(path)


def show_only(monkeypatch: pytest.MonkeyPatch, *paths: str) -> None:
    monkeypatch.setattr(browser, "candidates", lambda: iter(paths))


posix = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts stand in for browsers")


@posix
def test_a_signpost_that_does_not_start_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signpost, real = script(tmp_path / "signpost", 1), script(tmp_path / "real", 0)
    show_only(monkeypatch, str(tmp_path / "absent"), signpost, real)
    assert browser.find_browser() == real


@posix
def test_ones_own_choice_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLLAB_BROWSER", script(tmp_path / "mine", 0))
    assert browser.find_browser() == str(tmp_path / "mine")


@posix
def test_a_missing_browser_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show_only(monkeypatch, str(tmp_path / "chromium"))
    monkeypatch.setattr(browser, "with_apt", lambda: "apt-get is not ours to use")
    monkeypatch.setattr(browser, "with_playwright", lambda: script(tmp_path / "chromium", 0))
    assert browser.ready_browser() == str(tmp_path / "chromium")


@pytest.mark.parametrize(("ci", "passed"), [("true", False), ("", True)])
def test_no_browser_is_one_line_and_a_failure_in_ci(ci: str, *, passed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    show_only(monkeypatch)
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(browser, "with_apt", lambda: "apt-get is not ours to use")
    monkeypatch.setattr(browser, "with_playwright", lambda: "playwright could not download one")
    outcome = runner.run_browser_tests()
    assert outcome.passed == passed
    assert outcome.closing_line == (
        "tests/e2e did not run: no Chromium, Chrome or Edge found; apt-get is not ours to use; "
        "playwright could not download one"
    )


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_no_node_is_one_line_and_a_failure_in_ci(
    ci: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert page.main() == status
    said = "the page's JavaScript was not checked: npm was not found; install Node 20 or newer\n"
    assert capsys.readouterr().out == said


CHECKS = {
    "smollm2": ["no_network"],
    "ruff": ["no_such_tool"],
    "mypy": ["this"],
    "page": ["calendar"],
    "pytest": ["platform"],
}


def test_one_failure_fails_the_whole_and_the_rest_still_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "CHECKS", CHECKS)
    monkeypatch.setattr(runner, "ready_browser", lambda: "a browser")
    monkeypatch.setattr(runner, "run_browser_tests", lambda: runner.Outcome("browser", True, 1.0, "9 passed"))
    assert runner.main() == 1
    summary = capsys.readouterr().out.split("== all checks ==")[1]
    assert "ruff     FAILED" in summary
    assert "No module named no_such_tool" in summary
    assert "pytest   passed" in summary
    assert "smollm2  passed" in summary
    assert "its tests did not run: " in summary
    assert summary.strip().endswith("9 passed")


LUCK = """
from pathlib import Path

def test_it_fails_at_first():
    met = Path(__file__).with_name("met")
    seen = met.exists()
    met.touch()
    assert seen, "the first time"

def test_it_passes():
    pass
"""


@pytest.mark.parametrize(
    ("more", "passed", "said"),
    [
        ("", True, "on all cores: 1 failed, 1 passed"),
        ("def test_never():\n    raise OSError\n", False, "one by one: 1 failed, 1 passed"),
        ("import no_such_module\n", False, "on all cores: 1 error"),
    ],
)
def test_what_fails_is_run_once_more_and_told(
    more: str, said: str, *, passed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_luck.py").write_text(LUCK + more, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "CHECKS", {"luck": ["pytest", "-n", "2"]})
    outcome = runner.run_tests("luck")
    assert (outcome.name, outcome.passed) == ("luck", passed)
    assert said in outcome.closing_line
