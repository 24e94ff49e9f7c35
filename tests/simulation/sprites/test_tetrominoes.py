"""What every scene of tetrominoes and its labels must satisfy."""

import collections
import itertools

import numpy as np
import pytest

from tfdecomp.simulation import stills
from tfdecomp.simulation.sprites import polyominoes, tetrominoes

LOOKS = {
    "paper17": tetrominoes.Tetrominoes(),
    "all19": tetrominoes.Tetrominoes(shape_set="all19"),
    "flat": tetrominoes.Tetrominoes(bevel=False),
    "ambiguous": tetrominoes.Tetrominoes(ambiguous=True),
    "small": tetrominoes.Tetrominoes(14, block=2, bevel=False),
    "padded": tetrominoes.Tetrominoes(num_pieces=2, max_objects=4),
}
# Written down apart from the code, as the published data use them.
SHAPES_11_TO_14 = {"110/011", "011/110", "01/11/10", "10/11/01"}


def _make(look, start=0, stop=24, split="train", seed=0, stream="s", **rest):
    if isinstance(look, str):
        look = LOOKS[look]
    return tetrominoes.generate(
        look, split, start, stop, seed=seed, stream=stream, **rest
    )


def _drawing(mask, block):
    """The drawing, such as "010/111", that a mask of blocks shows."""
    rows, columns = np.nonzero(mask)
    inner = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    cells = inner[::block, ::block]
    np.testing.assert_array_equal(
        np.kron(cells, np.ones((block, block))), inner
    )
    return "/".join("".join("01"[int(c)] for c in row) for row in cells)


@pytest.mark.parametrize("name", LOOKS)
def test_every_piece_is_four_whole_blocks_of_the_shape_it_names(name):
    look = LOOKS[name]
    for example in _make(name):
        ids = example["segmentation"][0, ..., 0]
        assert set(np.unique(ids)) == set(range(look.num_pieces + 1))
        assert example["num_objects"] == look.num_pieces
        for piece in range(look.num_pieces):
            mask = ids == piece + 1
            assert mask.sum() == 4 * look.block**2
            number = example["factors"]["shape"][piece]
            drawing = polyominoes.TETROMINOES[number - 1]
            assert _drawing(mask, look.block) == drawing


@pytest.mark.parametrize("name", LOOKS)
def test_boxes_corners_and_positions_are_those_of_the_masks(name):
    for example in _make(name):
        ids, count = example["segmentation"][0, ..., 0], example["num_objects"]
        factors = example["factors"]
        for slot in range(count):
            rows, columns = np.nonzero(ids == slot + 1)
            low = np.array([rows.min(), columns.min()])
            high = np.array([rows.max(), columns.max()]) + 1
            np.testing.assert_array_equal(
                example["boxes"][0, slot], [*low, *high]
            )
            np.testing.assert_array_equal(factors["corner"][slot], low)
            np.testing.assert_array_equal(
                factors["position"][0, slot], (low + high) / 2
            )
        for key in ("visibility", "visible_fraction"):
            assert (example[key][0, :count] == 1).all()


@pytest.mark.parametrize("name", ["flat", "small"])
def test_flat_pixels_have_the_colour_of_their_piece(name):
    for example in _make(name):
        colours = np.concatenate([[[0, 0, 0]], example["factors"]["color"]])
        expected = 255 * colours[example["segmentation"][..., 0]]
        np.testing.assert_array_equal(example["video"], expected)


def test_bevel_only_darkens_and_every_block_looks_alike():
    for flat, bevelled in zip(_make("flat"), _make("paper17")):
        np.testing.assert_array_equal(
            flat["segmentation"], bevelled["segmentation"]
        )
        assert not bevelled["video"][flat["video"] == 0].any()
        top, left = map(int, bevelled["factors"]["corner"][0])
        ids = bevelled["segmentation"][0, ..., 0]
        light = bevelled["video"].max(-1)[0]
        seen = {
            light[r : r + 5, c : c + 5].tobytes()
            for r in range(top, 31, 5)
            for c in range(left, 31, 5)
            if (ids[r : r + 5, c : c + 5] == 1).all()
        }
        (block,) = seen
        block = np.frombuffer(block, np.uint8).reshape(5, 5)
        assert block[0].tolist() == [191, 255, 255, 255, 223]
        assert block[2].tolist() == [127, 159, 159, 159, 191]
        assert block[4].tolist() == [95, 63, 63, 63, 127]


def test_blocks_of_another_side_take_the_nearest_bevel():
    look = tetrominoes.Tetrominoes(21, block=3)
    (example,) = _make(look, 0, 1)
    top, left = map(int, example["factors"]["corner"][0])
    ids = example["segmentation"][0, ..., 0]
    columns = np.nonzero(ids[top] == 1)[0][:3]
    block = example["video"].max(-1)[0][top : top + 3, columns]
    # Their centres, 1/6, 3/6 and 5/6, lie in the first, third, fifth of five.
    assert block.tolist() == [[191, 255, 223], [127, 159, 191], [95, 63, 127]]


@pytest.mark.parametrize("name", ["all19", "small"])
def test_arrangements_fit_exactly_if_painting_them_covers_no_pixel_twice(name):
    look = LOOKS[name]
    uniform = np.random.default_rng(0).random((500, 3, 3))
    shapes, corners = tetrominoes.propose(uniform, look)
    fits = tetrominoes.disjoint(shapes, corners, look.block)
    for shape, corner, fit in zip(shapes, corners, fits):
        painted = np.zeros((look.size, look.size), int)
        for number, (top, left) in zip(shape, corner):
            for r, c in polyominoes.parse(polyominoes.TETROMINOES[number - 1]):
                row, column = top + r * look.block, left + c * look.block
                area = painted[row : row + look.block]
                area[:, column : column + look.block] += 1
        assert painted.sum() == 12 * look.block**2  # all of it is inside
        assert fit == (painted.max() == 1)
    assert 0 < fits.mean() < 1


def test_one_arrangement_in_seven_fits():
    uniform = np.random.default_rng(0).random((40_000, 3, 3))
    for name, low, high in (("all19", 0.141, 0.151), ("paper17", 0.13, 0.16)):
        look = LOOKS[name]
        arrangement = tetrominoes.propose(uniform, look)
        fits = tetrominoes.disjoint(*arrangement, look.block)
        assert low < fits.mean() < high


@pytest.mark.slow
def test_half_of_the_scenes_of_all_shapes_hold_none_of_11_to_14():
    shapes = [
        example["factors"]["shape"]
        for begin in range(0, 20_000, 500)
        for example in _make("all19", begin, begin + 500)
    ]
    drawings = np.array(["", *polyominoes.TETROMINOES])[np.array(shapes)]
    without = ~np.isin(drawings, list(SHAPES_11_TO_14)).any(1)
    # 503,318 of the 1,000,000 published images.
    assert abs(without.mean() - 0.505) < 0.01


def test_shapes_are_those_of_the_set_and_colours_are_uniform():
    for name, count in (("paper17", 17), ("all19", 19)):
        examples = _make(name, 0, 600)
        shapes = np.array([e["factors"]["shape"] for e in examples])
        assert len(np.unique(shapes)) == count
        assert not (name == "paper17" and np.isin(shapes, [4, 8]).any())
        colours = np.array([e["factors"]["color"] for e in examples])
        counts = collections.Counter(map(tuple, colours.reshape(-1, 3)))
        assert len(counts) == 6
        # 300 each are expected, with a standard deviation of 16.
        assert min(counts.values()) > 235 and max(counts.values()) < 365
        assert all(0 < sum(colour) < 3 for colour in counts)


def test_shapes_are_all_orientations_of_connected_four_cells():
    drawings = set()
    for cells in itertools.combinations(np.ndindex(4, 4), 4):
        reached, edge = {cells[0]}, [cells[0]]
        while edge:
            r, c = edge.pop()
            near = {(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)}
            new = near & set(cells) - reached
            reached |= new
            edge += new
        if len(reached) == 4:
            mask = np.zeros((4, 4), bool)
            mask[tuple(np.transpose(cells))] = True
            drawings.add(_drawing(mask, 1))
    assert sorted(polyominoes.TETROMINOES) == sorted(drawings)


def _count_covers(mask, block):
    """Covers of a mask by three shapes of `paper17`, by trying all places."""
    placed = set()
    for number, text in enumerate(polyominoes.TETROMINOES, 1):
        drawn = np.array([[int(c) for c in row] for row in text.split("/")])
        drawn = np.kron(drawn, np.ones((block, block), int))
        h, w = drawn.shape
        side = len(mask) + 1
        for top, left in np.ndindex(side - h, side - w):
            window = mask[top : top + h, left : left + w]
            if number not in (4, 8) and (window >= drawn).all():
                pixels = np.argwhere(drawn) + (top, left)
                placed.add(frozenset(map(tuple, pixels.tolist())))
    return sum(
        not (a & b or a & c or b & c)
        for a, b, c in itertools.combinations(placed, 3)
    )


def test_ambiguous_scenes_have_as_many_covers_as_they_say():
    look = tetrominoes.Tetrominoes(14, block=2, bevel=False, ambiguous=True)
    for example in _make(look, 0, 8):
        lit = example["video"].any(-1)[0].astype(int)
        covers = example["factors"]["num_covers"]
        assert (covers == _count_covers(lit, 2)).all()
        assert covers.min() >= 2
    colours = np.array([e["factors"]["color"] for e in _make("ambiguous")])
    assert (colours == colours[:, :1]).all()
    assert len(np.unique(colours[:, 0], axis=0)) == 6


def test_a_bar_of_twelve_cells_has_one_cover_and_a_square_of_16_has_more():
    pieces = tetrominoes.PIECES
    bar = frozenset((0, c) for c in range(12))
    assert polyominoes.covers(bar, pieces) == [
        ((1, (0, 0)), (1, (0, 4)), (1, (0, 8)))
    ]
    # 117 ways to fill a 4 x 4 board with tetrominoes.
    board = frozenset(np.ndindex(4, 4))
    assert len(polyominoes.covers(board, pieces)) == 117
    assert not polyominoes.covers(frozenset([(0, 0)]), pieces)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"shape_set": "all"}, "shape_set is one of"),
        ({"block": 0}, "block and num_pieces"),
        ({"num_pieces": 4}, "max_objects is 3"),
        ({"size": 15}, "at most 60% can be placed"),
        ({"size": 22, "block": 6, "num_pieces": 1}, "use fewer pieces"),
    ],
)
def test_what_cannot_be_made_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        tetrominoes.Tetrominoes(**fields)


def test_pieces_that_never_fit_end_in_an_error(monkeypatch):
    monkeypatch.setattr(tetrominoes, "MAX_ROUNDS", 1)
    monkeypatch.setattr(tetrominoes, "TRIES", 1)
    look = tetrominoes.Tetrominoes(20, block=3, num_pieces=6, max_objects=6)
    with pytest.raises(ValueError, match="could not place 6 pieces"):
        _make(look, 0, 20)


def test_later_masks_cover_earlier_ones():
    masks = np.zeros((1, 3, 4, 4), bool)
    masks[0, 0, :2, :2] = True
    masks[0, 1, 1:3, :3] = True
    layers = stills.stack(masks)
    assert layers.owner[0].tolist() == [
        [1, 1, 0, 0],
        [2, 2, 2, 0],
        [2, 2, 2, 0],
        [0, 0, 0, 0],
    ]
    assert layers.own_pixels.tolist() == [[4, 6, 0]]
    assert layers.visible_pixels.tolist() == [[2, 6, 0]]
    assert layers.boxes[0].tolist() == [
        [0, 0, 2, 2],
        [1, 0, 3, 3],
        [0, 0, 0, 0],
    ]
