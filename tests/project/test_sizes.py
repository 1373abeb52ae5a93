"""The house stays small enough to be read: lines of code without docstrings, blanks and comments."""

from collections import Counter
from pathlib import Path

import pytest

from tests.project.floors import HEIGHT, TRAINER_FLOOR
from tests.project.source import code_lines, functions, python_files

CORE, HEADLESS, VIEWS, MATERIAL, SCRIPT, FILE, FUNCTION = 3_000, 10_000, 9_000, 6_500, 2_000, 250, 25
# Rooms at or below the trainer's floor that nobody needs to read to understand the loop, and why.
BESIDE_THE_CORE = {
    "judges": "what each world likes: one file a world",
    "worlds": "how each world's files are found, checked and fetched",
    "checkpoints": "how a run is written to disk",
    "jobs": "how long work runs beside a page",
    "preference_training": "learning from pairs is a loop of its own",
}
# Rooms of teaching material and of recipes: they use the package, and nothing in it needs them.
TEACHING = {"exercises", "experiments", "classic", "clinic", "build"}
# Rooms that only show what the others found, or bring it to the page.
SHOWING = {"widgets", "plots", "server"}
# What may be longer, up to how many lines, and why. Keep it short.
LONGER_FILES: dict[str, tuple[int, str]] = {}
LONGER_FUNCTIONS: dict[tuple[str, str], tuple[int, str]] = {}
SCRIPTS = {".js", ".css"}


def measured(root: Path) -> list[Path]:
    """List the files whose size counts one by one: the package, the door and the measurements."""
    return [*python_files(root / "rllab"), *python_files(root / "benchmarks"), *root.glob("lab.py")]


def script_lines(package: Path) -> int:
    """Count the non-blank lines of what runs in the browser."""
    scripts = [path for path in package.rglob("*") if path.suffix in SCRIPTS]
    return sum(bool(line.strip()) for path in scripts for line in path.read_text("utf-8").splitlines())


def long_files(root: Path, longer: dict[str, tuple[int, str]]) -> list[str]:
    sizes = {path.relative_to(root).as_posix(): len(code_lines(path)) for path in measured(root)}
    return [f"{name}: {size}" for name, size in sizes.items() if size > longer.get(name, (FILE, ""))[0]]


def long_functions(root: Path, longer: dict[tuple[str, str], tuple[int, str]]) -> list[str]:
    found = [(path.relative_to(root).as_posix(), item) for path in measured(root) for item in functions(path)]
    return [
        f"{name}: {item.name} has {item.lines}"
        for name, item in found
        if item.lines > longer.get((name, item.name), (FUNCTION, ""))[0]
    ]


def height_of(path: Path, package: Path) -> int:
    """Return the floor of a file; the package's door belongs to the ground."""
    return HEIGHT.get(room_of(path, package), 0)


def room_of(path: Path, package: Path) -> str:
    """Return the room of a file: the module or the folder directly in the package."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def purpose_of(room: str) -> str:
    """Return what a room is for."""
    if room in TEACHING:
        return "material"
    return "views" if room in SHOWING else "headless"


def test_core_reads_in_an_afternoon(root: Path) -> None:
    package = root / "rllab"
    sizes = Counter()
    for path in python_files(package):
        if height_of(path, package) <= TRAINER_FLOOR and room_of(path, package) not in BESIDE_THE_CORE:
            sizes[room_of(path, package)] += len(code_lines(path))
    assert sizes.total() <= CORE, sizes.most_common()


def test_whole_package(root: Path) -> None:
    package = root / "rllab"
    sizes = Counter()
    for path in python_files(package):
        sizes[purpose_of(room_of(path, package))] += len(code_lines(path))
    assert sizes["headless"] <= HEADLESS
    assert sizes["views"] <= VIEWS
    assert sizes["material"] <= MATERIAL
    assert script_lines(package) <= SCRIPT


def test_files(root: Path) -> None:
    assert long_files(root, LONGER_FILES) == []


def test_functions(root: Path) -> None:
    assert long_functions(root, LONGER_FUNCTIONS) == []


def test_exceptions_are_needed_and_explained(root: Path) -> None:
    sizes = {path.relative_to(root).as_posix(): len(code_lines(path)) for path in measured(root)}
    for name, (limit, why) in LONGER_FILES.items():
        assert FILE < sizes[name] <= limit, f"{name} needs no exception of {limit}"
        assert why
    lengths = {
        (path.relative_to(root).as_posix(), item.name): item.lines
        for path in measured(root)
        for item in functions(path)
    }
    for room, why in BESIDE_THE_CORE.items():
        assert HEIGHT.get(room, 0) <= TRAINER_FLOOR, f"{room} is above the core anyway"
        assert why
    for key, (limit, why) in LONGER_FUNCTIONS.items():
        assert FUNCTION < lengths[key] <= limit, f"{key} needs no exception of {limit}"
        assert why


@pytest.mark.parametrize("lines", [FUNCTION, FUNCTION + 1])
def test_a_planted_function_is_measured(lines: int, tmp_path: Path) -> None:
    body = ["def f() -> None:", '    """Say what.', "", "    More words.", '    """', "    # a reason", ""]
    body += [f"    x{number} = 1" for number in range(lines - 1)]
    plant(tmp_path, "\n".join(body))
    assert bool(long_functions(tmp_path, {})) == (lines > FUNCTION)


@pytest.mark.parametrize("lines", [FILE, FILE + 1])
def test_a_planted_file_is_measured(lines: int, tmp_path: Path) -> None:
    plant(tmp_path, '"""Words."""\n\n# why\n' + "x = (\n    1,\n)\n" + "y = 1\n" * (lines - 3))
    assert bool(long_files(tmp_path, {})) == (lines > FILE)


def plant(root: Path, source: str) -> None:
    (root / "rllab").mkdir()
    (root / "rllab" / "big.py").write_text(source + "\n", "utf-8")
