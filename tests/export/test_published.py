"""Models that others published, exported in every mode and every lowering."""

from __future__ import annotations

import numpy as np
import pytest
from published import PUBLISHED

from keras_rnn_zoo.export import TARGETS, export_tflite

SAMPLES = 16
# The quickest always runs, in the default lowering.
QUICK = ("sunspots", "loop")


def cases():
    for name in PUBLISHED:
        for lowering in TARGETS.get("litert").lowerings:
            marks = () if (name, lowering) == QUICK else pytest.mark.slow
            yield pytest.param(name, lowering, marks=marks)


@pytest.mark.parametrize("quantization", TARGETS.get("litert").quantizations())
@pytest.mark.parametrize(("name", "lowering"), cases())
def test_published_model_keeps_the_tolerance_of_the_mode(name, lowering, quantization, tmp_path):
    published = PUBLISHED[name]
    model, x = published.build(), published.inputs(SAMPLES)
    # Answers each sample three times over, and raises where one is beyond the mode's tolerance.
    result = export_tflite(
        model,
        tmp_path / "model.tflite",
        quantization=quantization,
        representative_data=x,
        lowering=lowering,
        timesteps=published.timesteps,
    )
    assert result.parity is not None and result.parity.passed
    # The best file of all that answer the same whatever comes in is further off than this one.
    answers = np.asarray(model(x))
    spread = np.abs(answers - answers.mean(axis=0)).mean()
    assert result.parity.mean_abs_output < spread
