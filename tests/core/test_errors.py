"""Errors are one sentence each, and lists of allowed values have one wording."""

from rllab.core.errors import LabError, choose_from


def test_a_long_value_is_cut_and_a_text_keeps_its_quotes():
    assert str(LabError("a", "b", "c")) == "a is 'b': c"
    assert str(LabError("a", 1.5, "c")) == "a is 1.5: c"
    assert len(str(LabError("a", "b" * 1000, "c"))) < 100


def test_what_can_be_chosen_is_listed_with_what_was_meant():
    known = ["sad", "happy", "dog"]
    assert choose_from(known, instead_of="hapy") == "choose one of sad, happy, dog; did you mean happy?"
    assert choose_from(known, instead_of="HAPPY").endswith("did you mean happy?")
    assert choose_from(known, instead_of="xyz") == choose_from(known, instead_of=3) == "choose one of sad, happy, dog"
    assert choose_from(["dog is", 1], instead_of="") == "choose one of 'dog is', 1"
    assert str(LabError.choice("run", "C", [])) == "run is 'C': there is nothing to choose from"
    assert str(LabError.choice("run", "C", "AB", reason="it is gone")) == "run is 'C': it is gone; choose one of A, B"


def test_a_long_list_is_cut_or_gives_way_to_what_was_meant():
    many = [f"word{number}" for number in range(40)]
    assert choose_from(many, instead_of="wrd39").startswith("did you mean word39")
    assert choose_from(many, instead_of="xyz").endswith("word10, word11, ... (40 in all)")
