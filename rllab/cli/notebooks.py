"""Copy the notebooks that come with the package into a folder, where they can be opened and changed."""

from __future__ import annotations

from pathlib import Path

from rllab.core.errors import LabError
from rllab.core.files import shipped_dir, write_atomically


def copy_notebooks(target: Path) -> list[Path]:
    """Copy the notebooks into a folder; all of them or, where one was changed there, none.

    Args:
        target: The folder; it is created if it does not exist.

    Returns:
        The notebooks in that folder, in their order.

    Raises:
        LabError: A notebook there differs from the one to copy, or the folder cannot be written.
    """
    sources = sorted(shipped_dir("notebooks").glob("*.ipynb"))
    new = []
    try:
        for source in sources:
            copy = target / source.name
            if copy.exists() and copy.read_bytes() != source.read_bytes():
                raise LabError("notebook", str(copy), "it was changed since it was copied; choose another folder")
            new += [] if copy.exists() else [source]
        for source in new:
            write_atomically(target / source.name, source.read_bytes())
    except OSError as error:
        raise LabError("folder", str(target), f"it cannot be written ({error}); choose another one") from error
    return [target / source.name for source in sources]
