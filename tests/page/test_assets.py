"""What is sent to the page is one script that needs nothing else, with the notices of what it contains."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from rllab.widgets.engine import assets
from tests.project.test_pages import rows

PACKAGES = Path(__file__).with_name("package.json")
LOCK = Path(__file__).with_name("package-lock.json")


def test_the_script_imports_nothing_and_exports_one_view() -> None:
    script = assets.script()
    assert re.findall(r"^ *import\b.*", script, re.MULTILINE) == []
    assert re.findall(r"^export .*", script, re.MULTILINE) == ["export default $panel.default;"]
    assert "sourceMappingURL" not in script


def test_a_file_is_joined_once_and_before_those_that_need_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "entry.js": 'import { double, one as first } from "./maths.js";\nimport small from "./small.js";\n'
        "// a comment\nexport default { answer: double(first) + small };\n",
        "maths.js": 'import small from "./small.js";\n/** A comment. */\nexport const one = small;\n'
        "export function double(x) {\n  return 2 * x;\n}\n",
        "small.js": "const s=1;export default s;",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.setattr(assets, "STATIC", tmp_path)
    joined = assets.bundle("entry.js")
    assert re.findall(r"^const \$(\w+) = \(", joined, re.MULTILINE) == ["small", "maths", "entry"]
    assert "const { double, one: first } = $maths;" in joined
    assert "const { default: small } = $small;" in joined
    assert "return { one, double };" in joined
    assert "comment" not in joined


def test_what_others_wrote_is_unchanged_and_named() -> None:
    vendor = assets.STATIC / "vendor"
    notices = (vendor / "notices.js").read_text("utf-8")
    named = dict(re.findall(r"^vendor/(\w+\.js): .*?sha256 ([0-9a-f]{64})$", notices, re.MULTILINE | re.DOTALL))
    held = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in vendor.glob("*.js")}
    held.pop("notices.js")
    assert named == held
    assert notices in assets.script()
    assert "Permission is hereby granted" in notices


def test_every_package_has_its_reason_and_one_version(root: Path) -> None:
    told = {name.strip() for cell in rows(root / "CONTRIBUTING.md", "JavaScript, and why") for name in cell.split(",")}
    asked = json.loads(PACKAGES.read_text("utf-8"))["devDependencies"]
    assert told == asked.keys()
    assert all(re.fullmatch(r"[0-9.]+", version) for version in asked.values())


def test_the_lock_file_names_no_registry() -> None:
    packages = json.loads(LOCK.read_text("utf-8"))["packages"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in packages.items() if name)
