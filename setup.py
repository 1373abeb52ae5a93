"""Map data/ and notebooks/ into the package, which pyproject.toml cannot do next to packages that are found."""

from setuptools import find_namespace_packages, setup

data = ["rllab.data", *(f"rllab.data.{folder}" for folder in find_namespace_packages("data"))]
setup(
    packages=[
        *find_namespace_packages(include=["rllab", "rllab.*"], exclude=["*__pycache__*"]),
        *data,
        "rllab.notebooks",
    ],
    package_dir={"rllab.data": "data", "rllab.notebooks": "notebooks"},
)
