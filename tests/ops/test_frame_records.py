"""Records of frames, packed and unpacked."""

import numpy as np

from tfdecomp.ops import frame_records


def test_unpacking_gives_back_what_was_packed():
    rng = np.random.default_rng(0)
    layouts = frame_records.layouts(3)
    assert tuple(layouts) == frame_records.NAMES
    for layout in layouts.values():
        parts = {
            name: rng.random((2, 4, width)).astype(np.float32)
            for name, width in layout.items()
        }
        # Whatever else there is, in any order, is left out.
        more = {"drawn": None, **dict(reversed(parts.items()))}
        packed = frame_records.pack(more, layout)
        assert packed.shape == (2, 4, sum(layout.values()))
        again = frame_records.unpack(packed[:, None], layout)
        assert again.keys() == parts.keys()
        for name, value in parts.items():
            np.testing.assert_array_equal(again[name][:, 0], value)
