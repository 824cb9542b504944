"""Help, the list of models and every usage error answer at once: nothing imports TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from keras_rnn_zoo.cli._group import cli

COMMANDS = cli.list_commands(None)
QUICK = [
    [],
    ["--help"],
    ["--version"],
    ["models"],
    ["models", "*lstm*", "--json"],
    *([name, "--help"] for name in COMMANDS),
    ["trian"],
    ["train"],
    ["train", "ltsm", "--data", "digits", "-o", "nowhere"],
    ["train", "lstm", "--data", "digits", "--set", "unit=3", "-o", "nowhere"],
    ["train", "lstm", "--data", "digits", "--epochs", "many", "-o", "nowhere"],
    ["train", "lstm", "--data", "digts", "-o", "nowhere"],
    ["compare", "lstm", "lstm", "--data", "digits", "-o", "nowhere"],
    ["search", "--data", "digits", "--tuner", "bayes", "-o", "nowhere"],
    ["export", "nowhere", "-o", "nowhere"],
    ["export", "nowhere", "--quantization", "int4", "-o", "nowhere"],
    ["verify", "nowhere"],
    ["benchmark", "nowhere"],
    ["predict", "nowhere", "text"],
    ["predict", "nowhere"],
]


def test_no_quick_answer_imports_tensorflow(tmp_path):
    program = f"""
import json, sys
from keras_rnn_zoo.cli import main
result = []
for args in {QUICK!r}:
    code = main(args)
    heavy = [m for m in ("tensorflow", "keras", "keras_tuner", "sklearn") if m in sys.modules]
    result.append([args, code, heavy])
json.dump(result, open("result.json", "w"))
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
    for args, code, heavy in json.loads((tmp_path / "result.json").read_text()):
        assert not heavy, f"{args} imports {heavy}"
        expects_success = not args or args[0] == "models" or args[-1] in ("--help", "--version")
        assert (code == 0) == expects_success, args
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def imported_by(args):
    """What a process of its own has imported once it has answered."""
    program = (
        "import sys\nfrom keras_rnn_zoo.cli import main\n"
        f"main({args!r})\nprint(' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "args",
    [["--help"], ["--version"], ["trian"], ["models"], ["models", "--json"], ["predict", "--help"]],
)
def test_what_needs_no_arrays_imports_no_numpy(args):
    modules = imported_by(args)
    assert "keras_rnn_zoo.cli._group" in modules
    assert not modules & {"numpy", "tensorflow", "keras"}


def test_the_list_of_commands_imports_none_of_them():
    commands = {f"keras_rnn_zoo.cli.{name}" for name in COMMANDS}
    assert not imported_by(["--help"]) & commands
    # And one that does is seen.
    assert imported_by(["train", "--help"]) & commands == {"keras_rnn_zoo.cli.train"}


def test_the_list_of_commands_says_what_each_says_of_itself(zoo):
    listed = " ".join(zoo(["--help"]).out.partition("Commands:")[2].split())
    for name in COMMANDS:
        assert f"{name} {cli.get_command(None, name).short_help}" in listed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(zoo, name):
    answer = zoo([name, "--help"])
    command = cli.get_command(None, name)
    assert answer.code == 0
    assert answer.out.startswith(f"Usage: keras-rnn-zoo {name}")
    assert command.short_help
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, f"{param.name} has no help"


def test_the_issue_commands_are_all_there_in_the_order_of_use():
    assert COMMANDS == [
        "models",
        "train",
        "compare",
        "search",
        "export",
        "verify",
        "clients",
        "benchmark",
        "predict",
        "stream",
        "demo",
        "quickstart",
    ]


def test_the_module_runs_like_the_script():
    result = subprocess.run(
        [sys.executable, "-m", "keras_rnn_zoo", "models", "lstm"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "lstm" in result.stdout


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("trian lstm", "'train'"),
        ("train ltsm --data digits -o x", "'lstm'"),
        ("train lstm --dat digits -o x", "'--data'"),
        ("train lstm --data digts -o x", "'digits'"),
        ("train lstm --data digits --padding psot -o x", "'post'"),
        ("train lstm --data digits --set unit=3 -o x", "'units'"),
        ("train lstm --data digits --task multi_class -o x", "'multiclass'"),
        ("search lstn --data digits -o x", "'lstm'"),
        ("search --data digits --tuner hyperbland -o x", "'hyperband'"),
        ("compare gur --data digits -o x", "'gru'"),
        ("export x --quantization int -o x", "'int8'"),
        ("export x --format savedmodel -o x", "'saved_model'"),
        ("export x --lowering lop -o x", "'loop'"),
        ("export x --target mediapip -o x", "'mediapipe'"),
        ("train lstm --data digits --target mediapip -o x", "'mediapipe'"),
        ("models ltsm", "'lstm'"),
    ],
)
def test_a_typing_error_is_answered_with_what_was_probably_meant(
    zoo, command, meant, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    answer = zoo(command)
    assert answer.code in (1, 2)
    assert f"Did you mean {meant}?" in answer.error
    assert answer.out == ""
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("train", "MODEL is missing"),
        ("train lstm --data digits", "--output or -o is missing"),
        ("train lstm --data digits --set units -o x", "--set takes KEY=VALUE"),
        ("train lstm --data digits --set units=1 --set units=2 -o x", "said twice"),
        ("train lstm --data digits --set units=0 -o x", "at least 1"),
        ("train lstm --data digits --set units=2.5 -o x", "whole number"),
        ("train lstm --data digits --set mask=perhaps -o x", "true or false"),
        ("train lstm --data digits --set features=3 -o x", "contradicts the data"),
        ("train lstm --data digits --epochs 0 -o x", "at least 1"),
        ("train lstm --data digits --epochs 2.5 -o x", "not a valid integer"),
        ("train lstm --data digits --learning-rate nan -o x", "above 0"),
        ("train lstm --data digits --learning-rate -1 -o x", "above 0"),
        ("train lstm --data digits --validation-split 1 -o x", "below 1"),
        (
            "train lstm --data digits --target mediapipe -o x",
            "takes data of kind 'text'",
        ),
        (
            "train lstm --data digits --target mediapipe --truncating pre -o x",
            "keeps the beginning of long texts. Received: 'pre'. Leave truncating out",
        ),
        ("train lstm gru --data digits -o x", "unexpected extra argument"),
        ("compare lstm lstm --data digits -o x", "once"),
        ("export x --format , -o x", "at least one format"),
        ("export x --samples-count 0 -o x", "at least 1"),
        ("export x --target mediapipe --lowering loop -o x", "Choose among: 'fused', 'unrolled'"),
        ("export x --target micro --quantization dynamic -o x", "answers NaN without an error"),
        ("export x --size-limit 3XB -o x", "'--size-limit': Unknown unit: 'XB'"),
        ("export x --size-limit 0 -o x", "'--size-limit': A size is a number above 0"),
        ("predict x", "Give either texts or --input FILE"),
        ("predict x text --input file.csv", "Give either texts or --input FILE"),
    ],
)
def test_wrong_usage_is_answered_with_what_is_legal(zoo, command, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = zoo(command)
    assert answer.code in (1, 2)
    assert says in answer.error
    assert not any(tmp_path.iterdir())
