"""The files that draw a panel in the browser, put together for anywidget.

A widget's script is one module that imports nothing, so a module of `static` is joined here with everything it imports.
The colours come from `plots.drawing`, their one source.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from rllab.plots.drawing import ROLES, template

STATIC = Path(__file__).parent / "static"

_COMMENT = re.compile(r"^ *(?:/\*\*(?:(?!\*/).)*\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)  # /*! notices */ stay
_IMPORT = re.compile(r'^import (?:\{([^}]*)\}|(\w+)) from "([^"]+)";\n', re.MULTILINE)
_EXPORTED = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)
_LISTED = re.compile(r"export\{([^}]*)\};")  # minified: export{a as Component,b as h};
_DEFAULT = "export default "


@functools.cache
def script() -> str:
    """Return the one module that renders every panel."""
    look = {"roles": {name: [role.light, role.dark] for name, role in ROLES.items()}, "template": template()}
    notices = (STATIC / "vendor" / "notices.js").read_text(encoding="utf-8")
    return f"{notices}const LOOK = {json.dumps(look)};\n{bundle('panel.js')}"


@functools.cache
def styles() -> str:
    """Return the style sheet, with every colour role as a custom property in light and dark."""
    light = "".join(f"--rllab-{name}:{role.light};" for name, role in ROLES.items())
    dark = "".join(f"--rllab-{name}:{role.dark};" for name, role in ROLES.items())
    themes = f'.rllab{{{light}--rllab-dark:0}}\n[data-jp-theme-light="false"] .rllab{{{dark}--rllab-dark:1}}\n'
    return themes + (STATIC / "panel.css").read_text(encoding="utf-8")


def bundle(entry: str) -> str:
    """Return a module of `static` and all that it imports as one module with the same default export.

    Each file becomes a function that is called once and returns what the file exports, so names stay apart.
    """
    joined: dict[Path, str] = {}

    def add(path: Path) -> None:
        source = _COMMENT.sub("", path.read_text(encoding="utf-8"))
        for found in _IMPORT.finditer(source):
            imported = (path.parent / found[3]).resolve()
            if imported not in joined:
                add(imported)
        joined[path] = _as_function(path.stem, source)

    first = (STATIC / entry).resolve()
    add(first)
    return "".join(joined.values()) + f"export default ${first.stem}.default;\n"


def _as_function(name: str, source: str) -> str:
    """Return the source of a module as `const $name = (() => { ... return { exports }; })();`."""
    exports = [found[1] for found in _EXPORTED.finditer(source)]
    exports += [
        ": ".join(reversed(pair.split(" as "))) for found in _LISTED.findall(source) for pair in found.split(",")
    ]
    exports += ["default: $default"] if _DEFAULT in source else []
    body = _LISTED.sub("", _EXPORTED.sub("", _IMPORT.sub(_as_constants, source)))
    body = body.replace(_DEFAULT, "const $default = ")
    return f"const ${name} = (() => {{\n{body}\nreturn {{ {', '.join(exports)} }};\n}})();\n"


def _as_constants(found: re.Match[str]) -> str:
    """Return an import as constants that are read from the function of the imported module."""
    names = found[1].replace(" as ", ": ") if found[1] else f" default: {found[2]} "
    return f"const {{{names}}} = ${Path(found[3]).stem};\n"
