"""A job whose view is gone: its store comes into the catalog all the same."""

from types import SimpleNamespace

import panel as pn
from fluxlens.app.session.explorer import Explorer


def test_a_finished_job_is_added_once_and_no_longer_polled(monkeypatch):
    polling = SimpleNamespace(checks=[], stopped=0)

    def start(check, period):
        polling.checks.append(check)
        polling.stop = lambda: setattr(polling, "stopped", polling.stopped + 1)
        return polling

    monkeypatch.setattr(pn.state, "add_periodic_callback", start)
    added = []
    session = SimpleNamespace(add_result=added.append)
    job = SimpleNamespace(active=True, state="running")
    Explorer.await_job(session, job)
    (check,) = polling.checks
    check()
    assert added == []
    assert polling.stopped == 0
    job.active, job.state = False, "done"
    check()
    assert added == [job]
    assert polling.stopped == 1
