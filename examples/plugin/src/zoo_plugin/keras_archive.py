"""A format: Keras' own archive, for those who train on."""

from keras_rnn_zoo.export import Format, Tolerance, register_format


@register_format("keras_archive")
class KerasArchive(Format):
    """A .keras file, proven like the others."""

    description = "for Keras: keras.saving.load_model"
    file_name = "model.keras"

    def export(self, model, path, **options):
        """Writes a model; takes no options."""
        model.save(path)
        return path

    def write(self, model, path):
        """Writes a model as `prepare` returned it."""
        model.keras.save(path)

    def compare(self, path, reference):
        """Loads the file, and compares what it answers."""
        from keras_rnn_zoo.export.verify.compare import compare_values

        tolerance = Tolerance(average=0.1, high=0.5, times=12, reason="the same computation")
        answers = self.serve(path)(reference.x)
        return compare_values(path.name, reference, tolerance, [answers])

    def serve(self, path):
        """Answers in Keras."""
        import keras

        from keras_rnn_zoo.export.keras_model.model import KerasModel
        from keras_rnn_zoo.export.verify.reference import keras_answers

        model = KerasModel(keras.saving.load_model(path, compile=False))
        return lambda x: keras_answers(model, x)
