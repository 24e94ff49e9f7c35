"""Studies of the papers: a model and images in, findings out."""

import importlib

# Name of each study to its class; the module has the name of the study.
NAMES = {
    "factors": "Factors",
    "refinements": "Refinements",
    "slots": "Slots",
    "more_objects": "MoreObjects",
    "held_out": "HeldOut",
    "multistability": "Multistability",
    "latent_space": "LatentSpace",
    "traversals": "Traversals",
    "input_ablation": "InputAblation",
    "reconstructions": "Reconstructions",
    "generation": "Generation",
    "swap": "Swap",
    "location_traversal": "LocationTraversal",
    "independent_generations": "IndependentGenerations",
    "factor_objects": "FactorObjects",
    "correlation": "Correlation",
    "rollout_error": "RolloutError",
}
_OF_LATENTS = {
    "factors",
    "latent_space",
    "traversals",
    "location_traversal",
    "factor_objects",
    "correlation",
}


def find(name):
    """The class of a study.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in NAMES:
        raise ValueError(
            f"there is no study {name!r}; there are {', '.join(NAMES)}"
        )
    room = f"{__name__}.latents" if name in _OF_LATENTS else __name__
    return getattr(importlib.import_module(f"{room}.{name}"), NAMES[name])
