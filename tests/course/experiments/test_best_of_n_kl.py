"""`best_of_n_kl`: the figure quotes the bound and what few answers fall short of it."""

from rllab.course.experiments import best_of_n_kl, recorded_result


def test_few_answers_are_far_below_the_bound() -> None:
    picture = best_of_n_kl.best_of_kl(recorded_result(best_of_n_kl))
    assert "the bound is 1.835 nats" in picture.words
    assert "with 2 answers only 0.693" in picture.words
