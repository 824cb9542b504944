import sys
import textwrap

import pytest

from keras_rnn_zoo.builder import MODELS, ModelBuilder, list_models, register_model
from keras_rnn_zoo.errors import ConfigError, DuplicateNameError, PluginError, UnknownNameError
from keras_rnn_zoo.registry import Registry, demand


@pytest.fixture
def temporary_model():
    """A registered builder that is gone after the test."""

    @register_model
    class Temporary(ModelBuilder):
        name = "temporary"
        description = "for a test"

        def recurrence(self, x):
            from keras import layers

            return layers.GRU(self.config["units"], return_sequences=self.per_timestep)(x)

    yield Temporary
    MODELS.unregister("temporary")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs another package with an entry point, for the time of a test."""

    def package(code):
        (tmp_path / "other_package.py").write_text(textwrap.dedent(code))
        metadata = tmp_path / "other_package-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Name: other-package\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[keras_rnn_zoo.models]\nplug = other_package\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(MODELS, "_filled", False)

    yield package
    sys.modules.pop("other_package", None)


def test_names_are_sorted_naturally_and_filtered_by_pattern():
    names = Registry("thing")
    for name in ("lstm_10", "lstm_2", "gru"):
        names.register(name, object())
    assert names.names() == ["gru", "lstm_2", "lstm_10"]
    assert names.names("lstm*") == ["lstm_2", "lstm_10"]
    assert names.names("nothing") == []


def test_the_zoo_has_its_eight_models():
    zoo = {"rnn_cell", "rnn", "lstm_cell", "lstm", "gru_cell", "gru", "bilstm", "bigru"}
    assert zoo <= set(list_models())
    assert set(list_models("*_cell")) >= {"rnn_cell", "lstm_cell", "gru_cell"}


def test_an_unknown_name_lists_all_and_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"'bilstn'.* Did you mean 'bilstm'\? Known: 'bigru'"
    ):
        MODELS.get("bilstn")
    with pytest.raises(UnknownNameError):
        MODELS.get(["lstm"])


def test_a_duplicate_name_is_an_error_that_names_both(temporary_model):
    class Impostor(ModelBuilder):
        name = "temporary"
        description = "another"

        def recurrence(self, x):
            return x

    with pytest.raises(DuplicateNameError, match=r"Temporary has it and .*Impostor asks"):
        register_model(Impostor)
    assert MODELS.get("temporary") is temporary_model
    assert register_model(temporary_model) is temporary_model  # the same one again is no harm


def test_a_registered_model_is_built_like_any_other(temporary_model):
    from keras_rnn_zoo import get_model

    assert "temporary" in list_models()
    assert get_model("temporary", timesteps=3, vocabulary_size=5).output_shape == (None, 1)


def test_a_model_can_be_registered_under_a_name_given_to_the_decorator():
    @register_model("named")
    class Named(ModelBuilder):
        description = "for a test"

        def recurrence(self, x):
            return x

    try:
        assert MODELS.get("named") is Named
        assert Named.name == "named"
    finally:
        MODELS.unregister("named")


@pytest.mark.parametrize(
    "entry", [object(), int, lambda **config: None], ids=["object", "class", "function"]
)
def test_only_builders_are_registered(entry):
    with pytest.raises(ConfigError, match="ModelBuilder"):
        register_model(entry)


def test_a_builder_without_name_or_description_is_told_what_to_add():
    class Nameless(ModelBuilder):
        def recurrence(self, x):
            return x

    with pytest.raises(ConfigError, match=r"a model lacks a name: .*Nameless"):
        register_model(Nameless)
    with pytest.raises(ConfigError, match="lacks a description"):
        register_model("nameless")(Nameless)
    with pytest.raises(UnknownNameError, match="lower-case"):
        Nameless.description = "d"
        register_model("Bad Name")(Nameless)


def test_what_is_registered_is_told_all_that_it_lacks():
    class Bare(ModelBuilder):
        name = "bare"

    with pytest.raises(
        ConfigError,
        match=r"registered as a model lacks a description: .* and the methods 'recurrence': .*Bare",
    ):
        register_model(Bare)
    assert "bare" not in list_models()

    def refuse(entry):
        demand("thing", entry, {"legs": entry > 3, "a head": entry > 2})

    things = Registry("thing", check=refuse)
    assert things.register("five", 5) == 5
    with pytest.raises(ConfigError, match=r"registered as a thing lacks legs and a head: .*int"):
        things.register("one", 1)


def test_another_package_adds_a_model_through_the_entry_point_group(install):
    install(
        """
        from keras_rnn_zoo import ModelBuilder, register_model

        @register_model
        class Other(ModelBuilder):
            name = "other"
            description = "from elsewhere"

            def recurrence(self, x):
                return x
        """
    )
    try:
        assert "other" in list_models()
        assert MODELS.get("other").description == "from elsewhere"
    finally:
        MODELS.unregister("other")


@pytest.mark.parametrize(
    ("code", "reason"),
    [("import not_installed_at_all", "ModuleNotFoundError"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_broken_plug_in_is_named_with_its_reason(install, code, reason):
    install(code)
    with pytest.raises(PluginError, match=rf"'plug' of other-package .*{reason}"):
        list_models()
