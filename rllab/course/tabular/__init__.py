"""Reinforcement learning before language models: bandit, maze, cliff, tables, planning, old data."""
