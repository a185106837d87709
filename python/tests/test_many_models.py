"""A short form of scenarios/many_models.py."""

from pathlib import Path

from salver_testing.many_models import Options, play


def test_two_broken_models_are_reported_and_changes_lose_no_request(tmp_path: Path) -> None:
    outcome = play(tmp_path, Options(num_models=12, num_changes=4))
    print(*outcome.lines, sep="\n")
    assert not outcome.problems, "\n".join(outcome.problems)
