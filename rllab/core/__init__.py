"""What every room builds on: settings, errors, jobs, files, notation, and the records that flow through the lab.

The records (`rllab.core.records`) need torch, so they are not imported here.
"""

from rllab.core.config import Config
from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import NO_JOB, Job

__all__ = ["NO_JOB", "Config", "Job", "LabError", "Stopped"]
