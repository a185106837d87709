"""A short form of scenarios/hot_swap.py."""

from pathlib import Path

from salver_testing.hot_swap import Options, run


def test_no_request_fails_while_versions_come_and_go(tmp_path: Path) -> None:
    short = Options(seconds=6.0, weight_bytes=1024 * 1024, poll_seconds=0.1, fresh_seconds=0.5, settle_seconds=0.1)
    outcome = run(tmp_path, short)
    print(outcome)
    assert outcome.report.num_failures == 0, outcome
    assert not outcome.problems(), outcome
