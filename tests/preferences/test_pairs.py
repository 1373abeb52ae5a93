"""Preferences: pairs that survive a file, tokens that are cut nowhere, judges whose taste is known."""

import json
import random

import pytest
import torch

from rllab.core.errors import LabError
from rllab.policy.generation import sequences_from_ids
from rllab.policy.policy import Policy
from rllab.preferences.pairs import Pair, SimulatedJudge, load_pairs, save_pairs, tokenize_pairs
from tests.fakes import EOS, byte_tokenizer, fake_model, fake_policy
from tests.small import gpt2_policy, row_ids, text_reward

ODD = ["line one\nline two", "\u2028 and \u0085 and \u2029", "é 猫 🙂 \u202eabc", '"quoted" \\ {json}', "tab\tend", " "]


def test_pairs_come_back_from_a_file_as_they_were(tmp_path):
    pairs = [Pair(f"prompt {text}", text, text[::-1] + "x", judge="ada", time="now") for text in ODD]
    save_pairs(tmp_path / "pairs.jsonl", pairs)
    assert load_pairs(tmp_path / "pairs.jsonl") == pairs
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text("utf-8").split("\n") if line]
    assert [row["prompt"] for row in rows] == [pair.prompt for pair in pairs]  # TRL's column names
    assert set(rows[0]) == {"prompt", "chosen", "rejected", "judge", "time"}


def test_half_a_character_does_not_stop_the_saving(tmp_path):
    save_pairs(tmp_path / "pairs.jsonl", [Pair("a", "b \ud800", "c")])
    assert load_pairs(tmp_path / "pairs.jsonl") == [Pair("a", "b ?", "c")]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        '{"prompt": "a", "chosen": "b"}',
        '{"prompt": "a", "chosen": "b", "rejected": null}',
        '{"prompt": "a", "chosen": "b", "rejected": 3}',
        '["a", "b", "c"]',
        '"a"',
        "null",
        "[" * 5000,
    ],
)
def test_a_line_that_is_no_pair_is_shown_with_its_number(line, tmp_path):
    whole = json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"})
    (tmp_path / "pairs.jsonl").write_text(f"{whole}\n\n{line}\n", "utf-8")
    with pytest.raises(LabError, match="line 3 of the pair file"):
        load_pairs(tmp_path / "pairs.jsonl")


def test_a_file_that_is_not_there_or_no_text_is_a_sentence(tmp_path):
    with pytest.raises(LabError, match="there is no such file"):
        load_pairs(tmp_path / "pairs.jsonl")
    (tmp_path / "pairs.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabError, match="line 1"):
        load_pairs(tmp_path / "pairs.jsonl")


@pytest.mark.parametrize("kind", ["words", "bytes"])
def test_a_thousand_pairs_share_their_prompt_and_end_once(kind):
    if kind == "words":
        policy, letters = gpt2_policy(), ["a ", "b ", "c ", ". ", "f "]
    else:
        tokenizer = byte_tokenizer()
        policy = Policy(fake_model(len(tokenizer)), tokenizer)
        letters = ["a", " b", "é", "猫", "🙂", " ", "\n", EOS]  # text that spells the end token, too
    chance = random.Random(0)

    def text(high):
        return "".join(chance.choices(letters, k=chance.randint(1, high))).rstrip(" ") or letters[0].strip()

    pairs = []
    while len(pairs) < 1000:
        prompt = text(5)
        if prompt.strip() and EOS not in prompt:
            pairs.append(Pair(prompt, text(4), text(4)))
    batch = tokenize_pairs(policy, pairs)
    for row, pair in enumerate(pairs):
        (prompt, chosen), (same_prompt, rejected) = row_ids(batch.chosen, row), row_ids(batch.rejected, row)
        assert prompt == same_prompt == policy.encode(pair.prompt)
        for ids, said in ((chosen, pair.chosen), (rejected, pair.rejected)):
            assert ids.count(policy.eos_id) == 1
            assert ids[-1] == policy.eos_id
            assert policy.decode(ids) == said
    assert batch.chosen.ended.all()


def test_a_response_that_fills_the_limit_was_cut_there():
    policy = fake_policy("a", "b")
    batch = tokenize_pairs(policy, [Pair("a", "a a a", "b"), Pair("b", "a b", "b b b")], limit=3)
    assert batch.chosen.ended.tolist() == [False, True]
    assert batch.rejected.ended.tolist() == [True, False]


def test_what_a_policy_cannot_read_is_refused():
    policy = fake_policy("a", "b")
    with pytest.raises(LabError, match="no word 'zebra'"):
        tokenize_pairs(policy, [Pair("a", "zebra", "b")])
    with pytest.raises(LabError, match="chosen response of pair 1"):
        tokenize_pairs(policy, [Pair("a", "b " * 70, "b")])


def test_a_judge_prefers_by_the_logistic_of_its_utility():
    policy = fake_policy("a", "b")
    taste = text_reward(policy, lambda prompt, response, *, ended: {"a": float(response.count("a"))}, a=1.0)
    n = 5_000
    first = sequences_from_ids(policy, ["a"] * n, [[0, 1, 2]] * n)
    second = sequences_from_ids(policy, ["a"] * n, [[1, 2]] * n)
    for noise, bias in ((0.5, 0.0), (2.0, 0.0), (2.0, 0.7)):
        judge = SimulatedJudge("ada", taste, noise, bias)
        assert judge.utility(first)[0] == pytest.approx(1 + 3 * bias)
        expected = float(torch.sigmoid(torch.tensor((1 + bias) / noise)))
        share = float(judge.choose(first, second, generator=torch.Generator().manual_seed(0)).double().mean())
        assert abs(share - expected) <= 5 * (expected * (1 - expected) / n) ** 0.5
    same = [judge.choose(first, second, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(same[0], same[1])
    assert not torch.equal(same[0], same[2])
