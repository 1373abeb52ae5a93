"""The microscope: one update, opened step by step."""
