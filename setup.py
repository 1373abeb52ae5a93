"""Map data/ and notebooks/ into the package, which pyproject.toml cannot do next to packages that are found."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["rllab", "rllab.*"]), "rllab.data", "rllab.notebooks"],
    package_dir={"rllab.data": "data", "rllab.notebooks": "notebooks"},
)
