"""Every public name says what it takes, returns and raises, and docs/api.md is made of just that."""

import pytest

from tests.project.reference import API, Public, page, problems, public_names

PUBLIC = list(public_names())


@pytest.mark.parametrize("public", PUBLIC, ids=[f"{public.room or 'rllab'}.{public.name}" for public in PUBLIC])
def test_a_public_name_is_described(public: Public) -> None:
    assert list(problems(public)) == []


def test_the_reference_is_what_the_code_says() -> None:
    assert API.read_text("utf-8") == page(), "run `python -m tests.project.reference` to write docs/api.md anew"


def test_a_missing_description_is_found() -> None:
    def scale(x: float, *, by: float) -> float:
        """Return a number, scaled."""
        return x * by

    assert list(problems(Public("maths", "scale", scale))) == [
        "maths: scale does not describe what it takes",
        "maths: scale does not describe what it returns",
    ]
    scale.__doc__ = "Return a number, scaled.\n\nArgs:\n    x: Number.\n\nReturns:\n    The number."
    assert list(problems(Public("maths", "scale", scale))) == ["maths: scale does not describe by"]
