"""Map data/ and notebooks/ into the package, next to the packages that setuptools finds; the rest is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["rllab", "rllab.*"]), "rllab.data", "rllab.notebooks"],
    package_dir={"rllab.data": "data", "rllab.notebooks": "notebooks"},
)
