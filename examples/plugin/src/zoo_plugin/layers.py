"""A command: the layers of a model, and what an export would do with them."""

import click


@click.command("layers", short_help="List the recurrent layers of a .keras file.")
@click.argument("model")
def command(model):
    """List the recurrent layers of MODEL, a .keras file, with the lowering of each."""
    import keras

    from keras_rnn_zoo.export import plan

    for layer in plan(keras.saving.load_model(model, compile=False)).recurrences:
        click.echo(f"{layer.path}  {layer.kind}  {layer.lowering}")
