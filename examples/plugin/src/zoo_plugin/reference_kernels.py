"""The interpreter of LiteRT with its reference kernels: plain C++, as slow chips have it."""

import json
import sys
from importlib import metadata
from pathlib import Path

from keras_rnn_zoo.export.clients.client import (
    Client,
    Installed,
    Ran,
    register_client,
    run_command,
)


@register_client("reference_kernels")
class ReferenceKernels(Client):
    """No delegate, and no kernel that is tuned for a processor."""

    description = "Interpreter of LiteRT with its reference kernels"
    target = "litert"
    install = "pip install ai-edge-litert"

    def found_in(self, folder):
        """It is in this environment, or nowhere."""
        if folder is not None:
            return None
        number = metadata.version("ai-edge-litert")
        version = f"reference kernels {number}"
        return Installed(self.name, version, Path(sys.executable), number)

    def run(self, installed, asked):
        """Runs this file as a program."""
        job = {"file": str(asked.file), "order": list(asked.order), "inputs": len(asked.x)}
        _, y = run_command([installed.place, __file__], job, asked.x)
        return Ran(y)


def main() -> None:
    """What runs in a process of its own."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    x = [np.load(folder / f"x_{number}.npy") for number in range(job["inputs"])]
    try:
        interpreter = Interpreter(
            job["file"], experimental_op_resolver_type=OpResolverType.BUILTIN_REF
        )
        for details, values in zip(interpreter.get_input_details(), x, strict=True):
            interpreter.resize_tensor_input(details["index"], values.shape[1:])
        interpreter.allocate_tensors()
        answers = [details["index"] for details in interpreter.get_output_details()]
        y = [[] for _ in answers]
        for batch in job["order"]:
            for details, values in zip(interpreter.get_input_details(), x, strict=True):
                interpreter.set_tensor(details["index"], values[batch])
            interpreter.invoke()
            for index, found in zip(answers, y, strict=True):
                found.append(interpreter.get_tensor(index))
    except (RuntimeError, ValueError) as error:
        print(json.dumps({"refused": str(error)}))
        return
    for number, found in enumerate(y):
        np.save(folder / f"y_{number}.npy", np.stack(found))
    print(json.dumps({"arrays": len(y)}))


if __name__ == "__main__":
    main()
