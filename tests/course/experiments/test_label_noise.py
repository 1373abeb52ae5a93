"""`label_noise`: the figure quotes the run and names where it ends."""

from rllab.course.experiments import label_noise, recorded_result
from rllab.course.experiments.label_noise import NOISES


def test_the_picture_quotes_the_run_and_names_where_it_ends() -> None:
    result = recorded_result(label_noise)
    picture = label_noise.accuracy_by_pairs(result)
    assert picture.outcome == "ceiling"
    accuracy, ceiling, gold = result.mean(NOISES[-1], result.pairs[-1])
    assert accuracy < ceiling < gold - 0.05  # better than the labels that it was fitted to
    assert all(f"{share:.0%}" in picture.words for share in (accuracy, ceiling, gold))
    drawn = [list(trace.y) for trace in picture.figure.data]
    assert [100 * result.mean(NOISES[0], pairs)[0] for pairs in result.pairs] in drawn
