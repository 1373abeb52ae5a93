"""Exercises that are checked against truth, with a reason for every wrong answer; nothing leaves the machine."""

from rllab.course.exercises.content import exercise_named as exercise_named
from rllab.course.exercises.content import exercises as exercises
from rllab.course.exercises.grading import Exercise as Exercise
from rllab.course.exercises.grading import Verdict as Verdict
from rllab.course.exercises.progress import Attempt as Attempt
from rllab.course.exercises.progress import Progress as Progress
from rllab.course.exercises.progress import overview as overview
