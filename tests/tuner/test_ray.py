"""Trials on Ray: processes and machines that are lost, what travels, and what Ray leaves alone."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
from tiny import comparable, run_search

from keras_rnn_zoo.errors import MissingExtraError, SearchError
from keras_rnn_zoo.tuner.engines import ENGINES, _ray_task, ray
from keras_rnn_zoo.tuner.trials.job import CHECKPOINT, Ended, Job, Progress

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed"
)

HERE = Path(__file__).parent
DATA = {"numbers": {"x_train": np.arange(100_000, dtype=np.float32)}}
PATIENCE = 120  # seconds, for what takes one: a test that waits longer has hung


def make_job(trial_id, parent=None, **config):
    """A job for `runners.run`, which does what the config says."""
    return Job(
        trial_id=trial_id,
        model="none",
        config={key: str(v) if isinstance(v, Path) else v for key, v in config.items()},
        learning_rate=0.1,
        seed=0,
        epochs=1,
        initial_epoch=0,
        batch_size=1,
        patience=None,
        objective=("val_loss", "min"),
        data="numbers",
        parent=parent,
    )


def until(done):
    """Waits until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.05)


class Trials:
    """Jobs that run in an engine, and what it said of them."""

    def __init__(self, engine, *jobs):
        self.engine = engine
        self.outcomes = {}
        self.said = []
        self.jobs = jobs
        for job in jobs:
            engine.submit(job)

    def until(self, done):
        """Listens until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, f"in vain: {self.outcomes}, {self.said}"
            for event in self.engine.wait(0.05):
                if isinstance(event, Ended):
                    assert event.trial_id not in self.outcomes
                    self.outcomes[event.trial_id] = event.outcome
                else:
                    self.said.append(event)

    def finish(self):
        """Listens until all ended; returns the outcomes in the order of the jobs."""
        self.until(lambda: len(self.outcomes) == len(self.jobs))
        return [self.outcomes[job.trial_id] for job in self.jobs]


def runs(mark):
    """`(process, node)` of each time that a trial was begun."""
    lines = mark.read_text().splitlines() if mark.exists() else []
    return [(int(line.split()[0]), line.split()[1]) for line in lines]


def descendants(root):
    """The processes that come of one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    found, fresh = set(), {root}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh}
        found |= fresh
    return found


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def listening(pids):
    """Addresses that processes listen at, in the kernel's hexadecimal, with their processes."""
    owners = {}
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                match = re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink()))
            except OSError:
                continue
            if match:
                owners[match[1]] = pid
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in owners:
                found.append((fields[1].partition(":")[0], owners[fields[9]]))
    return found


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("trials")


@pytest.fixture(scope="module")
def place(directory):
    def place(trial_id):
        path = directory / trial_id
        path.mkdir(exist_ok=True)
        return path

    return place


@pytest.fixture(scope="module")
def local(place):
    """An engine with a Ray of its own."""
    with ENGINES.get("ray")(2, DATA, place, runner="runners:run") as engine:
        yield engine


@contextlib.contextmanager
def started_cluster():
    """Address of a cluster of four nodes, and a connection that takes the id of one to remove."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # nodes at 127.0.0.1
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 2)
        ours, its = Pipe()
        python = [sys.executable, "-m", "keras_rnn_zoo.tuner.engines._reaper", sys.executable]
        process = subprocess.Popen(
            [*python, str(HERE / "ray_cluster.py"), str(its.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
        )
        its.close()
        try:
            yield ours.recv(), ours
        finally:
            ours.close()
            process.stdin.close()
            process.wait()


@pytest.fixture(scope="module")
def cluster():
    """A cluster for all tests; two of them take a node each from it."""
    with started_cluster() as found:
        yield found


# ------------------------------------------------------------------------------ without Ray


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch, place):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'keras-rnn-zoo\[ray\]'") as error:
        ENGINES.get("ray")(1, DATA, place)
    assert "\n" not in str(error.value)


def test_the_engine_is_known_without_importing_ray():
    program = (
        "import sys; from keras_rnn_zoo.tuner.engines import ENGINES; ENGINES.get('ray'); "
        "assert not {'ray', 'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


class NoMailbox:
    def __getattr__(self, name):
        return self

    def remote(self, *args):
        pass


def test_a_machine_with_another_version_says_so(tmp_path):
    job = make_job("1", marks=tmp_path / "mark").to_dict()
    args = ([], "runners:run", job, DATA["numbers"], None, NoMailbox(), ("1", 0))
    outcome, checkpoint = _ray_task.run("0.0.0", *args)
    assert (outcome["status"], checkpoint) == ("failed", None)
    assert "the search has 0.0.0: install the same" in outcome["message"]
    assert not (tmp_path / "mark").exists()


@needs_ray
@pytest.mark.parametrize("address", ["", "nowhere", "host:", "host:x", "ray://host", ":6379"])
def test_what_is_no_address_is_refused(address, place):
    with pytest.raises(SearchError, match=r"no address of a Ray cluster.*'host:6379'"):
        ENGINES.get("ray")(1, DATA, place, address=address)


@needs_ray
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_listens_is_an_error(scheme, place):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SearchError, match=f"No Ray cluster answers at {address}"):
            ENGINES.get("ray")(1, DATA, place, address=address)


@needs_ray
def test_something_else_that_listens_is_an_error_too(place, monkeypatch):
    monkeypatch.setattr(ray, "_START_SECONDS", 1)
    before = descendants(os.getpid())
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(SearchError, match=f"the Ray cluster at {address} does not answer"):
            ENGINES.get("ray")(1, DATA, place, address=address)
    assert descendants(os.getpid()) <= before


# ------------------------------------------------------------------- a Ray of this machine


@needs_ray
def test_a_trial_whose_process_is_killed_runs_again(local, tmp_path, capfd):
    killed, other, go_on = tmp_path / "killed", tmp_path / "other", tmp_path / "go on"
    trials = Trials(
        local,
        make_job("1", hangs="first", marks=killed),
        make_job("2", until=go_on, marks=other),
    )
    trials.until(lambda: runs(killed) and runs(other))
    os.kill(runs(killed)[0][0], signal.SIGKILL)
    trials.until(lambda: len(runs(killed)) == 2)
    go_on.touch()
    first, second = trials.finish()
    assert (first.status, second.status) == ("completed", "completed")
    assert first.metrics["pid"] == runs(killed)[1][0] != runs(killed)[0][0]
    assert len(runs(other)) == 1
    assert second.metrics["sum"] == float(DATA["numbers"]["x_train"].sum())
    assert second.history == {"loss": [1.0, 0.5]}
    assert Progress("1", "lost, and started again") in trials.said
    assert capfd.readouterr() == ("", "")


@needs_ray
def test_a_trial_that_always_kills_its_process_fails_alone(local, tmp_path):
    mark = tmp_path / "mark"
    dead = make_job("1", dies=True, marks=mark)
    outcome, other = Trials(local, dead, make_job("2")).finish()
    assert outcome.status == "failed"
    assert outcome.message.startswith("it was lost 4 times: The worker died unexpectedly")
    assert "\n" not in outcome.message
    assert len(runs(mark)) == 4
    assert other.status == "completed"


@needs_ray
@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"raises": "no\nway"}, "ValueError: no way"),
        ({"exits": 3}, "SystemExit: 3"),
        ({"fails": "no such model"}, "no such model"),
    ],
)
def test_a_trial_that_fails_by_itself_is_not_run_again(local, tmp_path, config, says):
    mark = tmp_path / "mark"
    (outcome,) = Trials(local, make_job("1", marks=mark, **config)).finish()
    assert (outcome.status, outcome.message) == ("failed", says)
    assert len(runs(mark)) == 1


@needs_ray
def test_every_trial_has_a_process_of_its_own(local, tmp_path):
    Trials(local, make_job("1", marks=tmp_path / "1"), make_job("2", marks=tmp_path / "2")).finish()
    Trials(local, make_job("3", marks=tmp_path / "3"), make_job("4", marks=tmp_path / "4")).finish()
    assert len({runs(tmp_path / name)[0][0] for name in "1234"}) == 4


@needs_ray
def test_checkpoints_travel_there_and_back(local, place):
    # More than Ray sends along with an answer.
    Trials(local, make_job("first", writes="a" * 300_000)).finish()
    assert (place("first") / CHECKPOINT).read_text() == "a" * 300_000
    Trials(local, make_job("second", parent="first", writes="b")).finish()
    assert (place("second") / CHECKPOINT).read_text() == "a" * 300_000 + "b"
    assert [path.name for path in place("second").iterdir()] == [CHECKPOINT]


@needs_ray
def test_a_running_trial_says_how_far_it_is(local, tmp_path):
    go_on = tmp_path / "go on"
    trials = Trials(local, make_job("1", reports=["epoch 1/2", "epoch 2/2"], until=go_on))
    trials.until(lambda: Progress("1", "epoch 2/2") in trials.said)
    assert not trials.outcomes
    go_on.touch()
    trials.finish()
    # The first word may be overtaken, and is not worth saying then.
    assert trials.said[-1] == Progress("1", "epoch 2/2")


@needs_ray
def test_ctrl_c_gets_through_and_is_not_for_the_trials(local, tmp_path):
    mark, go_on = tmp_path / "mark", tmp_path / "go on"
    trials = Trials(local, make_job("1", marks=mark, until=go_on))
    trials.until(lambda: runs(mark))
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        trials.until(lambda: False)
    go_on.touch()
    (outcome,) = trials.finish()
    assert (outcome.status, len(runs(mark))) == ("completed", 1)


@needs_ray
def test_ray_listens_on_loopback_only_and_reports_nothing(local):
    ours = descendants(os.getpid())
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in ours}
    servers = [pid for pid, command in commands.items() if b"gcs_server" in command]
    assert servers
    addresses = listening(ours)
    assert {pid for _, pid in addresses} >= set(servers)
    # 127.0.0.1, as it is and as the IPv6 table writes it; ::1.
    loopback = {
        "0100007F",
        "0000000000000000FFFF00000100007F",
        "00000000000000000000000001000000",
    }
    assert {address for address, _ in addresses} <= loopback
    dashboards = {pid for pid, command in commands.items() if b"dashboard.py" in command}
    assert not dashboards & {pid for _, pid in addresses}
    for server in servers:
        environment = Path(f"/proc/{server}/environ").read_bytes().split(b"\0")
        assert b"RAY_USAGE_STATS_ENABLED=0" in environment


# --------------------------------------------------------------------------------- ends


@needs_ray
def test_nothing_outlives_a_search_that_is_killed(tmp_path):
    mark = tmp_path / "mark"
    program = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(HERE)!r}]
from test_ray import DATA, ENGINES, make_job
engine = ENGINES.get("ray")(1, DATA, Path, runner="runners:run")
engine.submit(make_job("1", marks={str(mark)!r}, hangs="always"))
while True:
    engine.wait(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        until(lambda: runs(mark) or process.poll() is not None)
        left = descendants(process.pid)
        assert {pid for pid, _ in runs(mark)} <= left
    finally:
        process.kill()
        process.wait()
    until(lambda: not any(is_alive(pid) for pid in left))


@needs_ray
def test_closing_ends_everything_and_leaves_no_files(place, tmp_path):
    before, files = descendants(os.getpid()), set(Path("/tmp").glob("krz-*"))
    mark = tmp_path / "mark"
    engine = ENGINES.get("ray")(1, DATA, place, runner="runners:run")
    Trials(engine, make_job("1", marks=mark, hangs="always")).until(lambda: runs(mark))
    came = descendants(os.getpid()) - before
    assert runs(mark)[0][0] in came
    engine.close()
    engine.close()
    assert not [pid for pid in came if is_alive(pid)]
    assert set(Path("/tmp").glob("krz-*")) <= files


# ----------------------------------------------------------------------- a cluster


@needs_ray
def test_a_trial_over_its_time_fails_and_is_not_run_again(cluster, place, tmp_path):
    marks = [tmp_path / "1", tmp_path / "2"]
    with ENGINES.get("ray")(
        2, DATA, place, timeout=1.0, address=cluster[0], runner="runners:run"
    ) as engine:
        outcomes = Trials(
            engine,
            make_job("1", marks=marks[0], hangs="always"),
            make_job("2", marks=marks[1], hangs="in C"),
        ).finish()
        assert [outcome.message for outcome in outcomes] == ["it took longer than 1 s"] * 2
        # Their processors are free again.
        until(lambda: not any(is_alive(runs(mark)[0][0]) for mark in marks))
    assert [len(runs(mark)) for mark in marks] == [1, 1]


@needs_ray
def test_a_cluster_outlives_the_search_but_its_trials_do_not(cluster, place, tmp_path):
    mark = tmp_path / "mark"
    with ENGINES.get("ray")(2, DATA, place, address=cluster[0], runner="runners:run") as engine:
        Trials(engine, make_job("1", marks=mark, hangs="always")).until(lambda: runs(mark))
    until(lambda: not is_alive(runs(mark)[0][0]))
    with ENGINES.get("ray")(2, DATA, place, address=cluster[0], runner="runners:run") as engine:
        (outcome,) = Trials(engine, make_job("2")).finish()
    assert outcome.status == "completed"


@needs_ray
def test_trials_of_a_node_that_is_gone_run_elsewhere(cluster, place, tmp_path):
    address, connection = cluster
    marks, go_on = [tmp_path / "1", tmp_path / "2"], tmp_path / "go on"
    with ENGINES.get("ray")(2, DATA, place, address=address, runner="runners:run") as engine:
        trials = Trials(
            engine,
            make_job("1", marks=marks[0], hangs="first", writes="one"),
            make_job("2", marks=marks[1], until=go_on, writes="two"),
        )
        trials.until(lambda: all(runs(mark) for mark in marks))
        gone, stays = (runs(mark)[0][1] for mark in marks)
        assert gone != stays
        connection.send(gone)
        assert connection.recv() == "removed"
        go_on.touch()
        outcomes = trials.finish()
    assert [outcome.status for outcome in outcomes] == ["completed", "completed"]
    assert [node for _, node in runs(marks[0])] == [gone, stays]
    assert len(runs(marks[1])) == 1
    assert [(place(name) / CHECKPOINT).read_text() for name in "12"] == ["one", "two"]


# ------------------------------------------------------------------------- a whole search


HELD = """
from pathlib import Path
import {module}

def held(*job):
    return {module}.held(Path(__file__).parent, *job)
"""


def lose(cluster, place, module, search, **options):
    """Has a search lose a process and a machine, and checks that it did.

    Its two first trials are held until one was killed and the node of the other removed.
    """
    address, connection = cluster
    (place / "hold_trials.py").write_text(HELD.format(module=module))
    mark, failures = place / "runs", []

    def disturb():
        try:
            until(lambda: len(runs(mark)) == 2)
            (killed, _), (_, gone) = runs(mark)
            os.kill(killed, signal.SIGKILL)
            connection.send(gone)
            assert connection.recv() == "removed"
            until(lambda: len(runs(mark)) >= 3)
        except BaseException as error:
            failures.append(error)
        finally:
            (place / "go on").touch()

    disturber = threading.Thread(target=disturb)
    disturber.start()
    engine_options = {"address": address, **options.pop("engine_options", {})}
    search(output=place / "ray", engine="ray", engine_options=engine_options, workers=2, **options)
    disturber.join()
    assert not failures
    assert len(runs(mark)) == 5  # both that were lost, again


@needs_ray
def test_a_search_answers_the_same_on_ray_and_on_this_machine(cluster, tmp_path):
    arguments = {"tuner": "grid", "max_trials": 1}
    run_search(
        output=tmp_path / "ray", engine="ray", engine_options={"address": cluster[0]}, **arguments
    )
    run_search(output=tmp_path / "local", **arguments)
    assert comparable(tmp_path / "ray") == comparable(tmp_path / "local")


# Its trials train nothing: what an engine does about a loss has nothing to do with what is lost.
@needs_ray
def test_a_search_goes_on_when_a_process_and_a_machine_are_lost(
    cluster, instant_search, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    arguments = {"tuner": "grid", "max_trials": 3}
    options = {"runner": "hold_trials:held"}
    lose(cluster, tmp_path, "runners", instant_search, engine_options=options, **arguments)
    instant_search(output=tmp_path / "undisturbed", **arguments)
    assert comparable(tmp_path / "ray") == comparable(tmp_path / "undisturbed")


@needs_ray
@pytest.mark.slow
def test_a_search_that_trains_goes_on_when_a_process_and_a_machine_are_lost(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    arguments = {"tuner": "grid", "max_trials": 3}
    with started_cluster() as found:
        held = {"callbacks": "hold_trials:held"}
        lose(found, tmp_path, "trial_hooks", run_search, **held, **arguments)
    run_search(output=tmp_path / "local", **arguments)
    assert comparable(tmp_path / "ray") == comparable(tmp_path / "local")
