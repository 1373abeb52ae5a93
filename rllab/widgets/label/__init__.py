"""The label panel: the learner chooses between pairs, and a reward model learns from it."""
