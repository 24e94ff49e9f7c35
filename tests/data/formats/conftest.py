"""Files that several tests read; one that changes them is found out."""

import hashlib

import pytest


def digests(folder):
    """Path -> SHA-256 of its content, for all files below the folder."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def discs():
    """Four discs, all in view in the frames 20 to 64; see `film`."""
    from tests.data.formats import clevrer_files

    made = clevrer_files.film(4, 20, 65)
    for values in (made["video"], made["segmentation"]):
        values.flags.writeable = False
    return made


@pytest.fixture(scope="session")
def discs_folder(discs, tmp_path_factory):
    """`discs` as files of CLEVRER. They are for reading."""
    from tests.data.formats import clevrer_files

    folder = tmp_path_factory.mktemp("clevrer")
    clevrer_files.SCRIPT.write(folder, "validation", 10_000, discs)
    before = digests(folder)
    yield folder
    assert digests(folder) == before, "a test has changed what others read"
