"""Bright things on a ground without light, as under a microscope."""

import numpy as np

from tfdecomp.motion import background as background_lib
from tfdecomp.motion import light

SIZE, RADIUS, NUMBER = 144, 9, 8


def cells(frames=24, step=2.0, seed=1):
    """`[T, H, W, 1]` uint8 cells with halos that crawl, each its own way."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid([24, 72, 120], [24, 72, 120]), -1)
    places = grid.reshape(-1, 2)[:NUMBER].astype(float)
    angles = rng.uniform(0, 2 * np.pi, NUMBER)
    y, x = np.mgrid[:SIZE, :SIZE]
    video = []
    for _ in range(frames):
        angles += rng.normal(0, 0.3, NUMBER)
        places += step * np.stack([np.sin(angles), np.cos(angles)], -1)
        frame = 1.6 + rng.normal(0, 0.8, (SIZE, SIZE))
        for top, left in places:
            away = np.hypot(y - top, x - left)
            frame += 60 * np.exp(-0.5 * (away / RADIUS) ** 2)
            frame += 170 * (away < 0.7 * RADIUS)
        video.append(frame)
    return np.clip(video, 0, 255).astype(np.uint8)[..., None]


def test_cells_that_crawl_are_no_light_that_changes_here_and_there():
    assert background_lib.estimate(cells()).cells == 0


def test_a_lit_dish_in_a_dark_room_still_tells_light_from_place_to_place():
    rng = np.random.default_rng(0)
    dish = np.zeros((60, 80))
    dish[8:52, 8:72] = 120 + rng.normal(0, 8, (44, 64))
    shade = np.linspace(-0.5, 0.5, 80)
    video = [
        dish * (1 + 0.6 * np.sin(t / 4) * shade) + rng.normal(0, 1, dish.shape)
        for t in range(60)
    ]
    video = np.clip(video, 0, 255).astype(np.uint8)[..., None]
    assert background_lib.estimate(video).cells > 0


def test_a_step_of_a_grey_level_in_the_dark_cannot_be_seen():
    levels = np.r_[np.full(20, 8.0), np.full(20, 9.2)]
    assert len(light.light_steps(levels)) == 0
    assert light.light_steps(10 * levels).tolist() == [20]
