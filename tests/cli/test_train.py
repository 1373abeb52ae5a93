"""Training from the command line: a run in a folder, gone on with, stopped, compared, and bad input in a sentence."""

import os
import signal
import subprocess
import sys
import time

import pytest

from rllab.cli.main import BAD_INPUT, INTERRUPTED, main
from rllab.cli.train import settings_from
from rllab.core.errors import LabError
from rllab.trainer import runs
from rllab.trainer.trainer import Trainer
from tests.trainer.small_run import same, small_run

SMALL = "batch_size = 24\nmicro_batch_size = 24\n"


@pytest.fixture
def settings(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    return file


def asked(settings, out, *more):
    return ["train", "--world", "micro-tabular", "--config", str(settings), "--out", str(out), *more]


def shell(arguments, **options):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-m", "rllab", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_run_from_the_command_line_is_the_run_itself_and_goes_on_to_the_same_bytes(settings, tmp_path, capsys):
    first = shell(asked(settings, tmp_path / "parts", "--seed", "3", "--updates", "2"))
    said, shown = first.communicate(timeout=100)
    assert (first.returncode, "Traceback" in shown) == (0, False)
    assert "update 2: score" in said
    assert str(tmp_path / "parts") in said
    assert "2.00/2.00" in shown  # the progress bar's last line
    assert main(["train", "--resume", str(tmp_path / "parts"), "--updates", "3"]) == 0
    assert "update 3: score" in capsys.readouterr().out
    whole = small_run(seed=3)
    runs.record(whole, tmp_path / "whole", 3)
    assert same(whole, Trainer.load(tmp_path / "parts" / "checkpoint"))
    for name in ("metrics.jsonl", "samples.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no interrupt to a child alone")
def test_an_interrupt_ends_a_run_in_good_order(settings, tmp_path):
    running = shell(asked(settings, tmp_path / "run", "--updates", "100000"))
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    said, shown = running.communicate(timeout=30)
    assert (running.returncode, "Traceback" in shown) == (INTERRUPTED, False)
    assert f"--resume {tmp_path / 'run'} --updates 100000" in said
    kept = runs.resume(tmp_path / "run")
    assert kept.index == metrics.read_text().count("\n") >= 2


BAD = {
    "no world": (["train"], "world is None: choose one with --world"),
    "a world misspelt": (["train", "--world", "mirco"], "micro"),
    "an algorithm misspelt": (["train", "--world", "micro-tabular", "--algorithm", "pppo"], "did you mean ppo"),
    "a seed below 0": (["train", "--world", "micro-tabular", "--seed", "-1"], "seed is -1"),
    "no updates": (["train", "--world", "micro-tabular", "--updates", "0"], "updates is 0"),
    "no such file": (["train", "--world", "micro-tabular", "--config", "nowhere.toml"], "there is no such file"),
    "nothing to go on with": (["train", "--resume", "nowhere"], "nothing has been saved"),
    "another seed for a run": (["train", "--resume", "nowhere", "--seed", "1"], "omit --seed"),
    "no run to compare": (["compare", "nowhere"], "config.json is missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_sentence(case, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("RLLAB_HOME", str(tmp_path))
    arguments, sentence = BAD[case]
    assert main(arguments) == BAD_INPUT
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.out == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lr = ", "cannot be read as TOML"),
        ("[ppo]\nlr = 0.1", "without sections"),
        ("leraning_rate = 0.1", "did you mean"),
        ("lr = 'fast'", "lr is 'fast': give a finite number"),
        ("lam = 0.5\nscale_by_std = false", "PPO does not read it"),
    ],
)
def test_a_bad_settings_file_is_a_sentence(text, sentence, capsys, tmp_path):
    (tmp_path / "bad.toml").write_text(text)
    assert main(asked(tmp_path / "bad.toml", tmp_path / "run")) == BAD_INPUT
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_settings_are_plain_values_and_none_switches_one_off(tmp_path):
    file = tmp_path / "some.toml"
    file.write_text('value_clip_eps = "none"\nclip_mode = "one-sided"\nlr = 1e-3\nepochs = 2\nwhiten = false\n')
    assert settings_from(file) == {
        "value_clip_eps": None,
        "clip_mode": "one-sided",
        "lr": 1e-3,
        "epochs": 2,
        "whiten": False,
    }
    with pytest.raises(LabError, match="no such file"):
        settings_from(tmp_path / "other.toml")


def test_a_folder_with_a_run_is_left_alone(settings, tmp_path, capsys):
    runs.record(small_run(), tmp_path / "run", 1)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    assert main(asked(settings, tmp_path / "run")) == BAD_INPUT
    assert "continue it with --resume" in capsys.readouterr().err
    assert main(["train", "--resume", str(tmp_path / "run"), "--updates", "1"]) == BAD_INPUT
    assert "this run already has 1" in capsys.readouterr().err
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_compare_tells_what_was_asked_differently_and_shows_the_curves(tmp_path, capsys):
    for seed in (0, 1):
        runs.record(small_run(seed=seed), tmp_path / f"a{seed}", 3)
        runs.record(small_run(seed=seed, kl_coef=0.5), tmp_path / f"b{seed}", 3)
    assert main(["compare", *(str(tmp_path / name) for name in ("a0", "b0", "a1", "b1"))]) == 0
    told = capsys.readouterr().out
    assert "They differ in kl_coef: 0.1 | 0.5." in told
    table = told[told.index("\neval/gold") :].splitlines()[1:4]
    assert table[0].split() == ["eval/gold", "update", "1", "update", "2", "update", "3"]
    first = [runs.read(tmp_path / f"a{seed}").history[0].metrics["eval/gold"] for seed in (0, 1)]
    assert f"{sum(first) / 2:.3f} ±" in table[1]
    assert table[1].startswith("kl_coef 0.1")
    assert "objective/kl_exact" in told
    assert main(["compare", str(tmp_path / "a0")]) == 0
    assert "nothing but the seed" in capsys.readouterr().out
