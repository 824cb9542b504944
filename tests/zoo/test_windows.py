"""Windows of logs: where they are cut, what they are asked, and which are held out."""

import numpy as np
import pytest

from keras_rnn_zoo.data import hold_out, load_data, load_inputs, windows
from keras_rnn_zoo.data.holding_out import rows_held_out
from keras_rnn_zoo.data.tables.times import breaks, seconds_of
from keras_rnn_zoo.errors import ConfigError, DataError


def log(rows=60, **columns):
    return {
        "value": np.arange(float(rows)),
        "label": ["a"] * (rows // 2) + ["b"] * (rows // 2),
    } | columns


def test_a_window_has_the_most_frequent_label_the_last_or_one_a_step():
    table = log(12)
    data = windows(table, value_columns="value", window=4, stride=3)
    np.testing.assert_array_equal(data.train.x[:, 0, 0], [0, 3, 6])
    assert data.train.y == ["a", "a", "b"]
    assert windows(table, value_columns="value", window=4, stride=3, label_at="last").train.y == [
        "a",
        "b",
        "b",
    ]
    steps = windows(table, value_columns="value", window=4, stride=3, label_at="step")
    assert steps.train.y[1] == ["a", "a", "a", "b"] and steps.task == "sequence_labelling"


def test_the_values_are_all_numbers_but_the_label_the_time_and_the_recording():
    table = log(40, time=np.arange(40), person=["x"] * 40, other=np.ones(40))
    data = windows(table, window=10, time_column="time", id_column="person")
    assert data.description["value_columns"] == ["value", "other"]
    assert data.train.x.shape[1:] == (10, 2) and data.train.x.dtype == np.float32


def test_a_forecast_asks_for_what_comes_after_and_has_answers_without_a_model():
    data = windows({"v": np.arange(40.0), "w": -np.arange(40.0)}, window=6, horizon=2, period=3)
    assert data.task == "regression" and data.train.y.shape == (33, 4)
    np.testing.assert_array_equal(data.train.y[0], [6, -6, 7, -7])
    np.testing.assert_array_equal(data.train.naive["last value"][0], [5, -5, 5, -5])
    np.testing.assert_array_equal(data.train.naive["seasonal"][0], [3, -3, 4, -4])
    one = windows({"v": np.arange(40.0), "w": np.ones(40)}, window=6, horizon=1, label_column="v")
    assert one.train.y.shape == (34, 1) and one.train.x.shape[2] == 2


def test_no_window_reaches_over_a_gap_a_hole_or_into_another_recording():
    time = np.concatenate([np.arange(20), np.arange(20) + 100.0])
    table = {"v": np.arange(40.0), "t": time, "label": ["a", "b"] * 20}
    data = windows(table, value_columns="v", time_column="t", window=5, stride=1)
    assert len(data.train) == 32
    assert "1 gap in time" in " ".join(data.notes)
    holes = windows({**table, "v": np.where(np.arange(40) == 30, np.nan, table["v"])}, **KEYS)
    assert not np.isnan(np.concatenate([row.ravel() for row in holes.train.x])).any()
    assert "1 row lacks a value" in " ".join(holes.notes)
    for start in (np.asarray(row)[0, 0] for row in holes.train.x):
        assert not any(start <= place < start + 5 for place in (30,))
        assert not start < 20 <= start + 4
    two = windows(
        {"v": np.arange(40.0), "who": [1, 2] * 20, "label": ["a", "b"] * 20},
        value_columns="v",
        id_column="who",
        window=5,
        stride=5,
    )
    np.testing.assert_array_equal(two.train.x[0][:, 0], [0, 2, 4, 6, 8])
    assert two.train.y[0] == "a" and two.train.y[-1] == "b"


KEYS = {"value_columns": "v", "time_column": "t", "window": 5, "stride": 1}


def test_rows_are_put_in_the_order_of_their_times():
    order = np.random.default_rng(0).permutation(30)
    table = {"v": np.arange(30.0)[order], "t": np.arange(30)[order]}
    data = windows(table, value_columns="v", time_column="t", window=4, horizon=1)
    np.testing.assert_array_equal(data.train.y[:, 0], np.arange(4, 30))
    assert "not in order" in " ".join(data.notes)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["2015-02-04 17:51:00", "2015-02-04 17:51:30"], 30),
        (["2015-02-04T17:51:00Z", "2015-02-04T18:51:00+00:00"], 3600),
        (["1949-01", "1949-02"], 31 * 86400),
        (["31/01/2026 10:00", "01/02/2026 10:00"], 86400),
        (["01/31/2026", "02/01/2026"], 86400),
        (["04.02.2026 10:00:00", "05.02.2026 10:00:00"], 86400),
        (["10", "12.5"], 2.5),
    ],
)
def test_times_are_read_as_people_write_them(texts, expected):
    assert float(np.diff(seconds_of(texts, "t"))[0]) == expected


def test_times_that_can_be_read_in_two_ways_are_asked_about():
    with pytest.raises(DataError, match="--time-format"):
        seconds_of(["01/02/2026", "03/04/2026"], "t")
    assert np.diff(seconds_of(["01/02/2026", "03/04/2026"], "t", "%d/%m/%Y"))[0] == 61 * 86400
    with pytest.raises(DataError, match="'soon' in t is no time"):
        seconds_of(["2026-01-01", "soon"], "t")


def test_months_have_no_gaps_and_uneven_steps_cannot_tell_any():
    months = seconds_of([f"{1949 + m // 12}-{m % 12 + 1:02}" for m in range(48)], "t")
    assert len(breaks(months)) == 0
    assert len(breaks(np.delete(months, 20))) == 1
    assert len(breaks(np.cumsum(np.random.default_rng(0).exponential(5, 500)))) == 0


@pytest.mark.parametrize("way", ["time", "random", "group"])
@pytest.mark.parametrize("stride", [1, 5, 20])
def test_windows_that_overlap_never_stand_on_both_sides(way, stride):
    rows = 3000
    table = {
        "v": np.arange(float(rows)),
        "who": np.repeat(np.arange(6), 500),
        "label": ["a", "b"] * 1500,
    }
    data = windows(table, value_columns="v", id_column="who", window=10, stride=stride)
    kept, held = rows_held_out(data.train, 0.2, 3, way)
    seen = [
        set(np.concatenate([np.asarray(data.train.x[i])[:, 0] for i in side]))
        for side in (kept, held)
    ]
    assert not seen[0] & seen[1]
    assert 0.1 < len(held) / (len(held) + len(kept)) < 0.35
    if way == "group":
        who = [{int(v) // 500 for v in side} for side in seen]
        assert not who[0] & who[1]


@pytest.mark.parametrize("way", ["time", "random"])
def test_what_is_forecast_when_held_out_is_never_read_in_training(way):
    data = windows({"v": np.arange(600.0)}, window=12, horizon=3)
    kept, held = rows_held_out(data.train, 0.2, 0, way)
    asked = set(data.train.y[held].ravel())
    read = set(np.concatenate([data.train.x[i].ravel() for i in kept])) | set(
        data.train.y[kept].ravel()
    )
    assert len(held) and len(kept) > 200 and not asked & read


def test_other_recordings_are_held_out_where_there_are_enough():
    table = {"v": np.arange(600.0), "who": np.repeat(np.arange(6), 100), "label": ["a", "b"] * 300}
    data = windows(table, value_columns="v", id_column="who", window=10)
    tested = hold_out(data, 0.3, seed=1)
    assert data.split == "group" and tested.description["held_out"]["split"] == "group"
    assert not set(tested.train.spans.recording) & set(tested.test.spans.recording)
    with pytest.raises(ConfigError, match="other recordings"):
        rows_held_out(load_data("digits").train, 0.2, 0, "group")
    single = windows({"v": np.arange(60.0), "label": ["a", "b"] * 30}, value_columns="v", window=5)
    with pytest.raises(DataError, match="one recording only"):
        rows_held_out(single.train, 0.2, 0, "group")


def test_several_files_are_recordings_of_their_own(tmp_path):
    for number in range(3):
        lines = [f"{number * 100 + i},{'ab'[i % 2]}" for i in range(20)]
        (tmp_path / f"{number}.csv").write_text("v,label\n" + "\n".join(lines) + "\n")
    data = load_data(tmp_path, value_columns="v", window=5, stride=5)
    assert data.description["recordings"] == 3 and len(data.train) == 12
    for row in data.train.x:
        assert np.ptp(np.asarray(row)) == 4


def test_too_few_rows_a_missing_label_column_and_a_missing_window_are_told():
    with pytest.raises(DataError, match="longest unbroken piece has 5 time steps"):
        windows({"v": np.arange(5.0)}, window=5, horizon=1)
    with pytest.raises(DataError, match="--horizon STEPS"):
        windows({"v": np.arange(50.0)}, window=5)
    with pytest.raises(ConfigError, match="window=128"):
        windows({"v": np.arange(50.0)})
    with pytest.raises(DataError, match="has no column 'w'"):
        windows({"v": np.arange(50.0)}, value_columns="w", window=5, horizon=1)


def test_inputs_of_a_log_are_windows_and_the_last_steps_are_in_one(tmp_path):
    (tmp_path / "log.csv").write_text("v\n" + "\n".join(map(str, range(23))) + "\n")
    found = load_inputs(tmp_path / "log.csv", window=10, stride=5)
    assert [row[0, 0] for row in found] == [0, 5, 10, 13]


def test_windows_are_views_that_take_no_memory():
    values = np.arange(4000.0)
    data = windows({"v": values}, window=500, horizon=1)
    assert data.train.x.strides[0] == 4 and data.train.x.shape == (3500, 500, 1)


def test_a_column_of_times_and_one_that_counts_rows_are_seen_and_said():
    table = {
        "Obs": np.arange(40) + 1,
        "Quarter": [f"{1970 + i // 4} Q{i % 4 + 1}" for i in range(40)],
        "income": np.sin(np.arange(40)),
    }
    data = windows(table, window=5, horizon=1)
    assert data.description["value_columns"] == ["income"]
    assert data.description["reading"]["time_column"] == "Quarter"
    assert "'Obs' numbers the rows" in " ".join(data.notes)
    said = windows(table, window=5, horizon=1, value_columns=["Obs", "income"])
    assert said.train.x.shape[2] == 2
    even = windows({"speed": np.arange(40.0), "v": np.ones(40)}, window=5, horizon=1)
    assert even.description["value_columns"] == ["speed", "v"]


def test_what_is_predicted_from_is_read_as_what_was_trained_on(tmp_path):
    rows = [f"{i},{i % 7},{i % 2}" for i in range(60)]
    (tmp_path / "log.csv").write_text("time,v,on\n" + "\n".join(rows) + "\n")
    data = load_data(tmp_path / "log.csv", window=6, label_column="on")
    found = load_inputs(tmp_path / "log.csv", **data.description["reading"])
    assert {row.shape for row in found} == {(6, 1)}


# ------------------------------------------------------------------- people with several recordings


def people(count=4, sets=3, rows=20):
    """Each person has several recordings, whose clocks all begin at 0."""
    person = np.repeat(np.arange(count), sets * rows)
    return {
        "person": person.tolist(),
        "recording": np.repeat(np.arange(count * sets), rows).tolist(),
        "seconds": np.tile(np.arange(rows) / 50, count * sets).tolist(),
        "value": np.arange(float(count * sets * rows)),
        "label": np.where(np.arange(len(person)) // rows % 2, "a", "b").tolist(),
    }


def test_all_recordings_of_a_person_are_held_out_together():
    said = {"window": 10, "id_column": "recording", "time_column": "seconds"}
    data = windows(people(), **said, group_column="person")
    kept, held = rows_held_out(data.train, 0.25, split=data.split)
    person = data.train.spans.recording // 3
    assert data.split == "group" and len(held) == 9
    assert not set(person[kept]) & set(person[held])
    # Recordings alone, which is what is held out without groups, leave no person out whole.
    alone = windows(people(), **said)
    kept, held = rows_held_out(alone.train, 0.25, split="group")
    assert set(person[kept]) & set(person[held])


def test_recordings_of_two_people_may_have_the_same_number():
    table = people() | {"recording": np.tile(np.repeat(np.arange(3), 20), 4).tolist()}
    data = windows(table, window=10, id_column="recording", group_column="person")
    assert data.description["recordings"] == 12


def test_times_that_begin_anew_are_of_several_recordings():
    with pytest.raises(DataError, match=r"begin anew: they are several recordings.*--id-col"):
        windows(people(), window=10, id_column="person", time_column="seconds")
    # A coarse clock, and rows that were shuffled, are of one.
    coarse = people(1, 1, 40) | {"seconds": np.repeat(np.arange(20), 2).tolist()}
    assert len(windows(coarse, window=10, time_column="seconds").train)
    shuffled = np.random.default_rng(0).permutation(40).tolist()
    data = windows(people(1, 1, 40) | {"seconds": shuffled}, window=10, time_column="seconds")
    assert len(data.train)


def test_numbers_of_people_and_clocks_that_begin_anew_are_no_values():
    data = windows(people(), window=10)
    assert data.description["value_columns"] == ["value"]
    assert any("'person', 'recording' tell recordings apart" in note for note in data.notes)
    # A column of that name that changes all the time is a value; and what is named, is one.
    noise = np.random.default_rng(0).integers(0, 9, 240).tolist()
    data = windows(people() | {"device": noise}, window=10)
    assert data.description["value_columns"] == ["value", "device"]
    data = windows(people(), window=10, value_columns=["person", "value"])
    assert data.description["value_columns"] == ["person", "value"]


def test_groups_are_of_tables_with_a_row_for_each_time_step(tmp_path):
    (tmp_path / "wide.csv").write_text("a,b,who,label\n1,2,x,p\n3,4,y,n\n")
    with pytest.raises(DataError, match=r"group_column .--group-column. is for tables"):
        load_data(tmp_path / "wide.csv", group_column="who")


def test_a_new_recording_needs_no_group(tmp_path):
    (tmp_path / "new.csv").write_text("value\n" + "1\n" * 10)
    assert len(load_inputs(tmp_path / "new.csv", window=10, group_column="person")) == 1
