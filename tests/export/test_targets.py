"""What each client accepts, and that no file for it holds what it does not."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
from architectures import build, inputs_for, two_grus, two_lstms

from keras_rnn_zoo.errors import ConfigError, TargetError, UnknownNameError
from keras_rnn_zoo.export import LOWERINGS, QUANTIZATIONS, TARGETS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.bundle.write import export_bundle
from keras_rnn_zoo.export.formats.choose import candidates
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.options import ExportOptions
from keras_rnn_zoo.export.targets import Target, register_target
from keras_rnn_zoo.export.tflite import contents


def unmasked():
    import keras

    inputs = keras.Input((6,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(40, 12)(inputs)
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GRU(8)(x)))


def exported(model, path, **settings):
    """Exports without a proof: other tests have it."""
    samples = inputs_for(model)
    settings = {"representative_data": samples, "verify": False, "diagnose": False, **settings}
    return export_tflite(model, path, **settings)


@pytest.mark.parametrize("name", TARGETS.names())
def test_every_target_describes_itself_with_names_that_there_are(name):
    target = TARGETS.get(name)
    assert target.name == name and target.description
    assert target.lowerings and set(target.lowerings) <= set(LOWERINGS.names())
    assert len(set(target.lowerings)) == len(target.lowerings)
    assert set(target.refused_quantizations) < set(QUANTIZATIONS.names())
    for reason in target.refused_quantizations.values():
        assert reason[0].islower() and not reason.endswith(".")


def test_the_interpreter_takes_everything_and_the_loop_by_default():
    litert = TARGETS.get("litert")
    assert litert.lowerings[0] == "loop"
    assert set(LOWERINGS.names()) - set(litert.lowerings) == {
        name for name in LOWERINGS.names() if LOWERINGS.get(name).by_client
    }
    assert set(QUANTIZATIONS.names()) - set(litert.quantizations()) == {"int16x8"}


@pytest.mark.parametrize("name", TARGETS.names())
def test_what_a_target_prefers_makes_a_file_that_it_takes(name, tmp_path):
    target = TARGETS.get(name)
    model = build(unmasked)
    samples = np.random.default_rng(0).integers(1, 40, (12, 6)).astype("int32")
    result = export_tflite(
        model,
        tmp_path / "m.tflite",
        target=name,
        quantization="int8",
        samples=samples,
        representative_data=samples,
    )
    assert result.parity.passed and result.target == name
    preferred = target.preferred(prepare(model))
    # A step of one layer leaves nothing to another lowering.
    expected = preferred if preferred == "step" else target.fallback or preferred
    assert set(result.lowering.values()) == {expected}
    info = contents.inspect(result.path)
    assert target.refuses(info) is None
    assert not target.one_subgraph or info.subgraphs == 1
    assert not target.stateless or info.variables == 0


@pytest.mark.parametrize("lowering", TARGETS.get("compiled_model").lowerings)
@pytest.mark.parametrize("architecture", ["bilstm", two_grus])
def test_a_compiled_model_answers_what_the_interpreter_answers(architecture, lowering, tmp_path):
    from ai_edge_litert.compiled_model import CompiledModel

    model = build(architecture)
    result = exported(model, tmp_path / "m.tflite", target="compiled_model", lowering=lowering)
    compiled = CompiledModel.from_file(str(result.path))
    inputs, outputs = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
    rows = inputs_for(model)["tokens"]
    received = []
    for row in rows:
        inputs[0].write(row[np.newaxis])
        compiled.run_by_index(0, inputs, outputs)
        received.append(outputs[0].read(1, np.float32))
    # 1e-6: the same kernels.
    np.testing.assert_allclose(received, TFLiteModel(result.path).predict(rows), atol=1e-6)


@pytest.mark.parametrize(
    ("target", "lowering"),
    [
        (name, lowering)
        for name in TARGETS.names()
        for lowering in LOWERINGS.names()
        if lowering not in TARGETS.get(name).lowerings
    ],
)
def test_a_lowering_that_the_target_refuses_is_an_error_before_any_work(target, lowering, tmp_path):
    with pytest.raises(ConfigError, match=f"'{target}' does not take the lowering '{lowering}'"):
        export_tflite(None, tmp_path / "m.tflite", target=target, lowering=lowering)


def test_a_quantization_that_the_target_refuses_is_an_error_before_any_work(tmp_path):
    with pytest.raises(
        ConfigError, match=r"'micro' .* 'dynamic': .*NaN.*: 'int8', 'int16x8', 'none'\."
    ):
        export_tflite(None, tmp_path / "m.tflite", target="micro", quantization="dynamic")


def test_an_unknown_target_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'mediapipe'"):
        export_tflite(None, tmp_path / "m.tflite", target="media_pipe")


def test_auto_chooses_among_what_the_target_takes():
    for name in TARGETS.names():
        tried = candidates(ExportOptions(lowering="auto", fold_embedding=False, target=name), 10)
        # A file whose inputs an app sizes is another kind of file, and named where it is wanted; so
        # is one of a step, but for models that the target prefers it for.
        fixed = [
            name
            for name in TARGETS.get(name).lowerings
            if not LOWERINGS.get(name).open_sizes and not LOWERINGS.get(name).steps
        ]
        assert [one.lowering for one in tried] == fixed


def test_what_the_target_prefers_is_tried_however_many_steps_there_are():
    most = LOWERINGS.get("unrolled").auto_timesteps
    for name, tried in (("mediapipe", True), ("litert", False)):
        found = candidates(
            ExportOptions(lowering="auto", fold_embedding=False, target=name), most + 1
        )
        (unrolled,) = (one for one in found if one.lowering == "unrolled")
        assert (unrolled.problem is None) == tried


@pytest.mark.parametrize(
    ("architecture", "quantization"), [(two_grus, "none"), (two_lstms, "int8")]
)
def test_a_fallback_smuggles_no_loop_into_a_file_of_one_subgraph(
    architecture, quantization, tmp_path
):
    settings = {"target": "mediapipe", "quantization": quantization}
    model = build(architecture)
    result = exported(model, tmp_path / "m.tflite", lowering="fused", **settings)
    assert contents.inspect(result.path).subgraphs == 1
    assert set(result.lowering.values()) == {"unrolled"} and all(result.fallbacks.values())
    result = exported(model, tmp_path / "m.tflite", lowering="auto", **settings)
    assert contents.inspect(result.path).subgraphs == 1
    (refused, *_) = (one for one in result.choice.candidates if one.lowering == "fused")
    assert "expresses no layer of this model: it" in refused.problem


def test_a_loop_is_no_file_for_a_client_of_one_subgraph(tmp_path):
    info = contents.inspect(exported(build(two_grus), tmp_path / "m.tflite").path)
    with pytest.raises(TargetError, match=r"'mediapipe': it has \d+ subgraphs .* takes one"):
        TARGETS.get("mediapipe").check_file(info, {})


def test_the_fused_op_is_for_clients_that_take_state(tmp_path):
    model = build(two_lstms)
    info = contents.inspect(
        exported(model, tmp_path / "m.tflite", target="mediapipe", lowering="fused").path
    )
    assert info.variables and info.subgraphs == 1
    assert TARGETS.get("mediapipe").refuses(info) is None
    for name in ("compiled_model", "litert_js"):
        assert "keep state" in TARGETS.get(name).refuses(info)


def test_a_mask_that_micro_cannot_take_apart_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(TargetError, match="mask=False"):
        exported(build("bilstm"), tmp_path / "m.tflite", target="micro")


def test_a_target_of_ones_own_is_a_class_that_registers_itself():
    @register_target("phone")
    class Phone(Target):
        description = "a phone that computes in integers alone"
        refused_quantizations: ClassVar = {"none": "it has no floats"}

    try:
        with pytest.raises(ConfigError, match=r"'phone' .* it has no floats"):
            export_tflite(None, "m.tflite", target="phone")
    finally:
        TARGETS.unregister("phone")


def test_a_bundle_for_a_target_has_the_modes_that_it_takes_and_says_whom_it_is_for(tmp_path):
    build(unmasked).save(tmp_path / "m.keras")
    samples = np.random.default_rng(0).integers(1, 40, (12, 6)).astype("int32")
    bundle = export_bundle(
        tmp_path / "m.keras",
        tmp_path / "bundle",
        format=["tflite"],
        representative_data=samples,
        target="micro",
    )
    assert list(bundle.quantizations) == ["none", "int8"]
    report = json.loads((bundle.path / "report.json").read_text())
    assert report["target"] == "micro"
    assert "For the target micro." in (bundle.path / "report.html").read_text()
    with pytest.raises(ConfigError, match="'micro' does not take the quantization 'float16'"):
        export_bundle(
            tmp_path / "m.keras", tmp_path / "b", quantization=["float16"], target="micro"
        )
