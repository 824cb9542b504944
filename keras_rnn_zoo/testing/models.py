"""What every model of the zoo has to do."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.builder import MODELS, ModelBuilder, builder_from_json, check_builder
from keras_rnn_zoo.tasks import TASKS, Task
from keras_rnn_zoo.testing.claims import claim, claim_json, refused, working

ROWS, TIMESTEPS, FEATURES, VOCABULARY, OUTPUTS = 10, 6, 3, 6, 3
# In one step, dropout and a maximum may pass a weight by.
STEPS = 5
SMALL = {
    "units": 3,
    # Many make sums so large that the gates behind them saturate, and nothing is learnt.
    "filters": 3,
    "embedding_dim": 2,
    "timesteps": TIMESTEPS,
    "vocabulary_size": VOCABULARY,
}
KINDS = ("tokens", "features")


def check_model(model: str | type[ModelBuilder], **config: Any) -> None:
    """Checks a model: configs, every task on tokens and features, masks, training, saving.

    Args:
        model: Its registered name, or the class.
        **config: Values of its fields that keep it small; few units by default.

    Raises:
        AssertionError: The sentence says what is wrong.
    """
    name = model if isinstance(model, str) else getattr(model, "name", "?")
    with working(f"Registering the model '{name}'"):
        found = MODELS.get(model) if isinstance(model, str) else model
        check_builder(found)
    fields = {field.name for field in found.fields}
    values = {key: value for key, value in SMALL.items() if key in fields} | config
    check = _Check(found, values)
    check.configs()
    check.search_space()
    for kind in KINDS if "features" in fields else KINDS[:1]:
        for task in TASKS.values():
            check.task(kind, task)
        check.training(kind)
        if "mask" in fields:
            check.padding(kind)
        if found.any_length:
            check.trimming(kind)
    if {"features", "autoregression"} <= fields:
        check.forecast("mask" in fields)
    if "pooling" in fields:
        check.pooling(KINDS[0])
        if "mask" in fields:
            check.padding(KINDS[0], pooling="max")


class _Check:
    """The checks of one model."""

    def __init__(self, model: type[ModelBuilder], config: dict[str, Any]):
        self.model = model
        self.config = config
        self.who = f"The model '{model.name}'"

    def built(self, **config: Any) -> Any:
        """Returns a Keras model with weights that matter: fresh ones answer all inputs alike."""
        with working(f"{self.who} with {config}"):
            made = self.model(**{**self.config, **config}).build()
        generator = np.random.default_rng(1)
        made.set_weights([generator.normal(size=w.shape) for w in made.get_weights()])
        return made

    def setting(self, kind: str, task: Task = TASKS["binary"]) -> dict[str, Any]:
        """Returns the config of a kind of input and a task."""
        outputs = {"binary": 1, "regression": 2}.get(task.name, OUTPUTS)
        features = {} if kind == "tokens" else {"features": FEATURES}
        return {"task": task.name, "outputs": outputs, **features}

    def rows(self, kind: str, timesteps: int) -> np.ndarray:
        """Returns inputs without padding."""
        generator = np.random.default_rng(0)
        if kind == "tokens":
            return generator.integers(1, VOCABULARY, (ROWS, timesteps), dtype=np.int32)
        return generator.normal(size=(ROWS, timesteps, FEATURES)).astype(np.float32)

    # ------------------------------------------------------------------ the checks

    def configs(self) -> None:
        """A config is checked, plain, and the same after a way through JSON."""
        with working(f"{self.who} with its default config"):
            self.model()
        builder = self.model(**self.config)
        claim_json(builder.config, f"the config of '{self.model.name}'")
        with working(f"{self.who}: a config as JSON"):
            if self.model.name in MODELS:
                again = builder_from_json(builder.to_json())
            else:
                again = self.model(**json.loads(builder.to_json())["config"])
        claim(again == builder, f"{self.who} is another one after a way through JSON.")
        for field in self.model.fields:
            with working(f"{self.who}: the default of its field '{field.name}'"):
                field.check(field.default)
            claim(bool(field.description), f"{self.who}: '{field.name}' has no description.")
        with refused(f"{self.who}: a setting that it does not have"):
            self.model(no_such_setting_anywhere=1)

    def search_space(self) -> None:
        """A search sets fields, and what it chooses can be built."""
        from keras_tuner import HyperParameters

        for kind in KINDS[: 1 + ("features" in self.model(**self.config).config)]:
            builder = self.model(**{**self.config, **self.setting(kind)})
            space = HyperParameters()
            with working(f"{self.who}: search_space"):
                chosen = builder.search_space(space)
                claim(bool(chosen), f"{self.who}: search_space chooses nothing.")
                claim(
                    set(chosen) == set(space.values),
                    f"{self.who}: search_space names hyperparameters like the fields they set. "
                    f"Received {sorted(space.values)} for {sorted(chosen)}.",
                )
                builder.replace(**chosen)

    def task(self, kind: str, task: Task) -> None:
        """Takes and gives what the task says."""
        setting = self.setting(kind, task)
        what = f"{self.who} on {kind} for the task '{task.name}'"
        model = self.built(**setting)
        claim(not model.compiled, f"{what} is compiled; leave that to who trains it.")
        claim(len(model.inputs) == 1, f"{what} has {len(model.inputs)} inputs. Allowed: 1")
        (given,) = model.inputs
        x = self.rows(kind, TIMESTEPS)
        claim(
            (given.name, given.dtype, given.shape[1:]) == (kind, str(x.dtype), x.shape[1:]),
            f"{what} takes {given.dtype} {list(given.shape)} as '{given.name}'. Its data are "
            f"{x.dtype} {[None, *x.shape[1:]]}, called '{kind}'.",
        )
        answers = np.asarray(model(x))
        shape = (ROWS, *((TIMESTEPS,) if task.per_timestep else ()), setting["outputs"])
        claim(answers.shape == shape, f"{what} answers {answers.shape} instead of {shape}.")
        claim(bool(np.isfinite(answers).all()), f"{what} answers NaN or infinity.")
        if task.activation == "softmax":
            # 1e-5: a float32 softmax sums to one but for rounding.
            right = np.allclose(answers.sum(axis=-1), 1, atol=1e-5)
            claim(right, f"{what} answers probabilities that do not sum to one.")
        if task.activation == "sigmoid":
            right = bool(((answers >= 0) & (answers <= 1)).all())
            claim(right, f"{what} answers something else than a probability.")

    def training(self, kind: str) -> None:
        """Steps of training change every weight; a saved model answers the same."""
        import keras

        task, what = TASKS["binary"], f"{self.who} on {kind}"
        model = self.built(**self.setting(kind))
        x = self.rows(kind, TIMESTEPS)
        x[:5, 3:] = 0
        keras.utils.set_random_seed(0)  # of dropout
        before = [np.array(weight) for weight in model.trainable_weights]
        task.compile(model)
        # In a graph, as `train` does it; once is enough, it takes most of the time.
        model.run_eagerly = kind != KINDS[0]
        with working(f"{what}: steps of training"):
            for _ in range(STEPS):
                loss = float(model.train_on_batch(x, np.arange(ROWS)[:, None] % 2)[0])
        claim(bool(np.isfinite(loss)), f"{what} has the loss {loss} after {STEPS} steps.")
        for weight, old in zip(model.trainable_weights, before, strict=True):
            changed = bool((np.asarray(weight) != old).any())
            claim(changed, f"{what}: {STEPS} steps of training leave '{weight.path}' as it was.")
        answers = np.asarray(model(x))
        claim(
            float(np.std(answers)) > 1e-4, f"{what} answers all inputs alike: it does not see them."
        )
        with working(f"{what}: saved and loaded"), tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "model.keras"
            model.save(file)
            again = np.asarray(keras.saving.load_model(file)(x))
        # 1e-6: the same float32 arithmetic.
        same = np.allclose(again, answers, atol=1e-6)
        claim(same, f"{what} answers something else once it was saved and loaded.")

    def pooling(self, kind: str) -> None:
        """What is pooled is not what the last step has."""
        x = self.rows(kind, TIMESTEPS)
        one, other = (
            np.asarray(self.built(**self.setting(kind), pooling=how)(x)) for how in ("last", "max")
        )
        claim(
            not np.allclose(one, other, atol=1e-4),
            f"{self.who} on {kind} answers the same with pooling='max' as with 'last'.",
        )

    def forecast(self, masks: bool) -> None:
        """A fresh model of a forecast answers the last values, of padded rows as well."""
        setting = {**self.setting("features", TASKS["regression"]), "autoregression": "1"}
        with working(f"{self.who} with {setting}"):
            model = self.model(**{**self.config, **setting}).build()
        x, steps = self.rows("features", TIMESTEPS), np.full(ROWS, TIMESTEPS)
        if masks:
            steps[::2] = TIMESTEPS // 2
            x[np.arange(TIMESTEPS) >= steps[:, np.newaxis]] = 0
        last = x[np.arange(ROWS), steps - 1, 1]
        same = np.allclose(np.asarray(model(x)), last[:, np.newaxis], atol=1e-6)
        claim(
            same,
            f"{self.who}: without training a forecast is the last value, and this one is another. "
            "Build with self.inputs, self.head and self.forecast, or have no field "
            "'autoregression': common_fields(without=(\"autoregression\",)).",
        )

    def trimming(self, kind: str) -> None:
        """A model that says so answers and learns the same without the padding of all its rows."""
        from keras_rnn_zoo.training.batches import any_length

        fields = {field.name for field in self.model.fields}
        # What is dropped is drawn anew, and for another number of steps.
        rates = dict.fromkeys(fields & {"dropout", "spatial_dropout", "word_dropout"}, 0.0)
        x, task = self.rows(kind, TIMESTEPS), TASKS["binary"]
        x[:, 4:], x[::2, 2:] = 0, 0
        learnt = []
        for inputs in (x, x[:, :4]):
            model = self.built(**self.setting(kind), **rates)
            task.compile(model)
            model.run_eagerly = True
            with working(f"{self.who} on {kind}, on rows without their padding"), any_length(model):
                answers = np.asarray(model(inputs))
                model.train_on_batch(inputs, np.arange(ROWS)[:, None] % 2)
            learnt.append([answers, *model.get_weights()])
        # 1e-4: a step of Adam is 1e-3 however small a gradient is, but for rounding.
        same = all(np.allclose(a, b, atol=1e-4) for a, b in zip(*learnt, strict=True))
        claim(
            same,
            f"{self.who} on {kind} answers or learns something else without the padding that all "
            "rows have at their end, and says any_length = True. Leave that out.",
        )

    def padding(self, kind: str, **config: str) -> None:
        """Padding on the right changes nothing, unless the mask is off."""
        x = self.rows(kind, TIMESTEPS)
        padded = np.concatenate([x, np.zeros_like(x[:, :3])], axis=1)

        def answers(inputs: np.ndarray, mask: bool) -> np.ndarray:
            setting = {**self.setting(kind), "timesteps": inputs.shape[1], "mask": mask}
            return np.asarray(self.built(**setting, **config)(inputs))

        # 1e-5: the same float32 sums.
        same = np.allclose(answers(padded, True), answers(x, True), atol=1e-5)
        claim(
            same,
            f"{self.who} on {kind} answers something else where there is padding on the right. "
            "Pass the mask on, or have no field 'mask'.",
        )
        same = np.allclose(answers(padded, False), answers(x, False), atol=1e-4)
        claim(not same, f"{self.who} on {kind} skips padding though mask=False.")
