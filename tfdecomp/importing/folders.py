"""A published checkpoint as a folder that `tfdecomp.load` opens."""

import dataclasses
import pathlib

import keras
import numpy as np

from tfdecomp import training
from tfdecomp.importing import (
    iodine,
    provide,
    rules,
    silot,
)
from tfdecomp.sharing import packing
from tfdecomp.storage import configs, saving
from tfdecomp.version import __version__

SYSTEMS = {"provide": provide, "iodine": iodine, "silot": silot}
CARD_NAME = "README.md"
_NON_COMMERCIAL = """
These weights must not be used commercially, and what is made of them must be
passed on under the same licence (CC BY-NC-SA 4.0,
https://creativecommons.org/licenses/by-nc-sa/4.0/). The licence of tfdecomp
does not cover them.
"""
_CARD = """\
---
library_name: tfdecomp
license: {tag}
tags:
- object-centric
- unsupervised
- video
- {system}
---

# {name}

{model} with the weights that the authors of the paper published, read from
`{file}` into `{preset}`; {parameters:,} parameters. It takes frames of
{height}x{width} pixels with {channels} channels apart.

```python
import tfdecomp

model = tfdecomp.load("{name}")  # this folder
parts = model.decompose("clip.mp4")
```

## Where it comes from

* weights: {authors}, {paper}
* licence of the weights: {licence}
* what was imported, by its sha256:
{sums}
* tfdecomp {version}; the whole config is `config.gin`

{notes}{restriction}
It knows what it was trained on. On other data its masks mean little.
"""


@dataclasses.dataclass(frozen=True)
class Imported:
    """A model with published weights.

    Attributes:
        model: With these weights.
        config: Text of its gin config.
        origin: Where they come from: `system`, `preset`, `authors`, `paper`,
            `licence`, `notes`, and `files`, their checksums by name.
    """

    model: keras.Model
    config: str
    origin: dict


def read(system, path, preset=None):
    """Reads a published checkpoint; nothing is written.

    Args:
        system: `"provide"`, `"iodine"` or `"silot"`.
        path: Its checkpoint; see the `read` of each.
        preset: Gin file of the model; by default what the checkpoint's own
            shapes, or the folder that it was published in, say.

    Returns:
        An `Imported`.

    Raises:
        ImportRefusedError: If the checkpoint is not what was expected.
        ConfigError: If the preset is none.
    """
    module, path = SYSTEMS[system], pathlib.Path(path)
    arrays = module.read(path)
    preset = _named(preset or module.preset(arrays, path))
    with configs.isolated():
        model = _build(module, arrays, preset)
        config = configs.operative()
    found = module.rules(model)
    rules.check_covered(model, found)
    values = rules.values(arrays, found, module.SYSTEM)
    module.check_names(arrays, found)
    for variable, value in values:
        variable.assign(np.asarray(value, np.float32))
    origin = {
        "system": module.SYSTEM,
        "preset": preset,
        "files": {
            file.name: saving.sha256(file) for file in module.files(path)
        },
        **module.PUBLISHED,
    }
    return Imported(model, config, origin)


def write(imported, output, name):
    """Writes a folder that `tfdecomp.load` opens.

    Args:
        imported: From `read`.
        output: Folder, which exists and is empty.
        name: Name of the model.

    Returns:
        The content of `info.json`.
    """
    model, origin = imported.model, dict(imported.origin)
    output = pathlib.Path(output)
    saving.save_model(output, model)
    saving.atomic_write(output / configs.CONFIG_NAME, imported.config.encode())
    model.save_weights(output / packing.WEIGHTS_NAME)
    info = {
        "name": name,
        "licence": origin["licence"],
        "model": type(model).__name__,
        "parameters": model.count_params(),
        "step": None,
        "weights": "published",
        "storage": "float32",
        "seed": None,
        "command": None,
        "version": __version__,
        "protocol": None,
        "score": None,
        "imported": origin,
        "sha256": {
            file: saving.sha256(output / file) for file in packing.FILES
        },
    }
    saving.atomic_write(output / CARD_NAME, _card(info, model).encode())
    saving.write_json(output / packing.INFO_NAME, info)
    return info


def _named(preset):
    """A preset by its place in `gin/`, or as given if it lies elsewhere."""
    path, root = configs.find(preset).resolve(), configs.root().resolve()
    if not path.is_relative_to(root):
        return str(preset)
    return path.relative_to(root).as_posix()


def _build(module, arrays, preset):
    """The preset's model; afterwards its config is the active one."""
    configs.parse([preset])
    lines = module.bindings(arrays, configs.parameter)
    if lines:
        configs.parse([preset], lines)
    # Files hold float32, whatever the preset trains with.
    with saving.dtype_policy(keras.config.dtype_policy().name):
        return training.build_model()


def _card(info, model):
    """The README of the folder, as the Hugging Face Hub reads it."""
    height, width = model.image_size
    origin = info["imported"]
    sums = [f"{name} {digest}" for name, digest in origin["files"].items()]
    licence, preset = origin["licence"], origin["preset"]
    is_ours = (configs.root() / preset).is_file()
    return _CARD.format(
        tag=licence.lower(),
        system=origin["system"].lower(),
        name=info["name"],
        model=info["model"],
        parameters=info["parameters"],
        version=info["version"],
        file=next(iter(origin["files"])),
        preset=f"gin/{preset}" if is_ours else preset,
        authors=origin["authors"],
        paper=origin["paper"],
        licence=licence,
        sums="\n".join(f"  * `{line}`" for line in sums),
        height=height,
        width=width,
        channels=model.channels,
        notes=f"{origin['notes']}\n" if origin["notes"] else "",
        restriction=_NON_COMMERCIAL if "NC" in licence else "",
    )
