"""Files that the user has already, or that a build downloads."""

import socket
import urllib.parse
import urllib.request

import tensorflow_datasets as tfds

from tfdecomp.data import errors
from tfdecomp.data.formats import manual

TIMEOUT = 3.0  # seconds; TFDS alone would try for minutes without a word


def locate(dl_manager, files, *, dataset, layout, stand_in):
    """Paths of files: those in the manual folder, else downloaded ones.

    What was downloaded before needs no network.

    Args:
        dl_manager: TFDS's download manager.
        files: Name to address of each file. A name may have a folder in
            front; in the manual folder it is looked for with and without.
        dataset: Name of the dataset, for messages.
        layout: Text that describes the expected files.
        stand_in: Generated set that needs no file.

    Returns:
        Name to path.

    Raises:
        MissingFileError: If one is not there and there is no network.

    Examples:
        >>> from pathlib import Path
        >>> from types import SimpleNamespace
        >>> from tfdecomp.data.formats.downloads import locate
        >>> Path("a.bin").touch()
        >>> words = {"dataset": "a", "layout": "a.bin", "stand_in": "b"}
        >>> manager = SimpleNamespace(manual_dir=".")  # in place of TFDS's
        >>> locate(manager, {"a.bin": "https://host/a.bin"}, **words)
        {'a.bin': PosixPath('a.bin')}
    """
    folder, seen = manual.listing(dl_manager)
    paths = {}
    for name in files if seen else ():
        for path in (folder / name, folder / name.rpartition("/")[2]):
            if path.is_file():
                paths[name] = path
                break
    missing = {n: url for n, url in files.items() if n not in paths}
    if missing:
        wanted = {
            n: u for n, u in missing.items() if not _cached(dl_manager, u)
        }
        _check_network(wanted, folder, seen, dataset, layout, stand_in)
        paths.update(dl_manager.download(missing))
    return paths


def _cached(dl_manager, url):
    """Whether TFDS has downloaded a file before; it offers no such question."""
    resource = tfds.download.Resource(url=url)
    return any(
        getattr(dl_manager, look, lambda _: None)(resource)
        for look in ("_get_checksum_dl_result", "_get_url_dl_result")
    )


def _check_network(missing, folder, seen, dataset, layout, stand_in):
    """Raises at once, and says what else there is, if nothing can be had."""
    names = ", ".join(missing)
    for host, port in sorted({_gate(url) for url in missing.values()}):
        try:
            socket.create_connection((host, port), TIMEOUT).close()
        except OSError as error:
            raise errors.MissingFileError(
                f"{names} is not in the manual folder {folder} (found "
                f"{seen[:10] or 'nothing'}) and cannot be downloaded: no "
                f"connection to {host} ({error})",
                dataset=dataset,
                path=folder,
                expected=sorted(missing),
                found=seen,
                hint="put it there or pass --manual_dir; or use the generated "
                f"set {stand_in!r}, which needs no file.\n{layout}",
            ) from error


def _gate(url):
    """Host and port that a download of an address connects to first."""
    address = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(address.scheme)
    if proxy and not urllib.request.proxy_bypass(address.hostname):
        address = urllib.parse.urlsplit(proxy)
    ports = {"http": 80, "https": 443}
    return address.hostname, address.port or ports[address.scheme]
