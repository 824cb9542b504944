"""Classifies texts in MediaPipe or the Task Library, whichever Python this is.

Its argument is the folder that `run_command` makes. Needs NumPy and the package alone.
"""
# ruff: noqa: B905

import json
import pathlib
import sys
from importlib import import_module

# Where this file lies, another one has the name of the package.
del sys.path[0]

import numpy as np  # noqa: E402

folder = pathlib.Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
try:
    if job["interface"] == "mediapipe":
        tasks = import_module("mediapipe.tasks.python")
        text = import_module("mediapipe.tasks.python.text")
        options = text.TextClassifierOptions(tasks.BaseOptions(model_asset_path=job["file"]))
        classifier = text.TextClassifier.create_from_options(options)
    else:
        core = import_module("tflite_support.task.core")
        text = import_module("tflite_support.task.text")
        options = text.NLClassifierOptions(core.BaseOptions(file_name=job["file"]))
        classifier = text.NLClassifier.create_from_options(options)
    answers = [classifier.classify(one).classifications[0].categories for one in job["texts"]]
except (RuntimeError, ValueError, ImportError) as error:
    print(json.dumps({"refused": str(error)}))
    sys.exit()
labels, scores = {}, np.zeros((len(answers), len(answers[0])), np.float32)
for row, categories in zip(scores, answers):
    for place, one in enumerate(categories):
        # The Task Library gives labels in the order of the outputs, and no numbers.
        index = one.index if job["interface"] == "mediapipe" else place
        labels[index] = one.category_name
        row[index] = one.score
np.save(folder / "y_0.npy", scores)
print(json.dumps({"arrays": 1, "labels": [labels[index] for index in sorted(labels)]}))
