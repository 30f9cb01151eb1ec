"""Reports go to the database in batches of bounded weight."""

from __future__ import annotations

from hydra_resolver.loop.batches import MOST_REPORTS, in_batches


def test_nothing_is_left_out_and_the_order_is_kept() -> None:
    reports = [{"lease": number, "inputs": [{}] * (number % 7)} for number in range(500)]
    batches = list(in_batches(reports))
    assert [report for batch in batches for report in batch] == reports
    assert all(len(batch) <= MOST_REPORTS for batch in batches)


def test_many_inputs_make_a_batch_of_their_own() -> None:
    large = {"lease": 1, "samples": [[]] * 4000}
    assert [len(batch) for batch in in_batches([large, {"lease": 2}, large])] == [1, 1, 1]


def test_nothing_makes_no_batch() -> None:
    assert list(in_batches([])) == []
