"""Write choix.json: choix's fit to 20,000 comparisons of eight items; run it in the oracles' environment."""

import importlib.metadata
import itertools
import json
import random
from math import exp
from pathlib import Path

import choix

ITEMS, COMPARISONS = 8, 20_000

chance = random.Random(0)
true = [chance.gauss(0, 1) for _ in range(ITEMS)]
wins = [[0] * ITEMS for _ in range(ITEMS)]
for _ in range(COMPARISONS):
    a, b = chance.sample(range(ITEMS), 2)
    winner, loser = (a, b) if chance.random() < 1 / (1 + exp(true[b] - true[a])) else (b, a)
    wins[winner][loser] += 1
pairs = [pair for pair in itertools.permutations(range(ITEMS), 2) for _ in range(wins[pair[0]][pair[1]])]
content = {
    "made_with": {"choix": importlib.metadata.version("choix")},
    "wins": wins,
    "strengths": choix.ilsr_pairwise(ITEMS, pairs, alpha=0.0).tolist(),
}
(Path(__file__).parent / "choix.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
