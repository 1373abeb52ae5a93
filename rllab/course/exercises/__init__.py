"""Exercises that are checked against truth, with a reason for every wrong answer; nothing leaves the machine."""

from rllab.course.exercises.attempt import Attempt as Attempt
from rllab.course.exercises.library import exercise_named as exercise_named
from rllab.course.exercises.library import exercises as exercises
from rllab.course.exercises.progress import Progress as Progress
from rllab.course.exercises.progress import overview as overview
from rllab.course.exercises.records import Exercise as Exercise
from rllab.course.exercises.records import Verdict as Verdict
