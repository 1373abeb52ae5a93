"""Exercises that are checked against truth, with a reason for every wrong answer; nothing leaves the machine."""

from rllab.exercises.attempt import Attempt as Attempt
from rllab.exercises.library import exercise_named as exercise_named
from rllab.exercises.library import exercises as exercises
from rllab.exercises.progress import Progress as Progress
from rllab.exercises.progress import overview as overview
from rllab.exercises.records import Exercise as Exercise
from rllab.exercises.records import Verdict as Verdict
