"""What every system is checked with: a tiny model, a tiny batch, a line each.

Run as a program, it trains systems on two devices and prints their scalars,
as devices can be split only before TensorFlow has started:
`python -m tests.models.battery NAME ...`.
"""

import dataclasses
import functools
import inspect
import json
import sys
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tests.models.tiny import (
    tiny_ddpae,
    tiny_dvip,
    tiny_iodine,
    tiny_lavae,
    tiny_monet,
    tiny_provide,
    tiny_rnem,
    tiny_silot,
    tiny_sqair,
    tiny_vaes,
)
from tfdecomp.models.background_subtraction import BackgroundSubtraction
from tfdecomp.models.connected_components import ConnectedComponents
from tfdecomp.models.conv_vae import ConvVAE
from tfdecomp.models.ddpae import DDPAE
from tfdecomp.models.dvip import DVIP
from tfdecomp.models.iodine import IODINE
from tfdecomp.models.lavae import LAVAE
from tfdecomp.models.monet import MONet
from tfdecomp.models.provide import PROVIDE
from tfdecomp.models.rnem import RNEM
from tfdecomp.models.seq_iodine import SequentialIODINE
from tfdecomp.models.silot import SILOT
from tfdecomp.models.sqair import SQAIR
from tfdecomp.models.vae import VAE
from tfdecomp.prediction.stream import PER_FRAME, Stream
from tfdecomp.training import optimizers
from tfdecomp.training import strategy as strategy_lib
from tfdecomp.training.checkpoints import State
from tfdecomp.training.settings import Settings
from tfdecomp.training.step import TrainStep

B, T = 2, 3
SEED = 5  # of the second clip, so that none has the seed of its place
NOISE_SEED = 7  # of training


@dataclasses.dataclass(frozen=True)
class System:
    """One system of the battery.

    Attributes:
        cls: Its class.
        make: `() -> model`, built, the same one at every call.
        video: `() -> [2, 3, H, W, C]`, uint8, or floating point in `[0, 1]`.
        idle: `(model) -> weights` that no gradient reaches.
        given: Name -> `[2, ...]`, what the model reads beside the video.
    """

    cls: type
    make: Callable
    video: Callable
    idle: Callable = lambda model: ()
    given: dict = dataclasses.field(default_factory=dict)

    def __str__(self):
        return self.cls.__name__

    @property
    def learns(self):
        return self.cls.cannot_train is None

    def can(self, *names):
        return all(hasattr(self.cls, name) for name in names)

    def takes(self, name):
        return name in inspect.signature(self.cls.call).parameters


def _three(function, **options):
    return functools.partial(function, frames=T, **options)


_SEQ_IODINE = functools.partial(
    tiny_iodine.tiny, SequentialIODINE, num_refinements=1
)
_LAVAE = functools.partial(
    tiny_lavae.tiny, finder=False, count_threshold=-9.0, auxiliary_weight=0.5
)
_SILOT = functools.partial(
    tiny_silot.tiny, sample_in_evaluation=True, independent_propagation=False
)
_SQAIR = functools.partial(tiny_sqair.tiny, sample_in_evaluation=True)
_DDPAE = functools.partial(tiny_ddpae.tiny, sample_in_evaluation=True)
_CONNECTED = functools.partial(
    ConnectedComponents, image_size=tiny_silot.SIZE, num_slots=5
)
_SUBTRACTION = functools.partial(BackgroundSubtraction, num_slots=5)

_CLIPS = _three(tiny_silot.clips)  # squares that move
_BLACK = {"background": np.zeros((B, tiny_silot.SIZE, tiny_silot.SIZE, 3))}


def _blind(model):
    """The prior sees zeros where propagation sees the frame."""
    return model.prior.heads["what_seen"].kernels[:1]


SYSTEMS = (
    System(VAE, tiny_vaes.vector, _three(tiny_vaes.video)),
    System(ConvVAE, tiny_vaes.grid, _three(tiny_vaes.binary)),
    System(IODINE, tiny_iodine.tiny, _three(tiny_iodine.video)),
    System(SequentialIODINE, _SEQ_IODINE, _three(tiny_iodine.video)),
    System(PROVIDE, tiny_provide.tiny, _three(tiny_provide.video)),
    System(MONet, tiny_monet.tiny, _three(tiny_monet.video)),
    System(LAVAE, _LAVAE, tiny_lavae.clips),
    System(DVIP, tiny_dvip.tiny, _three(tiny_dvip.video)),
    System(RNEM, tiny_rnem.tiny, _three(tiny_rnem.video)),
    System(DDPAE, _DDPAE, _three(tiny_ddpae.video)),
    System(SILOT, _SILOT, _CLIPS, idle=_blind),
    System(SQAIR, _SQAIR, _three(tiny_sqair.clips)),
    System(ConnectedComponents, _CONNECTED, _CLIPS),
    System(BackgroundSubtraction, _SUBTRACTION, _CLIPS, given=_BLACK),
)
LEARNING = [system for system in SYSTEMS if system.learns]


def those_that(*names):
    """The systems with methods of these names."""
    return [system for system in SYSTEMS if system.can(*names)]


def inputs_of(system):
    """A batch of pixels that bytes hold, each clip with its own seed."""
    video = np.asarray(system.video())
    if video.dtype != np.uint8:
        video = np.uint8(np.round(255 * video))
    seed = tf.constant([[SEED, 1], [SEED, 0]])
    video = tf.constant(np.float32(video) / 255)
    return {"video": video, "seed": seed, **system.given}


class Tiny:
    """What the checks of one system share; each part is made once."""

    def __init__(self, system):
        self.system = system

    @functools.cached_property
    def model(self):
        return self.system.make()

    @functools.cached_property
    def inputs(self):
        return inputs_of(self.system)

    @functools.cached_property
    def outputs(self):
        """Of the batch, eagerly."""
        return self.model(self.inputs)

    @functools.cached_property
    def encoded(self):
        """The codes of the batch, eagerly, where there are some."""
        return self.model.encode(self.inputs)

    @functools.cached_property
    def stream(self):
        """Reads the second clip, of bytes, compiled for any length."""
        names = (*PER_FRAME, "loss", "nll", "kl")
        given = {n: value[1:] for n, value in self.system.given.items()}
        return Stream(self.model, names=names, given=given)

    @functools.cached_property
    def whole(self):
        """What the stream says of all frames at once."""
        return self.read(0, T)

    def read(self, *cuts, seed=SEED):
        """The second clip through the stream, cut at these frames.

        Returns:
            Name -> `[T, ...]`, or the sum over the chunks.
        """
        self.stream.restart(seed)
        video = np.uint8(np.round(255 * self.inputs["video"][1]))
        parts = [self.stream(video[a:b]) for a, b in zip(cuts, cuts[1:])]
        return {
            name: np.concatenate([part[name] for part in parts])
            if value.ndim
            else sum(part[name] for part in parts)
            for name, value in parts[0].items()
        }

    @functools.cached_property
    def training(self):
        return Training(self.system)


def first_outputs(model, video, clip):
    """What the first step of `Training` reads off a clip, eagerly."""
    seed = tf.constant([[NOISE_SEED, clip]])
    inputs = {"video": video[clip : clip + 1], "seed": seed}
    return model(inputs, training=True)


def first_step(model, video, clip):
    """What the first step of `Training` finds in a clip, eagerly.

    Returns:
        `(outputs, gradients)`, the latter of the clip's share of the loss, for
        each trainable weight.
    """
    with tf.GradientTape() as tape:
        outputs = first_outputs(model, video, clip)
        loss = outputs["loss"][0] / B
    return outputs, tape.gradient(
        loss,
        [v.value for v in model.trainable_variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


class Training:
    """The training loop's steps on one batch that never changes.

    Each clip is a micro-batch of its own, as it is on two devices: batch norm
    normalises each alone.

    Args:
        system: A `System`.
        devices: Names.
        count: How many steps to take at once.

    Attributes:
        start: The weights before the first step.
        history: Name -> `[count]`, the scalars of these steps.
        state: What a checkpoint holds.
    """

    def __init__(self, system, devices=("CPU:0",), count=40):
        self.video = inputs_of(system)["video"].numpy()
        self.strategy = strategy_lib.make_strategy(list(devices))
        with self.strategy.scope():
            self.model = system.make()
            self.settings = Settings(
                self.model,
                lambda **_: None,
                num_steps=1000,
                batch_size=B,
                micro_batch_size=1,
                optimizer=optimizers.Adam(0.01),
            )
            weights = self.model.trainable_variables
            self.settings.optimizer.build(
                [w.value for w in weights], [w.path for w in weights]
            )
        self.step = TrainStep(self.strategy, self.settings, NOISE_SEED)
        self.state = State(self.settings, (), self.step.initial_carry())
        self.start = [w.numpy() for w in weights]
        self.history = self.run(count)

    def run(self, count, video=None):
        """Name -> `[count]`, of as many steps."""
        batch = {
            "video": self.video if video is None else video,
            "clip_index": np.arange(B),
        }
        data = tf.data.Dataset.from_tensors(batch).repeat()
        data = iter(strategy_lib.distribute(self.strategy, data))
        rows, self.state.carry = self.step(
            data, self.state.step, count, self.state.carry
        )
        self.state.step += count
        return dict(zip(self.step.names, np.asarray(rows).T))

    def arrays(self):
        """All that a step may change, but for its number."""
        arrays, _ = self.state.capture()
        return {n: v for n, v in arrays.items() if not n.startswith("carry")}


def _train_on_two_devices(names):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    # Three steps are not worth the rewriting of two graphs.
    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": True}
    )
    found = {}
    for system in SYSTEMS:
        if str(system) in names:
            history = Training(system, ("CPU:0", "CPU:1"), count=3).history
            found[str(system)] = {n: v.tolist() for n, v in history.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    _train_on_two_devices(sys.argv[1:])
