"""Keras models with recurrent layers as SavedModel and TFLite files that run, with proof.

`export_tflite` and `export_saved_model` take any Keras 3 model; `export_bundle` takes what the
zoo trained or searched and writes everything that an app needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_rnn_zoo.lazy import lazy

if TYPE_CHECKING:
    from keras_rnn_zoo.export.app.language import LANGUAGES as LANGUAGES
    from keras_rnn_zoo.export.app.language import Language as Language
    from keras_rnn_zoo.export.app.language import register_language as register_language
    from keras_rnn_zoo.export.bundle.any_file import benchmark_file as benchmark_file
    from keras_rnn_zoo.export.bundle.any_file import verify_file as verify_file
    from keras_rnn_zoo.export.bundle.bundle import Bundle as Bundle
    from keras_rnn_zoo.export.bundle.records import BundleReport as BundleReport
    from keras_rnn_zoo.export.bundle.records import FileRecord as FileRecord
    from keras_rnn_zoo.export.bundle.write import export_bundle as export_bundle
    from keras_rnn_zoo.export.clients import CLIENTS as CLIENTS
    from keras_rnn_zoo.export.clients import Client as Client
    from keras_rnn_zoo.export.clients import register_client as register_client
    from keras_rnn_zoo.export.demo.server import open_demo as open_demo
    from keras_rnn_zoo.export.formats import FORMATS as FORMATS
    from keras_rnn_zoo.export.formats import Format as Format
    from keras_rnn_zoo.export.formats import export as export
    from keras_rnn_zoo.export.formats import register_format as register_format
    from keras_rnn_zoo.export.formats.saved_model import export_saved_model as export_saved_model
    from keras_rnn_zoo.export.formats.tflite import TFLiteResult as TFLiteResult
    from keras_rnn_zoo.export.formats.tflite import Unquantized as Unquantized
    from keras_rnn_zoo.export.formats.tflite import export_tflite as export_tflite
    from keras_rnn_zoo.export.formats.tflite import plan as plan
    from keras_rnn_zoo.export.keras_model.samples import synthetic_samples as synthetic_samples
    from keras_rnn_zoo.export.lowering import LOWERINGS as LOWERINGS
    from keras_rnn_zoo.export.lowering import Lowering as Lowering
    from keras_rnn_zoo.export.lowering import register_lowering as register_lowering
    from keras_rnn_zoo.export.lowering.plan import Plan as Plan
    from keras_rnn_zoo.export.quantization import QUANTIZATIONS as QUANTIZATIONS
    from keras_rnn_zoo.export.quantization import Quantization as Quantization
    from keras_rnn_zoo.export.quantization import register_quantization as register_quantization
    from keras_rnn_zoo.export.streaming.model import StreamingModel as StreamingModel
    from keras_rnn_zoo.export.streaming.session import StreamingSession as StreamingSession
    from keras_rnn_zoo.export.targets import TARGETS as TARGETS
    from keras_rnn_zoo.export.targets import Target as Target
    from keras_rnn_zoo.export.targets import register_target as register_target
    from keras_rnn_zoo.export.tflite.interpreter import TFLiteModel as TFLiteModel
    from keras_rnn_zoo.export.verify.tolerance import Tolerance as Tolerance

_EXPORTS = {
    "Bundle": "bundle.bundle",
    "BundleReport": "bundle.records",
    "CLIENTS": "clients",
    "Client": "clients",
    "FORMATS": "formats",
    "FileRecord": "bundle.records",
    "Format": "formats",
    "LANGUAGES": "app.language",
    "LOWERINGS": "lowering",
    "Language": "app.language",
    "Lowering": "lowering",
    "Plan": "lowering.plan",
    "QUANTIZATIONS": "quantization",
    "Quantization": "quantization",
    "StreamingModel": "streaming.model",
    "StreamingSession": "streaming.session",
    "TARGETS": "targets",
    "TFLiteModel": "tflite.interpreter",
    "TFLiteResult": "formats.tflite",
    "Target": "targets",
    "Tolerance": "verify.tolerance",
    "Unquantized": "formats.tflite",
    "benchmark_file": "bundle.any_file",
    "export": "formats",
    "export_bundle": "bundle.write",
    "export_saved_model": "formats.saved_model",
    "export_tflite": "formats.tflite",
    "open_demo": "demo.server",
    "plan": "formats.tflite",
    "register_client": "clients",
    "register_format": "formats",
    "register_language": "app.language",
    "register_lowering": "lowering",
    "register_quantization": "quantization",
    "register_target": "targets",
    "synthetic_samples": "keras_model.samples",
    "verify_file": "bundle.any_file",
}

__all__ = sorted(_EXPORTS)

__getattr__, __dir__ = lazy(__name__, _EXPORTS)
