"""Whether the parts of a SILOT fit together."""

import keras

_SHARED = ("what_dim", "units", "features", "size_range")
_OF_PROPAGATION = ("use_position", "size_prior", "relaxation")


def check(model):
    """Refuses parts that do not.

    Args:
        model: A `models.SILOT` with all of its parts.

    Raises:
        ValueError: If one does not fit; says what to set.
    """
    if model.num_slots < 2:
        raise ValueError(
            "num_slots must be one for the background and at least one "
            f"for objects, got {model.num_slots}"
        )
    if not model.prior.is_prior or model.propagation.is_prior:
        raise ValueError(
            "propagation must see frames and prior must not: set "
            "prior/layers.Propagation.is_prior = True and no other"
        )
    if model.backbone.features != model.features:
        raise ValueError(
            f"discovery reads {model.features} features of a cell, the "
            f"backbone gives {model.backbone.features}; set both alike"
        )
    readers = [model.discovery, model.propagation, model.prior]
    drawers = [model.renderer]
    if isinstance(model.background, keras.layers.Layer):
        drawers.append(model.background)
    for part in readers + drawers:
        if part.channels != model.channels:
            raise ValueError(
                f"the model has {model.channels} channels, {part.name} "
                f"{part.channels}; set CHANNELS for all"
            )
    for part in readers[1:]:
        for name in _SHARED:
            here, there = getattr(model.discovery, name), getattr(part, name)
            if here != there:
                raise ValueError(
                    f"{name} must be the same everywhere, got {here} in "
                    f"discovery and {there} in {part.name}"
                )
    for name in _OF_PROPAGATION:
        if getattr(model.propagation, name) != getattr(model.prior, name):
            raise ValueError(
                f"{name} must be the same in propagation and prior"
            )
