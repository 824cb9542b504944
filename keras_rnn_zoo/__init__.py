"""A zoo of recurrent Keras models: built, trained, searched, and exported to devices.

`get_model("bilstm")` returns a Keras model; `keras_rnn_zoo.tuner` searches over the zoo and
`keras_rnn_zoo.export` turns any Keras model with recurrent layers into SavedModel and TFLite.
Importing this package does not import TensorFlow; using it does, where it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_rnn_zoo import _keras_hook
from keras_rnn_zoo.lazy import lazy

if TYPE_CHECKING:
    from keras_rnn_zoo.builder import Field as Field
    from keras_rnn_zoo.builder import ModelBuilder as ModelBuilder
    from keras_rnn_zoo.builder import builder_from_json as builder_from_json
    from keras_rnn_zoo.builder import common_fields as common_fields
    from keras_rnn_zoo.builder import get_builder as get_builder
    from keras_rnn_zoo.builder import get_model as get_model
    from keras_rnn_zoo.builder import list_models as list_models
    from keras_rnn_zoo.builder import register_model as register_model
    from keras_rnn_zoo.data import Dataset as Dataset
    from keras_rnn_zoo.data import Reader as Reader
    from keras_rnn_zoo.data import Split as Split
    from keras_rnn_zoo.data import load_data as load_data
    from keras_rnn_zoo.data import windows as windows
    from keras_rnn_zoo.errors import ZooError as ZooError
    from keras_rnn_zoo.loading import load as load
    from keras_rnn_zoo.preprocessing.tokenizers import Tokenizer as Tokenizer
    from keras_rnn_zoo.training.compare import compare as compare
    from keras_rnn_zoo.training.options import DataOptions as DataOptions
    from keras_rnn_zoo.training.options import TrainOptions as TrainOptions
    from keras_rnn_zoo.training.run import Run as Run
    from keras_rnn_zoo.training.train import train as train
    from keras_rnn_zoo.twins import transfer_weights as transfer_weights

    __version__: str

_EXPORTS = {
    "DataOptions": "training.options",
    "Dataset": "data",
    "Field": "builder",
    "ModelBuilder": "builder",
    "Reader": "data",
    "Run": "training.run",
    "Split": "data",
    "Tokenizer": "preprocessing.tokenizers",
    "TrainOptions": "training.options",
    "ZooError": "errors",
    "builder_from_json": "builder",
    "common_fields": "builder",
    "compare": "training.compare",
    "get_builder": "builder",
    "get_model": "builder",
    "list_models": "builder",
    "load": "loading",
    "load_data": "data",
    "register_model": "builder",
    "train": "training.train",
    "transfer_weights": "twins",
    "windows": "data",
}

_SUBMODULES = dict.fromkeys(("errors", "export", "layers", "testing", "tuner"), "")

__all__ = sorted(_EXPORTS)
__getattr__, __dir__ = lazy(__name__, {**_EXPORTS, **_SUBMODULES, "__version__": "_version"})

_keras_hook.install()
