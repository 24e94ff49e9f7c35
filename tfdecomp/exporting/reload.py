"""Runs a SavedModel where nothing but TensorFlow is known.

A program, not a module: `saved_model.py` starts it in a process of its own
to see what a server would see. It refuses to import Keras, TensorFlow
Probability or this package.

    python reload.py FOLDER INPUTS.npz OUTPUTS.npz [FOLDER ...]

Arrays are named `SIGNATURE/TENSOR` in both files. Several models are run one
after the other.
"""

import sys

FORBIDDEN = ("tfdecomp", "keras", "tf_keras", "tensorflow_probability", "gin")


def main(*paths):
    sys.modules.update(dict.fromkeys(FORBIDDEN))  # None: cannot be imported
    for start in range(0, len(paths), 3):
        answer(*paths[start : start + 3])


def answer(folder, inputs_path, outputs_path):
    """Asks the model in `folder` what is in one file; writes the other."""
    import numpy as np
    import tensorflow as tf

    requests = {}
    with np.load(inputs_path) as arrays:
        for path in arrays.files:
            signature, name = path.split("/")
            requests.setdefault(signature, {})[name] = arrays[path]
    loaded = tf.saved_model.load(folder)
    results = {}
    for signature, inputs in requests.items():
        tensors = {n: tf.constant(value) for n, value in inputs.items()}
        outputs = loaded.signatures[signature](**tensors)
        for name, value in outputs.items():
            results[f"{signature}/{name}"] = value.numpy()
    np.savez(outputs_path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
