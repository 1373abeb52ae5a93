"""`critic_foresight`: the figure quotes what the critics explain."""

import statistics

from rllab.course.experiments import critic_foresight, recorded_result
from rllab.course.experiments.critic_foresight import ARMS, FITTED
from rllab.plots.text import fixed


def test_the_figure_quotes_the_quarters_and_every_critic() -> None:
    result = recorded_result(critic_foresight, size="tales")
    picture = critic_foresight.explained_by_position(result)
    drawn = picture.figure.data[0].y
    assert drawn[0] == statistics.median(critic.explained[0] for critic in result.of(FITTED))
    assert picture.outcome == max(drawn) - drawn[0] > 0
    overall = [statistics.median(critic.overall for critic in result.of(arm)) for arm in ARMS]
    assert all(fixed(explained) in picture.words for explained in (drawn[0], max(drawn), *overall))
