"""Reports go to the database in batches of limited weight."""

from __future__ import annotations

from hydra_resolver.loop.batches import BATCH_SECONDS, MOST_IF_QUICK, MOST_REPORTS, Batches, in_batches


def test_batches_contain_every_report_in_order() -> None:
    parts = [
        [{"lease": [size, number], "inputs": [{"outputs": []}] * number} for number in range(size)]
        for size in range(30)
    ]
    batches = list(in_batches(parts))
    assert [report for batch in batches for report in batch] == [report for part in parts for report in part]
    assert all(len(batch) <= MOST_REPORTS for batch in batches)


def test_small_parts_share_a_batch_and_large_parts_are_cut() -> None:
    def parts(*sizes: int) -> list[list[dict[str, int]]]:
        return [[{"lease": number} for number in range(size)] for size in sizes]

    assert [len(batch) for batch in in_batches(parts(7, 7, 7, 19, 1, 1))] == [14, 7, 20, 1]
    assert [len(batch) for batch in in_batches(parts(3, 45, 2))] == [3, 20, 20, 7]


def test_a_report_with_many_inputs_is_a_batch_of_its_own() -> None:
    large = {"lease": 1, "samples": [[]] * 4000}
    assert [len(batch) for batch in in_batches([[large, {"lease": 2}, large]])] == [1, 1, 1]


def test_a_report_with_many_outputs_of_one_input_is_a_batch_of_its_own() -> None:
    large = {"lease": 1, "inputs": [{"drv": "a", "outputs": [str(number) for number in range(4000)]}]}
    assert [len(batch) for batch in in_batches([[large, {"lease": 2}, large]])] == [1, 1, 1]


def test_no_reports_make_no_batch() -> None:
    assert list(in_batches([])) == []


def test_batches_grow_while_the_database_is_quick_and_shrink_when_it_is_slow() -> None:
    batches = Batches()
    reports = [{"lease": number} for number in range(1000)]

    def first_batch() -> list[dict[str, int]]:
        return next(batches.of([reports]))

    assert len(first_batch()) == MOST_REPORTS
    batches.took(first_batch(), BATCH_SECONDS / 2)
    assert len(first_batch()) == 2 * MOST_REPORTS
    batches.took(first_batch(), 0.0)
    assert len(first_batch()) == MOST_IF_QUICK
    batches.took(first_batch(), 10 * BATCH_SECONDS)
    assert len(first_batch()) == MOST_REPORTS
