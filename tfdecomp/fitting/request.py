"""What a user wants of a fit; checked before TensorFlow is loaded."""

import dataclasses
import json

from tfdecomp.data.video import levels
from tfdecomp.fitting.inputs import fingerprint
from tfdecomp.prediction import options as options_lib
from tfdecomp.prediction.options import Options

INPUTS = ("difference", "given")  # as `data.building.moving_clips` has them
_NOT_COMPARED = ("minutes",)


@dataclasses.dataclass(frozen=True)
class Request:
    """What a user wants.

    Args:
        sources: Paths of videos of one scene, or of folders of frames.
        minutes: How long it may take in all, about.
        options: `prediction.options.Options`.
        model: Model to begin with.
        inputs: What the model sees: the `"difference"` from the background,
            or frames, with the background `"given"`.
        seed: Seed of the training.
    """

    sources: tuple
    minutes: float = 30.0
    options: Options = Options()
    model: str = "silot_motion"
    inputs: str = "difference"
    seed: int = 0

    def __post_init__(self):
        options_lib.real("minutes", self.minutes, 0, 10_000)
        options_lib.whole("seed", self.seed, *options_lib.SEEDS)
        if self.inputs not in INPUTS:
            raise ValueError(
                f"inputs must be one of {INPUTS}, got {self.inputs!r}"
            )
        if not self.sources:
            raise ValueError("there is no video to fit a model to")
        if self.options.link == "model":
            raise ValueError(
                "link='model' has no place in a fit, which follows what moves "
                "over the whole video; leave link out, or take 'online'"
            )

    def identity(self):
        """JSON-able; what two calls must share to be the same fit.

        Neither the places of the videos nor their names.
        """
        fields = dataclasses.asdict(self)
        for name in _NOT_COMPARED:
            fields.pop(name)
        # Fits from before there was such an option are the same fits.
        if fields["options"]["range"] == levels.AUTO:
            del fields["options"]["range"]
        fields["sources"] = [fingerprint(source) for source in self.sources]
        return json.loads(json.dumps(fields, default=str))
