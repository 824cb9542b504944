"""A process that answers requests may die, hang or answer nonsense; the parent says so."""

from __future__ import annotations

import gc
import os
import signal

import pytest

from keras_rnn_zoo.child import Child, ChildEnded, ChildHangs

ECHO = (
    "from keras_rnn_zoo.child import claim_stdout, serve; stream = claim_stdout(); "
    "print('a library is talking'); serve(stream, lambda request: request)"
)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_answers_come_in_order_and_what_is_printed_is_no_answer():
    child = Child(["-c", ECHO])
    for number in range(3):
        assert child.ask({"number": number}, 60) == {"number": number}
    child.end()


def test_a_long_answer_arrives_whole():
    child = Child(["-c", ECHO])
    request = {"text": "x" * 1_000_000}
    assert child.ask(request, 60) == request
    child.end()


@pytest.mark.parametrize(
    "script, code, said",
    [
        ("import os; input(); os.abort()", -signal.SIGABRT, ""),
        ("import sys; input(); sys.exit('goodbye')", 1, "goodbye"),
        ("input(); print('{no JSON', flush=True); input()", -signal.SIGKILL, ""),
        # Without an answer it is of no use, even if it lives.
        ("import os, time; input(); os.close(1); time.sleep(600)", -signal.SIGKILL, ""),
    ],
    ids=["crash", "exit", "nonsense", "silence"],
)
def test_an_end_is_told_with_its_code_and_last_words(script, code, said, monkeypatch):
    monkeypatch.setattr("keras_rnn_zoo.child._SECONDS_TO_END", 0.2)
    child = Child(["-c", script])
    with pytest.raises(ChildEnded) as caught:
        child.ask({}, 60)
    assert (caught.value.code, caught.value.said) == (code, said)
    assert not child.running


def test_what_hangs_is_killed():
    child = Child(["-c", "import sys, time; input(); sys.stderr.write('hm'); time.sleep(600)"])
    with pytest.raises(ChildHangs) as caught:
        child.ask({}, 2.0)
    assert caught.value.said == "hm"
    assert not child.running and gone(child.pid)


def test_it_ends_with_the_object_but_not_with_that_of_a_fork():
    child = Child(["-c", ECHO])
    child.ask({}, 60)
    pid = os.fork()
    if not pid:
        child.end()
        os._exit(0)
    os.waitpid(pid, 0)
    assert child.ask({"still": "here"}, 60) == {"still": "here"}
    number = child.pid
    del child
    gc.collect()
    assert gone(number)


def test_grace_lets_it_end_by_itself(tmp_path):
    flag = tmp_path / "flag"
    script = f"import pathlib, sys; sys.stdin.read(); pathlib.Path({str(flag)!r}).touch()"
    child = Child(["-c", script], grace=60.0)
    child.end()
    assert flag.exists()
