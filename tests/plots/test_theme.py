"""Colours: the roles are distinguishable, readable in light and dark themes."""

import itertools

import pytest

from rllab.plots.charts import EndLabel, end_labels
from rllab.plots.drawing import ROLES, drawing, faded

LIGHT_PAGE, DARK_PAGE = "#ffffff", "#212121"  # JupyterLab's two themes
WORDS = ("ink", "dim", "policy", "reward", "value", "up", "down", "kl")  # used for text
MARKS = ("edge", "reference", "focus", *WORDS)


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_contrast_of_black_and_white() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("name", WORDS)
def test_text_has_contrast_in_both_themes(name: str) -> None:
    assert contrast(ROLES[name].light, LIGHT_PAGE) >= 4.5
    assert contrast(ROLES[name].dark, DARK_PAGE) >= 4.5


@pytest.mark.parametrize("name", MARKS)
def test_marks_and_borders_have_contrast_in_both_themes(name: str) -> None:
    assert contrast(ROLES[name].light, LIGHT_PAGE) >= 3
    assert contrast(ROLES[name].dark, DARK_PAGE) >= 3


def test_the_name_of_a_pale_line_is_written_so_that_it_can_be_read() -> None:
    labels = [EndLabel(role, float(at), role) for at, role in enumerate(MARKS) if role != "focus"]
    written = end_labels(labels, low=0.0, high=20.0, height=300.0)["annotations"]
    assert {one["font"]["color"] for one in written} == {ROLES[role].light for role in WORDS}


def test_light_colours_name_their_role() -> None:
    assert all(a.light != b.light for a, b in itertools.combinations(ROLES.values(), 2))


def test_a_band_is_its_role_faded() -> None:
    red = int(ROLES["value"].light[1:3], 16)
    assert faded("value", 0.2).startswith(f"rgba({red},")


def test_a_new_figure_has_titles_and_no_default_template() -> None:
    drawn = drawing([], x="update", y="score", layout={"xaxis": {"nticks": 3}})
    layout = drawn.figure().to_plotly_json()["layout"]
    assert layout["xaxis"] == {"title": {"text": "update"}, "nticks": 3}
    assert set(layout["template"]) <= {"layout", "data"}
