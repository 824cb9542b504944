"""From a Keras model to a .tflite file: traced, converted in a child process, quantized."""
