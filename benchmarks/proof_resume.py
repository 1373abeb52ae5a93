"""A run resumes bit-exactly from any of its first 20 updates, and neither a kill nor a full disk loses a save."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.result import ROOT, Result
from rllab.core.errors import LabError
from rllab.core.files import sha256
from rllab.trainer import runs
from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world

ALGORITHMS = {"ppo": {}, "rloo": {"samples_per_prompt": 4}, "grpo": {"samples_per_prompt": 4}}
SMALL = {"batch_size": 24, "micro_batch_size": 24}
UPDATES, STOPS = 40, range(1, 21)
FILES = ("metrics.jsonl", "samples.jsonl", "tokens.jsonl")
KILLS, LIMITS = 100, 20
LONGEST_WAIT = 0.4  # seconds until a kill: the time of several saves
GO_ON = """
import sys
from pathlib import Path
from rllab.trainer import runs
for folder in map(Path, sys.argv[2:]):
    trainer = runs.resume(folder)
    runs.record(trainer, folder, int(sys.argv[1]) - trainer.index)
"""


def measure() -> Result:
    """Resume 60 times in new processes, kill 100 saves, and let 20 saves run out of disk space."""
    with tempfile.TemporaryDirectory() as scratch:
        equal = sum(resumed_equal(Path(scratch), stop) for stop in STOPS)
        readable = killed(Path(scratch) / "killed", KILLS)
        told = sum(out_of_room(Path(scratch) / "full", limit) for limit in range(LIMITS))
    asked = len(STOPS) * len(ALGORITHMS)
    return Result(
        claim="a run resumes bit-exactly in a new process, and neither a kill nor a full disk loses a save",
        target=f"{asked} of {asked} resumes bit-equal with the same bytes in {', '.join(FILES)}; 0 of {KILLS} kills "
        f"while saving unreadable; {LIMITS} of {LIMITS} saves without disk space reported, the old save intact",
        figure=f"{equal} of {asked} resumes equal; {KILLS - readable} of {KILLS} kills unreadable; {told} of {LIMITS} "
        "saves without disk space reported and the old save intact",
        passed=(equal, readable, told) == (asked, KILLS, LIMITS),
        details={"updates": UPDATES, "stops": list(STOPS), "algorithms": list(ALGORITHMS)},
    )


def begin(algorithm: str) -> Trainer:
    """Return the trainer of a small run."""
    world = load_world("micro-tabular")
    return Trainer(world, algorithm, world.config(algorithm, **(SMALL | ALGORITHMS[algorithm])))


def resumed_equal(scratch: Path, stop: int) -> int:
    """Stop a run of each algorithm, resume it in a new process, and count those that end like an uninterrupted run."""
    parts = [scratch / f"{algorithm}-{stop}" for algorithm in ALGORITHMS]
    for algorithm, part in zip(ALGORITHMS, parts, strict=True):
        if not (scratch / algorithm).exists():
            runs.record(begin(algorithm), scratch / algorithm, UPDATES)
        runs.record(begin(algorithm), part, stop)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", GO_ON, str(UPDATES), *map(str, parts)], env=environment, check=True)
    return sum(same_run(scratch / algorithm, part) for algorithm, part in zip(ALGORITHMS, parts, strict=True))


def same_run(whole: Path, parts: Path) -> bool:
    """Return whether two run folders hold the same bytes: every line, every weight, every optimiser moment."""
    lines = all((whole / name).read_bytes() == (parts / name).read_bytes() for name in FILES)
    weights = sorted(path.relative_to(newest(whole)) for path in newest(whole).rglob("*.safetensors"))
    return lines and all(sha256(newest(whole) / weight) == sha256(newest(parts) / weight) for weight in weights)


def newest(folder: Path) -> Path:
    """Return the folder of the last save of a run."""
    return max(path for path in (folder / "checkpoint").iterdir() if path.name.isdecimal())


def killed(folder: Path, times: int) -> int:
    """Kill a process that trains and saves in a loop, at random times; count how often the run loads."""
    chance, readable = random.Random(0), 0  # noqa: S311 - random times, no secrets
    folder.mkdir()
    trainer = begin("ppo")
    trainer.save(folder)
    for _ in range(times):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            _train_and_save(trainer, folder, writing)
        os.close(writing)
        time.sleep(chance.uniform(0.0, LONGEST_WAIT))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reading) as said:
            acknowledged = max(map(int, said.read().split()), default=trainer.index)
        with contextlib.suppress(LabError):
            trainer = Trainer.load(folder)
            readable += trainer.index >= acknowledged
    return readable


def _train_and_save(trainer: Trainer, folder: Path, writing: int) -> None:
    """Save after every update, and report each save, until killed."""
    while True:
        trainer.run(1)
        trainer.save(folder)
        os.write(writing, f"{trainer.index}\n".encode())


def out_of_room(folder: Path, step: int) -> bool:
    """Save under a limit on the file size; return whether the failure was reported and the old save is unchanged."""
    if not folder.exists():
        begin("ppo").save(folder)
    before = {path: sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    largest = max(one.stat().st_size for one in before)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest * step // LIMITS, resource.RLIM_INFINITY))
        os._exit(_said_in_words(folder))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    after = {path: sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    return code == 0 and before == after


def _said_in_words(folder: Path) -> int:
    """Train and try to save; return 0 if the failure is reported in a sentence."""
    trainer = Trainer.load(folder)
    trainer.run(1)
    try:
        trainer.save(folder)
    except LabError as error:
        return 0 if "what was saved before is as it was" in str(error) else 2
    return 1
