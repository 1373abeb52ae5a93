"""Every notebook runs from top to bottom, twice in the same kernel, without an error and within its memory.

Nothing is shortened for the test: long work begins with a button, so the cells alone take seconds.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from tests.conftest import USERS_HOME

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
REAL_LLM = "10_real_llm"
HAS_REAL_LLM = (Path(USERS_HOME) / "models" / "smollm2").is_dir()
# Processor time of both runs and all imports, in units of what importing torch and transformers takes in the same
# minute: shared processors are up to twice as slow from one hour to the next.
MOST_IMPORTS = 10
IMPORTS = "import time, torch, transformers\nfrom transformers import AutoModelForCausalLM\nprint(time.process_time())"
MIB = 2**20
# Linux alone tells the peak of this very process: getrusage counts that of whoever started it as well.
MEASURE = """
import psutil, time
from pathlib import Path
status = Path("/proc/self/status")
peak = [int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM")] \\
    if status.exists() else [psutil.Process().memory_info().rss]
print([peak[0], time.process_time()])
"""
# A panel catches every error and shows it, so the cell that made it does not fail.
ALERTS = """
import gc
from rllab.widgets.engine.panel import Panel
said = [one.alert for one in gc.get_objects() if issubclass(type(one), Panel) and one.alert]
assert not said, said
"""


def import_seconds() -> float:
    """Return the processor time of a Python that only imports torch and transformers."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True)
    return float(done.stdout)


def run_twice(path: Path, home: str) -> tuple[int, float]:
    """Run all cells twice in one kernel; return the most memory it held, in bytes, and its seconds of processor."""
    notebook = nbformat.read(path, as_version=4)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    notebook.cells = [new_code_cell(source) for source in [*sources, *sources, ALERTS, MEASURE]]
    client = NotebookClient(notebook, timeout=200, kernel_name="python3", store_widget_state=False)
    path_of_modules = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    client.execute(env=os.environ | {"PYTHONPATH": path_of_modules, "RLLAB_HOME": home})
    peak, seconds = ast.literal_eval(notebook.cells[-1].outputs[0].text)
    return peak, seconds


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_twice(path: Path, tmp_path: Path) -> None:
    real = path.stem == REAL_LLM
    if real and not HAS_REAL_LLM:
        pytest.skip("the real LLM is not here: python -m rllab fetch smollm2")
    peak, seconds = run_twice(path, USERS_HOME if real else str(tmp_path))
    assert peak / MIB < (3072 if real else 1024)
    assert real or seconds < MOST_IMPORTS * import_seconds()


IN_A_PANEL = "from rllab.widgets import ExplorerPanel\nkept = ExplorerPanel('a', lambda: 1 / 0, ())"


@pytest.mark.parametrize("source", ["1 / 0", "first = 'again' in dir()\nagain = 1\nassert not first", IN_A_PANEL])
def test_a_cell_that_fails_is_found(source: str, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell(source)])
    nbformat.write(notebook, tmp_path / "broken.ipynb")
    with pytest.raises(Exception, match=r"ZeroDivisionError|AssertionError"):
        run_twice(tmp_path / "broken.ipynb", str(tmp_path))
