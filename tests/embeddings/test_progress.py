"""Long work is a generator: run to its end, reported, cancelled between two steps."""

import pytest
from fluxlens.embeddings.progress import Progress, relay, run


def work(log, steps=3):
    try:
        for i in range(steps):
            yield Progress("working", i / steps)
        return "done"
    finally:
        log.append("closed")


def test_work_is_run_to_its_end_and_its_progress_reported():
    log, reported = [], []
    assert run(work(log), reported.append) == "done"
    assert [step.fraction for step in reported] == [0, 1 / 3, 2 / 3]
    message, fraction = reported[0]
    assert (message, fraction) == ("working", 0)
    assert log == ["closed"]


def test_what_a_report_raises_cancels_the_work():
    log = []

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(work(log), stop)
    assert log == ["closed"]


def test_a_report_that_ends_an_iteration_of_its_own_is_not_taken_for_the_end():
    def stop(step):
        next(iter([]))

    with pytest.raises(StopIteration):
        run(work([]), stop)


def test_work_may_be_told_in_other_words_and_is_closed_with_its_relay():
    log = []
    steps = relay(work(log), lambda step: Progress(f"part 2: {step.message}", 0.5 + step.fraction / 2))
    assert next(steps) == ("part 2: working", 0.5)
    steps.close()
    assert log == ["closed"]
    assert run(relay(work(log), lambda step: step)) == "done"
