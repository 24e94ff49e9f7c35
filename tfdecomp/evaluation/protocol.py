"""What an evaluation counts: a protocol, stored in full beside each score."""

import dataclasses
import fnmatch

import gin

from tfdecomp.data import naming
from tfdecomp.types import IGNORE_ID

# What every score follows; kept with the score so that a reader need not
# know the code. See `tfdecomp.metrics.rand_index`.
RULES = {
    "ari": "all pixels, the background is a cluster like any other",
    "f_ari": "pixels whose true label is not 0",
    "ari, f_ari": "per frame, mean over frames, then over clips",
    "ari_clip, f_ari_clip": "a clip's pixels as one partition",
    "mse": "all pixels and channels, pictures in [0, 1]",
    "mse_copied": "the error of the last observed frame, shown again",
    "bce": "cross entropy of predicted frames, nats per frame, predictions "
    "kept within 1e-4 and 1 - 1e-4",
    "apart": "share of clips in which slots, matched one to one with objects "
    "on the observed frames, are on average within apart_distance pixels",
    "ignore_id": IGNORE_ID,
    "overlap": "arg max over slots, ties to the lower slot",
    "zero_by_zero": 1,
    "count": "slots with presence above 0.5 except slot 0, against the objects "
    "visible in a frame (num_objects where visibility is not known)",
    "location": "a visible object's centre counts if a location, or else the "
    "centre of a box, is within 2 pixels",
    "location, box_miou": "mean over a clip's objects, then over the clips "
    "that have any",
    "nll_bound": "minus the importance-weighted bound of log p(x), nats per "
    "clip",
    "elbo": "log likelihood of one posterior sample less its divergence, nats "
    "per frame, mean over frames, then over clips",
    "mi_same, mi_cross": "bits between a factor's samples and, a frame before, "
    "its own or another's (all ordered pairs); Kraskov's first estimator on "
    "the last mi_samples pairs of frames with mi_neighbours neighbours",
    "mi_same, mi_cross without factors": "of 20 random partitions of the "
    "latents the one with the largest difference, both above 0 if any is",
    "collapsed_latents": "latents with a mean divergence below 0.01 nats",
    "tracks": "a model's boxes with their track ids, or of masks the tight box "
    "of each slot's pixels, the slot being the track and of confidence 1, "
    "without the background (slot 0 of a model that knows it, else the slot "
    "with most observed pixels); true tracks are the boxes that are not empty, "
    "hidden objects among them, or of a segmentation what is seen",
    "tracks with overlap of masks": "the slot of each pixel against its label, "
    "pixels of label 255 left out; a slot has its own track id if the model "
    "gives one; masks of at most min_pixels pixels count for nothing, nor do "
    "slots whose IoU with a part of the background is above "
    "background_overlap, where that is set, or else the background's slot",
    "mota, motp, id_switches": "CLEAR MOT; a match has an IoU of at least "
    "iou_threshold, motp is the matches' mean IoU, id_switches are per clip",
    "idf1, hota": "idf1 at iou_threshold; hota over IoUs of 0.05 to 0.95",
    "ap": "frame by frame, boxes of any presence, IoU above 0.1 to 0.9, eleven "
    "recalls",
    "mota, motp, idf1, hota, ap": "of all clips together, not a mean of clips",
    "count of tracks": "where tracks are scored, boxes found (presence above "
    "0.5) against true boxes, in place of the visible objects",
}
_PER_CONDITION = ("conditions", "name", "fresh_seed", "seed")


@gin.register(module="evaluation")
@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is counted in an evaluation.

    Args:
        name: Its name, such as "table1".
        dataset: TFDS name with its config; by default the one the model was
            trained on.
        split: Split of the dataset, or a pattern (as of file names) of all
            splits to score together.
        num_clips: Clips to score, from the first; by default all of them.
            Several splits have the same share in them.
        num_frames: Observed frames per clip, from the first stored one; by
            default all that are stored.
        num_predicted: Frames to predict after the observed ones. Scores are
            then those of the predicted frames; the observed ones' stand
            beside them.
        skip_frames: Observed frames at the start that are not scored.
        num_slots: `K`; by default the model's.
        num_refinements: `R`; by default the model's.
        velocity: Whether to compare velocities in the predicted frames.
        velocity_shift: Frames between the two ends of a velocity.
        apart_distance: Whether to score the share of clips that are taken
            apart: pixels within which, on average, each object then has a slot
            of its own in the observed frames. By default none.
        places: Where a model's places come from, for these two: its own
            "locations", or boxes around its "masks".
        centres: Where true places come from: the dataset's "position", the
            boxes around its "segmentation", or "auto" for the first of the
            two that the set has.
        bound_samples: Samples of the importance-weighted bound of
            `log p(x)`, which many samples make slow; by default none.
        mi_samples: Pairs of neighbouring frames, the last ones, from which
            the mutual information of factors is estimated; 0 for none of it.
        mi_neighbours: Nearest neighbours of the estimate.
        tracking: Whether to score tracks, and of what: the model's own
            "boxes", those around its "masks", or "auto" for the first of the
            two that it gives; by default none.
        true_boxes: Where true tracks come from: the dataset's "boxes", those
            around its "segmentation", or "auto" for the first of the two that
            the set has.
        iou_threshold: Overlap from which boxes match (`mota`, `motp`,
            `id_switches` and `idf1`).
        overlap: What the overlap is of: tracks' "boxes", or the "masks" of
            slots and of the segmentation.
        min_pixels: Masks with no more pixels than this are left out, found
            and true; for the overlap of masks.
        background_overlap: Leave out masks whose overlap with a part of the
            background (see `entities`) is larger, in place of those of the
            model's background; for the overlap of masks.
        mota_drop_overfull: Whether to discard all found boxes of frames with
            more than twice as many as true ones, for `mota`, `motp` and
            `id_switches`.
        seed: Seed of the model's noise; each clip folds in its number.
        fresh_seed: Score newly generated clips of this seed instead of the
            stored ones (generated sets only).
        conditions: Dictionaries of arguments that replace the ones above,
            one for each column of a table, and `trained_on`: patterns (as of
            file names) of training sets that the condition is for. See
            `headline` for which one stands for all.

    Raises:
        ValueError: If a value makes no sense.

    Examples:
        >>> from tfdecomp.evaluation.protocol import Protocol
        >>> lengths = [{"num_frames": 10}, {"num_frames": 20}]
        >>> protocol = Protocol(conditions=lengths)
        >>> [p.num_frames for p in protocol.expand("a_set")]
        [10, 20]
    """

    name: str = "default"
    dataset: str | None = None
    split: str = "test"
    num_clips: int | None = None
    num_frames: int | None = None
    num_predicted: int = 0
    skip_frames: int = 0
    num_slots: int | None = None
    num_refinements: int | None = None
    velocity: bool = False
    velocity_shift: int = 1
    apart_distance: float | None = None
    places: str = "masks"
    centres: str = "auto"
    bound_samples: int | None = None
    mi_samples: int = 1000
    mi_neighbours: int = 3
    tracking: str | None = None
    true_boxes: str = "auto"
    iou_threshold: float = 0.5
    overlap: str = "boxes"
    min_pixels: int = 0
    background_overlap: float | None = None
    mota_drop_overfull: bool = False
    seed: int = 0
    fresh_seed: int | None = None
    conditions: tuple = ()

    def __post_init__(self):
        least = {
            "num_clips": 1,
            "num_frames": 1,
            "num_predicted": 0,
            "skip_frames": 0,
            "num_slots": 2,
            "num_refinements": 2,
            "velocity_shift": 1,
            "bound_samples": 0,
            "mi_samples": 0,
            "mi_neighbours": 1,
            "min_pixels": 0,
        }
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ValueError(
                    f"protocol {self.name!r}: {name} must be at least "
                    f"{lowest}, got {value}"
                )
        if 0 < self.mi_samples <= self.mi_neighbours:
            raise ValueError(
                f"protocol {self.name!r}: {self.mi_neighbours} neighbours need "
                f"more pairs of frames than mi_samples={self.mi_samples}; "
                "raise it, or set it to 0 for no mutual information"
            )
        self._check_frames()
        self._check_tracking()
        conditions = tuple(dict(c) for c in self.conditions)
        object.__setattr__(self, "conditions", conditions)
        known = {f.name for f in dataclasses.fields(self)}
        known = known - set(_PER_CONDITION) | {"trained_on"}
        for condition in conditions:
            unknown = sorted(set(condition) - known)
            if unknown:
                raise ValueError(
                    f"protocol {self.name!r}: a condition cannot set "
                    f"{', '.join(unknown)}; it may set "
                    f"{', '.join(sorted(known))}"
                )

    def _check_frames(self):
        if (
            self.num_predicted
            and self.num_frames is None
            and not (any("num_frames" in c for c in self.conditions))
        ):
            raise ValueError(
                f"protocol {self.name!r} predicts {self.num_predicted} frames "
                "but does not say after how many: set num_frames"
            )
        if self.num_frames is not None and self.skip_frames >= self.num_frames:
            raise ValueError(
                f"protocol {self.name!r}: skip_frames={self.skip_frames} "
                f"leaves none of {self.num_frames} frames to score"
            )
        if self.velocity and not self.num_predicted:
            raise ValueError(
                f"protocol {self.name!r} compares velocities in predicted "
                "frames; set num_predicted"
            )
        if self.apart_distance is not None and self.apart_distance <= 0:
            raise ValueError(
                f"protocol {self.name!r}: apart_distance must be above 0, got "
                f"{self.apart_distance}; leave it out for no such score"
            )
        if self.places not in ("locations", "masks"):
            raise ValueError(
                f"protocol {self.name!r}: places must be 'locations' or "
                f"'masks', got {self.places!r}"
            )
        if self.bound_samples and self.num_predicted:
            raise ValueError(
                f"protocol {self.name!r}: bound_samples={self.bound_samples} "
                "bounds the likelihood of observed frames; leave out "
                "num_predicted"
            )
        if self.centres not in ("auto", "position", "segmentation"):
            raise ValueError(
                f"protocol {self.name!r}: centres must be 'auto', 'position' "
                f"or 'segmentation', got {self.centres!r}"
            )

    def _check_tracking(self):
        for name, value, known in (
            ("tracking", self.tracking, (None, "auto", "boxes", "masks")),
            ("true_boxes", self.true_boxes, ("auto", "boxes", "segmentation")),
            ("overlap", self.overlap, ("boxes", "masks")),
        ):
            if value not in known:
                names = ", ".join(map(repr, known))
                raise ValueError(
                    f"protocol {self.name!r}: {name} must be one of {names}, "
                    f"got {value!r}"
                )
        of_masks = self.overlap == "masks"
        if of_masks and "boxes" in (self.tracking, self.true_boxes):
            raise ValueError(
                f"protocol {self.name!r}: the overlap of masks is that of "
                "tracking = 'masks' and true_boxes = 'segmentation'; got "
                f"{self.tracking!r} and {self.true_boxes!r}"
            )
        limit = self.background_overlap
        if not of_masks and (self.min_pixels or limit is not None):
            raise ValueError(
                f"protocol {self.name!r}: min_pixels and background_overlap "
                "are of masks; set overlap = 'masks'"
            )
        if limit is not None and not 0 <= limit < 1:
            raise ValueError(
                f"protocol {self.name!r}: background_overlap must be from 0 "
                f"to below 1, got {limit}"
            )
        if not 0 < self.iou_threshold <= 1:
            raise ValueError(
                f"protocol {self.name!r}: iou_threshold must be above 0 and at "
                f"most 1, got {self.iou_threshold}"
            )

    def expand(self, trained_on=None) -> list["Protocol"]:
        """One protocol without conditions for each condition that applies.

        Args:
            trained_on: Dataset that the model was trained on; stands in
                where no dataset is named.

        Raises:
            ValueError: If no condition is for such a model, or no dataset is
                known.
        """
        full = naming.full_name(trained_on) if trained_on else ""
        chosen = []
        for condition in self.conditions or ({},):
            condition = dict(condition)
            patterns = condition.pop("trained_on", "*")
            patterns = [patterns] if isinstance(patterns, str) else patterns
            if any(fnmatch.fnmatch(full, p) for p in patterns):
                chosen.append(
                    dataclasses.replace(self, conditions=(), **condition)
                )
        if not chosen:
            asked = sorted({str(c["trained_on"]) for c in self.conditions})
            raise ValueError(
                f"protocol {self.name!r} has no condition for a model trained "
                f"on {trained_on!r}, only on {', '.join(asked)}"
            )
        if not all(p.dataset or trained_on for p in chosen):
            raise ValueError(
                f"protocol {self.name!r} names no dataset, and the one that "
                "the model was trained on is not known; set "
                "evaluation.Protocol.dataset"
            )
        return [
            dataclasses.replace(
                p, dataset=naming.full_name(p.dataset or trained_on)
            )
            for p in chosen
        ]

    def headline(self, conditions) -> "Protocol":
        """The condition whose scores stand for all.

        The last one of the protocol's own split. So conditions of further
        splits may follow, such as that of a crowded test set.

        Args:
            conditions: From `expand`.
        """
        own = [c for c in conditions if c.split == self.split]
        return (own or conditions)[-1]

    def group_key(self, keep_length) -> "Protocol":
        """Equal for conditions that one pass over the longest can serve.

        Args:
            keep_length: Whether clips of different length need a pass each.
        """
        return dataclasses.replace(
            self,
            num_frames=self.num_frames if keep_length else None,
            num_predicted=min(self.num_predicted, 1),
            skip_frames=0,
            mi_samples=0,
            mi_neighbours=1,
        )

    def describe(self) -> dict:
        """All fields and the rules of scoring, as JSON can hold them."""
        fields = dataclasses.asdict(self)
        fields["conditions"] = list(fields["conditions"])
        return {**fields, "rules": dict(RULES)}
