"""Two passes over a video: what is there, then who is who.

The first pass runs the model over every frame and keeps what it finds on
disk. Identities are then decided over the whole video, and the second pass
writes them, in memory that does not grow with the video but by a few numbers
for every object and frame.
"""

import collections
import contextlib
import dataclasses
import itertools

import numpy as np
from scipy import ndimage

from tfdecomp.data.video import video_io, video_writer
from tfdecomp.motion import linking
from tfdecomp.motion.detections import FILLED
from tfdecomp.motion.portraits import Portraitist
from tfdecomp.prediction import finding, likeness, trust
from tfdecomp.prediction.ahead import AtOnce, ahead
from tfdecomp.prediction.files import folder as folder_lib
from tfdecomp.prediction.files import kinds, mot, tracks
from tfdecomp.prediction.files.growing_npz import GrowingNpz
from tfdecomp.prediction.footage import Frame
from tfdecomp.visualization import palette, report, tracking_video

_LATENTS = ("slots", "presence", "track_ids")
_OF_OBJECTS = frozenset(["masks", "overlay", "tracks", "mot"])  # of `kinds`
_AHEAD_BYTES = 2**27  # of frames that are decoded before they are needed
_THUMBNAIL = 200  # pixels of a side, at most
_GAP_SECONDS = 1.0  # that a track may be unseen where objects come and go
REPORT_NAME, DOUBTFUL_NAME = "report.html", "doubtful.csv"


class Job:
    """One video, one model that gives boxes, and what was chosen for them.

    Args:
        stream: A `Stream` that gives `owner`, `boxes` and `presence`.
        footage: The `Footage`.
        choice: A `choosing.Choice`.
        options: `runner.Options`.
        reference: What the model's own data have, see `trust.figures_of`.

    Attributes:
        can_fit: Whether training on this video is advised where it would
            help.
    """

    can_fit = True

    def __init__(self, stream, footage, choice, options, reference=None):
        self.stream, self.footage, self.options = stream, footage, options
        self.view, self.facts = choice.view, choice.facts
        self.problems = choice.problems
        self.reference = reference
        self.model = stream.model
        self.background = self.model.background_slot


@dataclasses.dataclass
class Tracked:
    """A video with its identities.

    Attributes:
        found: `finding.Found`.
        linked: One `Linked` per frame.
        baseline: The same by background subtraction; empty without a scene.
        episodes: Doubtful stretches, see `motion.linking.episodes`.
        identities: What looks came to, see `motion.portraits.Album`; empty
            where motion alone decides.
    """

    found: finding.Found
    linked: list
    baseline: list
    episodes: list
    identities: dict = dataclasses.field(default_factory=dict)


def link(
    found, view, options, rate, compares=True, should_stop=None
) -> Tracked:
    """Decides who is who.

    Args:
        found: From the first pass.
        view: Its `View`.
        options: `runner.Options`.
        rate: Frames per second.
        compares: Whether the baseline is linked, too, if there is one.
        should_stop: True ends learning what animals look like.
    """

    def foreground(t):
        mask = found.maps.get(t, "foreground")
        return mask, view.frame_size[0] / view.fine.size[0]

    settings = {
        "num_objects": options.objects,
        "frame_size": view.frame_size,
        "max_gap": max(2, round(_GAP_SECONDS * rate)),
    }
    seen = foreground if view.scene is not None else None
    album = likeness.album(found, options.seed, should_stop)
    linked = linking.link(
        found.detections,
        mode=options.link,
        foreground=seen,
        album=album,
        **settings,
    )
    baseline = []
    if found.baseline and compares:
        baseline = linking.link(
            found.baseline, mode=options.link, foreground=seen, **settings
        )
    episodes = linking.episodes(linked, found.detections)
    identities = {} if album is None else album.outcome
    return Tracked(found, linked, baseline, episodes, identities)


def objects(tracked, view, number):
    """The objects of a frame.

    Args:
        tracked: `Tracked`.
        view: The `View`.
        number: Number of the frame among those found.

    Returns:
        `(ids [H, W] uint8 as in mask pictures, list of tracks.Object)`.
    """
    found, linked = tracked.found, tracked.linked[number]
    owner = found.maps.get(number, "owner")
    foreground = found.maps.get(number, "foreground")
    # Places in the list, as values of ids come again after 254.
    view = view.fine
    slots = found.slots[number]
    detections = found.detections[number]
    table = np.zeros(1 + max(slots.max(initial=0), owner.max()), np.uint16)
    for place, source in enumerate(linked.sources, 1):
        if source != FILLED:
            table[slots[source]] = place
    small = table[owner]
    if foreground is not None:
        windows = _windows(small, len(linked.ids))
        for place, box in enumerate(linked.boxes, 1):
            if windows[place - 1] is None:
                _claim(small, place, foreground, view.small_boxes(box))
    places = view.ids(small)
    ids = np.zeros(places.shape, np.uint8)
    listed = []
    for n, window in enumerate(_windows(small, len(linked.ids))):
        source, key = int(linked.sources[n]), int(linked.ids[n])
        is_filled = source == FILLED
        # Frames are large, and what is in them is small.
        mask, area = np.zeros(places.shape, bool), 0
        if window is not None:
            window = view.around(window)
            inside = places[window] == n + 1
            mask[window], area = inside, int(np.count_nonzero(inside))
            value = np.uint8(tracking_video.id_value(key))
            np.copyto(ids[window], value, where=inside)
        listed.append(
            tracks.Object(
                id=key,
                slot=-1 if is_filled else _slot(slots[source], found),
                box=linked.boxes[n],
                area=area,
                mask=mask,
                presence=0.0 if is_filled else float(detections.scores[source]),
                filled=is_filled,
                doubt=float(linked.doubts[n]),
                window=window,
            )
        )
    return ids, listed


def _windows(places, count):
    """The window of each number from 1 to `count`; None where it is not."""
    found = ndimage.find_objects(places, count) if count else []
    return found + [None] * (count - len(found))


def _slot(slot, found):
    """A slot's number; -1 of what moves although no slot explains it."""
    return int(slot) if slot < found.num_slots else -1


def _claim(small, place, foreground, box):
    """Gives an object without a mask what moves in its box, in place."""
    top, left = np.floor(box[:2]).astype(int)
    bottom, right = np.ceil(box[2:]).astype(int)
    window = slice(max(0, top), bottom), slice(max(0, left), right)
    part = small[window]
    part[foreground[window] & (part == 0)] = place


class Writers:
    """All files of the second pass; each is closed whatever happens.

    Args:
        path: Folder.
        job: The `Job`.
        tracked: `Tracked`.
        record: Content of `prediction.json` so far.
        write: Names of what is written, see `files.kinds`.
    """

    def __init__(self, path, job, tracked, record, write=kinds.TWO_PASSES):
        self.path, self.job, self.tracked = path, job, tracked
        self._write, self._at_once = write, AtOnce(1)
        footage, view = job.footage, job.view
        self._overlay = video_writer.VideoWriter(
            path / "overlay.mp4", footage.rate, footage.is_timed
        )
        source = record["source"]
        names = ("name", "height", "width")
        self._texts = []
        if "tracks" in write:
            facts = {name: source[name] for name in names}
            self._texts.append(tracks.TrackFiles(path, record, facts))
        if "mot" in write:
            self._texts.append(mot.MotFile(path))
        self._painter = tracking_video.TrackPainter()
        self._plan = collections.defaultdict(list)
        if "report" in write:
            for number, region in report.thumbnail_plan(
                self.doubtful(),
                _table(tracked, tracked.linked),
                len(tracked.found),
                view.frame_size,
            ):
                self._plan[number].append(region)
        self.thumbnails = {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.ExitStack() as closing:
            closing.callback(self._at_once.close)
            # The overlay comes first: if it fails, that makes room.
            for text in reversed(self._texts):
                closing.callback(text.close)
            closing.callback(self._overlay.close)

    @property
    def shows(self):
        """Whether the pixels of frames are needed."""
        return not {"overlay", "report"}.isdisjoint(self._write)

    def doubtful(self):
        """The doubtful stretches as the report wants them."""
        found = self.tracked.found
        return [
            report.Doubtful(
                first=entry["first"],
                last=entry["last"],
                time=found.times[entry["first"]],
                ids=tuple(sorted(int(key) for key in entry["ids"])),
                kind=entry["kind"],
                doubt=float(entry["doubt"]),
                sentence=_sentence(entry),
            )
            for entry in self.tracked.episodes
        ]

    def add(self, number, frame):
        """Writes one frame to all files, or to none."""
        if not _OF_OBJECTS.isdisjoint(self._write):
            self._add_objects(number, frame)
        for region in self._plan.get(number, ()):
            # The page draws boxes and numbers itself.
            self.thumbnails[number, region] = _thumbnail(frame.pixels, region)

    def _add_objects(self, number, frame):
        ids, listed = objects(self.tracked, self.job.view, number)
        mask = self.path / "masks" / tracks.mask_name(frame.number)

        def draw():
            boxes = {entry.id: entry.box for entry in listed}
            marked = self._painter.paint(frame.pixels, boxes, ids)
            self._overlay.add(marked, frame.time)

        def note():
            if "masks" in self._write:
                video_io.write_png(mask, ids, palette.id_colors())
            for text in self._texts:
                text.add(frame, listed)

        with folder_lib.taken_back(mask):
            self._at_once(note, *[draw] * ("overlay" in self._write))
        for text in self._texts:
            text.keep()


def _thumbnail(picture, region):
    """PNG of a region `(ymin, xmin, ymax, xmax)` of a picture."""
    top, left, bottom, right = map(int, region)
    part = picture[top:bottom, left:right]
    step = max(1, -(-max(part.shape[:2]) // _THUMBNAIL))
    return video_io.encode_png(np.ascontiguousarray(part[::step, ::step]))


def _sentence(entry):
    keys = sorted(int(key) for key in entry["ids"])
    names = " and ".join(map(str, keys))
    several = len(keys) > 1
    return {
        "crossing": f"{names} meet; they may have changed numbers"
        if several
        else f"{names} meets another one; numbers may have changed",
        "vanishing": f"{names} {'are' if several else 'is'} not seen; the "
        "place was filled in",
        "jump": f"{names} moved further than usual",
    }.get(entry["kind"], f"{entry['kind']} of {names}")


def _table(tracked, linked):
    found = tracked.found
    counts = [len(frame.ids) for frame in linked]
    frames = np.repeat(np.arange(len(linked)), counts)

    def joined(name, empty):
        parts = [getattr(frame, name) for frame in linked]
        return np.concatenate(parts) if parts else np.zeros(empty)

    return report.TrackTable(
        frames=frames,
        times=np.asarray(found.times, float)[frames],
        ids=joined("ids", 0).astype(int),
        boxes=joined("boxes", (0, 4)),
        doubts=joined("doubts", 0),
        filled=joined("sources", 0) == FILLED,
    )


def write_doubtful(path, writers):
    """Writes `doubtful.csv`."""
    text = report.doubtful_csv(writers.doubtful())
    folder_lib.write_text(path / DOUBTFUL_NAME, text)


def write_report(path, job, tracked, writers, facts, verdict):
    """Writes `report.html`."""
    view, footage = job.view, job.footage
    doubtful = writers.doubtful()
    background = None
    if view.scene is not None:
        picture = view.fine.scene.background.picture
        background = video_io.encode_png(
            np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        )
    table = _table(tracked, tracked.linked)
    baseline = None
    if tracked.baseline:
        baseline = _table(tracked, tracked.baseline)
    page = report.render(
        footage.name,
        facts=[*facts, *_identities(tracked.identities)],
        table=table,
        doubtful=doubtful,
        thumbnails=writers.thumbnails,
        background=background,
        baseline=baseline,
        verdict=verdict,
        num_frames=len(tracked.found),
        rate=footage.rate,
        size=view.frame_size,
        count=job.options.objects,
    )
    folder_lib.write_text(path / REPORT_NAME, page)


def run(job, path, record, progress, should_stop, write=kinds.TWO_PASSES):
    """Fills a folder.

    Args:
        job: The `Job`.
        path: The folder.
        record: Content of `prediction.json`; grows.
        progress: Called with the numbers of frames done and of all; each of
            the two passes counts for half.
        should_stop: Called after every chunk and frame. True ends the first
            pass, and what was found is written; true anew, after it was
            false in between, ends that, too.
        write: Names of what is written, see `files.kinds`.

    Returns:
        The state: `folder.FINISHED`, `INTERRUPTED`, or `FAILED` with an
        `error` in the record, if the source ended early.
    """
    total = job.footage.num_frames
    latents = GrowingNpz(path / "latents.npz")
    finder = _finder(job, path)

    def keep(frame, picture, outputs):
        if "latents" not in write:
            return
        row = {name: outputs[name] for name in _LATENTS if name in outputs}
        row["boxes"] = job.view.boxes(outputs["boxes"])
        latents.add({**row, "frame": frame.number, "time": frame.time})

    state, found = folder_lib.FINISHED, finder.found
    try:
        for done in finder.run(_ahead(job), keep):
            progress((done + 1) // 2, total)
            if should_stop():
                state = folder_lib.INTERRUPTED
                break
        if not len(found) and found.end is not None:
            raise found.end
        tracked = link(
            found,
            job.view,
            job.options,
            job.footage.rate,
            "report" in write,
            should_stop,
        )
        if should_stop():  # what was found is written all the same
            should_stop = _anew(should_stop)
        if tracked.identities:
            record["identities"] = tracked.identities
        record["trust"] = _trust(job, tracked)
        if "latents" in write:
            for number in range(len(found)):
                latents.add({"ids": _ids_of_slots(tracked, number)})
        _write(job, path, record, tracked, progress, should_stop, write)
    finally:
        found.maps.close()
        latents.close(record["num_frames"])
    if found.end is not None:
        record["error"] = str(found.end)
        return folder_lib.FAILED
    if record["num_frames"] < len(found):
        return folder_lib.INTERRUPTED
    return state


def _anew(should_stop):
    """The same question, answered no until it was answered so again."""
    was_no = False

    def ask():
        nonlocal was_no
        stops = bool(should_stop())
        was_no |= not stops
        return stops and was_no

    return ask


def _finder(job, scratch=None):
    return finding.Finder(
        job.stream,
        job.view,
        job.options.chunk,
        scratch,
        joins=job.options.objects is None,
        portraitist=_portraitist(job),
    )


def _portraitist(job):
    """Of animals whose number is known: only they are recognised."""
    options, scene = job.options, job.view.fine.scene
    several = options.objects is not None and options.objects > 1
    if scene is None or not several or options.link != "offline":
        return None
    unit = job.view.frame_size[0] / scene.size[0]
    total = options.objects * (job.footage.num_frames or 0)
    every = max(1, total // likeness.MOST)
    return Portraitist(scene.background.picture, scene.length * unit, every)


def decompose(job) -> dict:
    """The same in memory.

    Args:
        job: The `Job`.

    Returns:
        `boxes` `[T, K, 4]` in pixels of the input, `presence`, `slots`,
        `track_ids` `[T, K]` of the model and `linked_ids` `[T, K]`, who is
        who after all; `ids` `[T, H, W]` and `tracks` as in
        `runner.decompose`, places that were filled in among them; `trust`.
    """
    finder = _finder(job)
    rows = []

    def keep(frame, picture, outputs):
        row = {name: outputs[name] for name in _LATENTS if name in outputs}
        rows.append({**row, "boxes": job.view.boxes(outputs["boxes"])})

    found = finder.found
    try:
        for _ in finder.run(_ahead(job), keep):
            pass
        if found.end is not None:
            raise found.end
        tracked = link(found, job.view, job.options, job.footage.rate)
        numbers = range(len(found))
        ids, listed = zip(*(objects(tracked, job.view, n) for n in numbers))
        linked = np.stack([_ids_of_slots(tracked, n) for n in numbers])
    finally:
        found.maps.close()
    verdict = _trust(job, tracked)
    trust.warn(verdict)
    return {
        **{name: np.stack([row[name] for row in rows]) for name in rows[0]},
        "linked_ids": linked,
        "ids": np.stack(ids),
        "tracks": list(listed),
        "trust": verdict,
    }


def _identities(outcome):
    """What a reader is told of how animals were told apart."""
    if not outcome:
        return []
    words = (
        f"of {outcome['meetings']} meetings {outcome['changed']} decided "
        f"otherwise than by motion alone, {outcome['unsure']} in doubt"
    )
    return [("who is who", "by motion and looks", words)]


def _trust(job, tracked):
    """The verdict, what is wrong with the video itself first."""
    # A fit would refuse a video of which something is wrong.
    can_fit = job.can_fit and not job.problems
    verdict = trust.verdict(tracked, job.options, job.reference, can_fit)
    if job.problems:
        words = "; ".join(words for _, words in job.problems)
        worst = max(1, trust.LEVELS.index(verdict["level"]))
        verdict["sentence"] = f"{words}; besides, {verdict['sentence']}"
        verdict["level"] = trust.LEVELS[worst]
    return verdict


def _ahead(job):
    """The frames of a video, decoded ahead."""
    size = 3 * int(np.prod(job.footage.size))
    most = min(job.options.chunk, _AHEAD_BYTES // size)
    return ahead(job.footage.frames(), most)


def _unseen(job):
    """The same without their pixels."""
    for number, time, name in job.footage.index():
        yield Frame(number, time, np.zeros((0, 0, 3), np.uint8), name)


def _write(job, path, record, tracked, progress, should_stop, write):
    """The second pass."""
    count, total = len(tracked.found), job.footage.num_frames
    with Writers(path, job, tracked, record, write) as writers:
        source = _ahead(job) if writers.shows else _unseen(job)
        with contextlib.closing(source) as frames:
            for number, frame in enumerate(itertools.islice(frames, count)):
                writers.add(number, frame)
                record["num_frames"] = number + 1
                progress((total + number + 2) // 2, total)
                if should_stop():
                    break
        if "doubtful" in write:
            write_doubtful(path, writers)
        if "report" in write:
            write_report(
                path, job, tracked, writers, job.facts, record["trust"]
            )


def _ids_of_slots(tracked, number):
    """`[K]` the id of the object in every slot, 0 for none."""
    linked, slots = tracked.linked[number], tracked.found.slots[number]
    ids = np.zeros(tracked.found.num_slots, np.int32)
    for key, source in zip(linked.ids, linked.sources):
        if source != FILLED and slots[source] < len(ids):
            ids[slots[source]] = key
    return ids
