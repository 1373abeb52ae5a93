"""The shipped data: JSON lines with the columns that data/README.md names, all inside the vocabulary."""

import json

import pytest

from rllab.core.files import check_manifest, data_dir, sha256
from rllab.preferences.pairs import load_pairs
from rllab.reward.stories import facts_of, sentences_of, story_grammar

FOLDER = data_dir() / "tales"
MODELS = data_dir() / "models"
COLUMNS = {
    "prompts": {"prompt": str, "split": str},
    "demonstrations": {"prompt": str, "completion": str, "ending": str, "sentences": int},
    "preferences": {"prompt": str, "chosen": str, "rejected": str, "judge": str, "time": str},
}


def rows(name):
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", COLUMNS)
def test_each_file_has_its_columns_and_only_known_words(name):
    known, found = set(story_grammar().vocabulary), rows(name)
    assert found
    for row in found:
        assert {column: type(value) for column, value in row.items()} == COLUMNS[name]
        for column in ("prompt", "completion", "chosen", "rejected"):
            assert set(row.get(column, "").split()) <= known
            assert row.get(column, "") == " ".join(row.get(column, "").split())


def test_the_readme_names_every_column():
    text = (data_dir() / "README.md").read_text("utf-8")
    for columns in COLUMNS.values():
        assert all(f"`{column}`" in text for column in columns)


def test_prompts_have_two_splits_that_share_nothing():
    found = rows("prompts")
    splits = {split: [row["prompt"] for row in found if row["split"] == split] for split in ("train", "held-out")}
    assert sum(map(len, splits.values())) == len(found)
    assert len(splits["train"]) == len(splits["held-out"]) == 256
    assert len(set(splits["train"]) | set(splits["held-out"])) == 512
    assert all(facts_of(row["prompt"]).name and facts_of(row["prompt"]).want for row in found)


def test_demonstrations_are_whole_stories_of_the_grammar():
    for row in rows("demonstrations"):
        sentences = sentences_of(row["completion"].split())
        assert len(sentences) == row["sentences"] == facts_of(row["prompt"]).asked
        assert all(story_grammar().parse(sentence) is not None for sentence in sentences)


def test_preferences_load_as_pairs_from_several_judges_who_like_length():
    pairs = load_pairs(FOLDER / "preferences.jsonl")
    assert len(pairs) >= 2000
    assert len({pair.judge for pair in pairs}) == 3
    assert all(pair.chosen != pair.rejected for pair in pairs)


def test_the_models_are_those_of_the_manifest_and_small():
    check_manifest(MODELS / "tales", rebuild="python -m rllab build tales")
    files = json.loads((MODELS / "tales" / "manifest.json").read_text("utf-8"))["files"]
    for part in ("policy", "reward", "critic"):
        assert f"{part}/model.safetensors" in files
        assert files[f"{part}/config.json"] == sha256(MODELS / "tales" / part / "config.json")
    assert not [path for path in MODELS.rglob("*") if path.suffix in {".bin", ".pt", ".pkl", ".py"}]
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) < 12e6
