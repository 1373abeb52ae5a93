"""Print the oldest versions that pyproject.toml allows for the package itself, as constraints for pip.

python .ci/floors.py > floors.txt
python -m pip install -c floors.txt .
"""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
for line in project["dependencies"]:
    print(re.sub(r"^([\w.-]+)>=([\w.]+).*", r"\1==\2", line))
