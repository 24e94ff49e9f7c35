"""Makes the pictures of trouble.md: generated videos, decomposed by commands.

    python docs/make_trouble.py FOLDER

FOLDER keeps the videos and what `python -m tfdecomp.predict` makes of them,
each as it comes and after the remedy; what is there already is not made
again. The pictures go beside this file. Takes five minutes on two quiet
cores.
"""

import csv
import pathlib
import subprocess
import sys

import numpy as np

from tfdecomp import data
from tfdecomp.simulation.fixed_camera import dish

DOCS = pathlib.Path(__file__).resolve().parent
SIZE = (200, 260)
RATE = 20
GAP, ENLARGED = 6, 2  # pixels between two panels; pixels for one
LEAF = slice(104, 164)  # columns
RESTS, MOVES = 60, 120  # frames
DARK = 12  # grey levels below the ground: an animal


def crossing():
    """Five animals that meet often."""
    look = dish.Dish(num_frames=240, size=SIZE, num_animals=5)
    return dish.film(look, seed=1)["video"]


def leaf():
    """Three animals, and a leaf under which they vanish for a while."""
    look = dish.Dish(num_frames=240, size=SIZE, num_animals=3)
    video = dish.film(look, seed=2)["video"]
    shape = (len(video), SIZE[0], LEAF.stop - LEAF.start, 1)
    noise = np.random.default_rng(0).normal(0, look.noise, shape)
    video[:, :, LEAF] = np.rint(60 + noise).astype(np.uint8)
    return video


def resting():
    """Two animals that swim, and one that begins to after `RESTS` frames."""
    look = dish.Dish(num_frames=RESTS + MOVES, size=SIZE, num_animals=2)
    video = dish.film(look, seed=5)["video"].astype(np.int16)
    alone = dish.Dish(num_frames=MOVES, size=SIZE, num_animals=1, noise=0)
    other = dish.film(alone, seed=4)["video"].astype(np.int16)
    dark = np.median(other, 0) - other
    dark[dark < DARK] = 0
    dark = np.concatenate([dark[:1].repeat(RESTS, 0), dark])
    return np.clip(video - dark, 0, 255).astype(np.uint8)


# Picture to its video, and for both panels: which frames of the video, the
# flags, and the frame to show.
PICTURES = {
    "merge": (crossing, ((240, (), 225), (240, ("--objects=5",), 225))),
    "blink": (leaf, ((240, (), 150), (240, ("--objects=3",), 150))),
    "missed": (resting, ((RESTS, (), 40), (RESTS + MOVES, (), 40))),
}


def predict(folder, name, number, video, flags):
    """A panel's overlay `[T, H, W, 3]`; says what was found."""
    output = folder / f"{name}_{number}"
    if not (output / "prediction.json").is_file():
        source = folder / f"{name}_{number}.mp4"
        data.write_video(source, video, RATE)
        command = [sys.executable, "-m", "tfdecomp.predict"]
        command += ["--model=silot_motion", f"--input={source}"]
        subprocess.run([*command, f"--output={output}", *flags], check=True)
    with open(output / "tracks.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ids = {row["id"] for row in rows}
    filled = sum(int(row["filled"]) for row in rows)
    print(f"{output.name}: {len(ids)} numbers, {filled} places filled in")
    return data.read_video(output / "overlay.mp4")[0]


def main(folder):
    """Makes all pictures."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (film, panels) in PICTURES.items():
        video, shown = film(), []
        for number, (length, flags, frame) in enumerate(panels):
            found = predict(folder, name, number, video[:length], flags)
            shown.append(found[frame])
        gap = np.full((SIZE[0], GAP, 3), 255, np.uint8)
        picture = np.concatenate([shown[0], gap, shown[1]], 1)
        picture = picture.repeat(ENLARGED, 0).repeat(ENLARGED, 1)
        data.write_png(DOCS / f"trouble_{name}.png", picture)


if __name__ == "__main__":
    main(sys.argv[1])
