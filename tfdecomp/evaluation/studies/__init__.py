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


def find(name):
    """The class of a study.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in NAMES:
        raise ValueError(
            f"there is no study {name!r}; there are {', '.join(NAMES)}"
        )
    return getattr(importlib.import_module(f"{__name__}.{name}"), NAMES[name])
