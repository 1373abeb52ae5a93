"""The files that draw a panel in the browser, put together for anywidget.

A widget's script is one module without imports of its own files, so the parts are joined here, in
the order in which they need each other. The colours come from `plots.theme`, their one source.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from rllab.plots.drawing import ROLES, template

STATIC = Path(__file__).parent / "static"
PARTS = ("dom.js", "words.js", "controls.js", "tokens.js", "answers.js", "chart.js", "panel.js")


@functools.cache
def script() -> str:
    """Return the one module that renders every panel."""
    roles = {name: [role.light, role.dark] for name, role in ROLES.items()}
    constants = f"const ROLES = {json.dumps(roles)};\nconst TEMPLATE = {json.dumps(template())};\n"
    return constants + "\n".join((STATIC / part).read_text(encoding="utf-8") for part in PARTS)


@functools.cache
def styles() -> str:
    """Return the style sheet, with every colour role as a custom property in light and dark."""
    light = "".join(f"--rllab-{name}:{role.light};" for name, role in ROLES.items())
    dark = "".join(f"--rllab-{name}:{role.dark};" for name, role in ROLES.items())
    themes = f'.rllab{{{light}--rllab-dark:0}}\n[data-jp-theme-light="false"] .rllab{{{dark}--rllab-dark:1}}\n'
    return themes + (STATIC / "panel.css").read_text(encoding="utf-8")
