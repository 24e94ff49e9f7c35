"""Weights to begin with: those of a model that was trained before."""

import difflib
import os
import pathlib

import numpy as np

from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.storage import catalogue, saving
from tfdecomp.storage.catalogue import WEIGHTS_NAME


def folder(name) -> pathlib.Path:
    """The folder of a model.

    Args:
        name: Name of a shipped model, a folder of weights, or the work
            directory of a run. A path that exists comes first.

    Raises:
        ValueError: If there is none of these.
    """
    path = pathlib.Path(os.path.expanduser(name))
    if name and path.is_dir():
        return path
    shipped = catalogue.folder()
    if name and os.sep not in name and (shipped / name).is_dir():
        return shipped / name
    known = sorted(p.name for p in shipped.iterdir() if p.is_dir())
    raise ValueError(
        f"training.run.initial_model is {name!r}, which is neither a folder "
        f"nor a shipped model; shipped are {', '.join(known)}"
    )


def load(name):
    """The model of a folder, with its weights; see `folder`."""
    path = folder(name)
    if not (path / WEIGHTS_NAME).is_file():
        return saving.restore_model(path)[0]
    return saving.load_packed(path, WEIGHTS_NAME)


def assign(model, name) -> tuple[int, list[str]]:
    """Gives a model the weights of another one.

    Weights are matched in their order by name and shape, so that a part which
    only one of the two has is passed over. Sizes of frames and numbers of
    slots may differ where no weight depends on them; a decoder whose blocks
    have another size draws the same picture at that size.

    Args:
        model: A built model.
        name: See `folder`.

    Returns:
        `(how many were taken over, paths of those that stay as they were)`.

    Raises:
        ValueError: If not one fits.
    """
    other = load(name)
    known, own = other.variables, model.variables
    matcher = difflib.SequenceMatcher(
        None, _keys(known), _keys(own), autojunk=False
    )
    left = set(range(len(own)))
    for there, here, count in matcher.get_matching_blocks():
        for n in range(count):
            own[here + n].assign(known[there + n])
            left.discard(here + n)
    left -= _resize(other, model)
    if len(left) == len(own):
        raise ValueError(
            f"no weight of {name} has the name and shape of one of this "
            f"{type(model).__name__}; begin with a model of the same kind"
        )
    return len(own) - len(left), [own[n].path for n in sorted(left)]


def _resize(other, model):
    """Fills a head that draws other blocks; which weights it has taken."""
    decoders = [getattr(m, "decoder", None) for m in (other, model)]
    if not all(isinstance(d, BroadcastDecoder) for d in decoders):
        return set()
    old, new = decoders
    taken = set()
    if (old.channels, bool(old.canvas_layers)) != (
        new.channels,
        bool(new.canvas_layers),
    ):
        return taken
    sides = old.upsample, new.upsample
    for there, here in zip(_block_weights(old), _block_weights(new)):
        values = _resized_blocks(there.numpy(), *sides, new.channels + 1)
        if here.shape == values.shape:
            here.assign(values)
            taken.add(
                next(n for n, v in enumerate(model.variables) if v is here)
            )
    return taken


def _block_weights(decoder):
    """Weights whose last axis counts pixels of blocks."""
    layers = [*decoder.canvas_layers[-1:], decoder.head]
    return [v for layer in layers for v in layer.variables]


def _resized_blocks(values, old, new, channels):
    """What draws blocks of `old x old` pixels draws `new x new`.

    A pixel takes the weights `[..., n * old * old * channels]` of that which
    covers its centre.
    """
    nearest = ((np.arange(new) + 0.5) * old / new).astype(int)
    blocks = values.reshape(*values.shape[:-1], -1, old, old, channels)
    blocks = blocks[..., nearest, :, :][..., nearest, :]
    return blocks.reshape(*values.shape[:-1], -1)


def _keys(variables):
    """What tells weights apart; paths count the models of a process."""
    return [(v.name, tuple(v.shape)) for v in variables]
