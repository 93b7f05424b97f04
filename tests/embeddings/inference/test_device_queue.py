"""The queue for a device: turns go round among sessions, and whoever leaves frees it at once."""

import threading

import pytest
from fluxlens.embeddings.inference.device_queue import SESSION, Queue


def start(queue: Queue, session: str, work, items) -> threading.Thread:
    def run() -> None:
        SESSION.set(session)
        list(queue.map(work, items))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_turns_go_round_among_sessions_whoever_asked_first_and_most():
    queue, gate, begun, done = Queue(1), threading.Event(), threading.Event(), []

    def work(item):
        begun.set()
        gate.wait()
        done.append(item)
        yield

    threads = [start(queue, "a", work, [f"a{i}" for i in range(6)])]
    begun.wait()
    threads.append(start(queue, "a", work, ["a6"]))  # a second question of the same session
    threads.append(start(queue, "b", work, ["b0", "b1"]))
    while sum(map(len, queue._pending.values())) < 8:
        pass
    gate.set()
    for thread in threads:
        thread.join()
    assert done == ["a0", "a1", "b0", "a2", "b1", "a3", "a4", "a5", "a6"]


def test_who_leaves_frees_the_device_in_the_middle_of_a_job():
    queue = Queue(1)

    def endless(item):
        while True:
            yield

    def short(item):
        yield

    leaving = queue.map(endless, ["a", "b"])
    next(leaving)  # under way, not done
    leaving.close()
    list(queue.map(short, [0]))


def test_an_error_reaches_who_asked_and_the_queue_goes_on():
    queue = Queue(2)

    def work(item):
        if item == 1:
            raise ValueError("one")
        yield

    with pytest.raises(ValueError, match="one"):
        list(queue.map(work, [0, 1, 2]))
    list(queue.map(work, [0, 2]))


def test_a_question_without_items_costs_no_thread():
    queue = Queue(1)
    assert list(queue.map(pytest.fail, [])) == []
    list(queue.map(lambda item: iter([None]), [0]))
    assert list(queue.map(pytest.fail, [])) == []
    assert [thread.is_alive() for thread in queue._threads] == [True]
