"""Conformance suites: does what you plug in do what the rest of the product counts on?

Each is a plain function for any test runner. It returns nothing where all is well, and raises an
`AssertionError` with a sentence that says what the plug-in got wrong.

```python
from keras_rnn_zoo.testing import check_model


def test_my_model():
    check_model("causal_conv_gru")  # or the class
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_rnn_zoo.lazy import lazy

if TYPE_CHECKING:
    from keras_rnn_zoo.testing.commands import check_command as check_command
    from keras_rnn_zoo.testing.datasets import check_dataset as check_dataset
    from keras_rnn_zoo.testing.export import check_client as check_client
    from keras_rnn_zoo.testing.export import check_format as check_format
    from keras_rnn_zoo.testing.export import check_looking_back as check_looking_back
    from keras_rnn_zoo.testing.export import check_lowering as check_lowering
    from keras_rnn_zoo.testing.export import check_quantization as check_quantization
    from keras_rnn_zoo.testing.export import check_target as check_target
    from keras_rnn_zoo.testing.languages import check_language as check_language
    from keras_rnn_zoo.testing.models import check_model as check_model
    from keras_rnn_zoo.testing.search import check_engine as check_engine
    from keras_rnn_zoo.testing.search import check_tuner as check_tuner
    from keras_rnn_zoo.testing.tokenizers import check_tokenizer as check_tokenizer

_EXPORTS = {
    "check_client": "export",
    "check_command": "commands",
    "check_dataset": "datasets",
    "check_engine": "search",
    "check_format": "export",
    "check_language": "languages",
    "check_looking_back": "export",
    "check_lowering": "export",
    "check_model": "models",
    "check_quantization": "export",
    "check_target": "export",
    "check_tokenizer": "tokenizers",
    "check_tuner": "search",
}

__all__ = sorted(_EXPORTS)
__getattr__, __dir__ = lazy(__name__, _EXPORTS)
