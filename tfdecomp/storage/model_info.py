"""What the files of a trained model say about it, for people."""

import re

# The first one that a model has is shown in lists.
_MAIN_SCORES = {
    "apart": "clips apart",
    "mota": "MOTA",
    "count_accuracy": "count accuracy",
    "f_ari": "F-ARI",
    "elbo": "ELBO",
    "nll_bound": "NLL bound",
    "mse": "MSE",
}
_DRAWING = ("decoder", "generator", "sprite_decoder", "renderer")
_WIDTHS = ("filters", "hidden", "dense", "canvas_units", "upsample")
_TRAINING = {
    "steps of training": "num_steps",
    "clips of a step": "batch_size",
    "frames of a clip": "clip_length",
}
_MACROS = 8  # that name each other; a circle has no value
_DIFFERENCES = "tfdecomp_moving_things/"  # a dataset of difference pictures
_CARD = """\
---
library_name: tfdecomp
license: {licence_tag}
tags:
- object-centric
- unsupervised
- video
- {tag}
---

# {name}

{model}, trained without labels{data}; {parameters:,} parameters. It takes
frames of {height}x{width} pixels with {channels} channels apart.

```python
import tfdecomp

model = tfdecomp.load("{name}")  # this folder, or OWNER/{name} on the Hub
model.predict("clip.mp4", "out/")  # masks, tracks, videos
parts = model.decompose("clip.mp4")  # arrays
```

## Scores

{scores}

## Where it comes from

* trained by `{command}`, seed {seed}, step {step}, weights `{weights}`
* tfdecomp {version}; the whole config is `config.gin`
* licence: {licence}; checksums are in `info.json`, and loading checks them

It knows what it was trained on. On other data its masks mean little.
"""


def setting(config, name) -> str | None:
    """Value of a line of a gin config, as text; macros are looked up.

    Args:
        config: The text.
        name: Such as `"training.run.dataset"`.
    """
    value = f"%{name}"
    for _ in range(_MACROS):
        name = re.escape(value[1:])
        found = re.search(rf"^{name} = (.*)$", config, re.M)
        if found is None:
            return None
        value = found[1].strip()
        if not value.startswith("%"):
            return value
    return None


def sees(config) -> str:
    """What a model of this config reads of a video.

    Returns:
        `"frames"`; `"difference"`, how far they are from a background; or
        `"background"`, frames and the background.
    """
    dataset = setting(config, "training.run.dataset") or ""
    if "data.moving_clips" in dataset:
        inputs = setting(config, "data.moving_clips.inputs") or "'difference'"
        return "background" if "given" in inputs else "difference"
    return "difference" if _DIFFERENCES in dataset else "frames"


def trained_on(config) -> str | None:
    """Name of the dataset that a config trains on, if it is a name."""
    value = setting(config, "training.run.dataset")
    if value is None or value[:1] not in "'\"":
        return None
    return value.strip("'\"").removeprefix("tfdecomp_")


def setup(model, config) -> dict[str, str]:
    """What beside its method can make a model better than another.

    Args:
        model: The `model` of its `model.json`, serialised by Keras.
        config: Text of its gin config.

    Returns:
        Name -> value, as a table shows them; without what does not apply.
    """
    own = model["config"]
    own = own if isinstance(own, dict) else {}
    parts = {
        name: part
        for name, part in own.items()
        if name in _DRAWING and isinstance(part, dict)
    }
    found = {
        "latents of a slot": own.get("latent_dim") or own.get("factor_dim"),
        "width of the recurrence": own.get("units"),
        "decoder": ", ".join(map(_drawing, parts.values())),
    }
    for title, name in _TRAINING.items():
        found[title] = setting(config, f"training.run.{name}")
    return {name: str(v) for name, v in found.items() if v not in (None, "")}


def _drawing(part) -> str:
    """A part that draws: its class and the widths of its layers."""
    own = part.get("config") or {}
    widths = [f"{name} {own[name]}" for name in _WIDTHS if own.get(name)]
    return " ".join([str(part.get("class_name", "?")), *widths])


def main_score(info) -> str | None:
    """The score that tells most about a model, such as `"F-ARI 0.938"`."""
    score = info.get("score") or {}
    for name, title in _MAIN_SCORES.items():
        if score.get(name) is not None:
            return f"{title} {score[name]:.3f}"
    return None


def size(paths) -> str:
    """Size of files together, such as `"0.7 MiB"`."""
    return f"{sum(path.stat().st_size for path in paths) / 2**20:.1f} MiB"


def aligned(rows) -> str:
    """Dictionaries with the same keys as a table for a terminal."""
    if not rows:
        return "none in this installation"
    lines = [list(rows[0])]
    lines += [[value or "" for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(map(str.ljust, line, widths)).rstrip() for line in lines
    )


def card(info, model, config) -> str:
    """The README of a published model, as the Hugging Face Hub reads it.

    Args:
        info: Content of its `info.json`.
        model: The model.
        config: Text of its `config.gin`.
    """
    score, protocol = info.get("score"), info.get("protocol")
    if score:
        lines = ["| | |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in score.items()]
        scores = "\n".join(lines)
        if protocol:
            split = protocol.get("split")
            scores += f"\n\nProtocol `{protocol['name']}`, split `{split}`."
    else:
        scores = "Not measured."
    data = trained_on(config)
    height, width = model.image_size
    return _CARD.format(
        **info | {"command": info.get("command") or "a command of its own"},
        licence_tag=info["licence"].lower(),
        tag=info["model"].lower(),
        data=f" on `{data}`" if data else "",
        height=height,
        width=width,
        channels=model.channels,
        scores=scores,
    )
