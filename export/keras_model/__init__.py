"""What a Keras model is to an export: signature, heads, recurrent layers, sequences."""
