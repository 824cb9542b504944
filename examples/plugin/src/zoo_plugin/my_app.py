"""A target: an app that links only what it needs."""

from keras_rnn_zoo.export import Target, register_target


@register_target("my_app")
class MyApp(Target):
    """An interpreter that was built without WHILE and without float16."""

    description = "my app: no control flow, no float16"
    accepted = ("unrolled",)
    refused_quantizations = {"float16": "its interpreter was built without DEQUANTIZE of float16"}
    one_subgraph = True
