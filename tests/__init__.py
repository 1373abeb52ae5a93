"""The tests: `python lab.py test` runs all of them."""
