"""What a text is worth: the protocol, reward models, programmatic rewards, gold judges, and rewards made of others."""

from rllab.reward.judges import exact_answer, happy_words, length, matches, micro_gold, sentiment
from rllab.reward.reward import Judge, Reward, RewardModel, TextReward, TokenReward
from rllab.reward.shaping import Redistributed, Shaped, WeightedSum, attention_shares, even_shares
from rllab.reward.stories import tales_gold

__all__ = [
    "Judge",
    "Redistributed",
    "Reward",
    "RewardModel",
    "Shaped",
    "TextReward",
    "TokenReward",
    "WeightedSum",
    "attention_shares",
    "even_shares",
    "exact_answer",
    "happy_words",
    "length",
    "matches",
    "micro_gold",
    "sentiment",
    "tales_gold",
]
