"""Names of datasets: `bouncing_balls/color4`, with or without the prefix."""

import re

from tfdecomp.data import errors

PREFIX = "tfdecomp_"
SCHEMA_VERSION = 1


def split_name(name):
    """Takes a dataset's name apart.

    Args:
        name: Such as `"bouncing_balls/color4"`, `"tfdecomp_bouncing_balls"` or
            `"bouncing_balls/color4:1.0.0"`.

    Returns:
        `(folder, config, version)`, the latter two None where not given.

    Raises:
        ValueError: If it is not a name.

    Examples:
        >>> from tfdecomp.data.naming import split_name
        >>> split_name("tfdecomp_bouncing_balls/color4:1.0.0")
        ('bouncing_balls', 'color4', '1.0.0')
    """
    match = re.fullmatch(
        r"([A-Za-z]\w*)(?:/([\w.-]+))?(?::([\w.*]+))?", str(name).strip()
    )
    if not match:
        raise ValueError(
            f"{name!r} is not the name of a dataset; expected "
            "NAME/CONFIG such as 'bouncing_balls/color4'"
        )
    folder, config, version = match.groups()
    return folder.removeprefix(PREFIX), config, version


def full_name(name):
    """The name as TFDS knows it, with the prefix.

    Examples:
        >>> from tfdecomp.data.naming import full_name
        >>> full_name("bouncing_balls/color4")
        'tfdecomp_bouncing_balls/color4'
    """
    folder, config, version = split_name(name)
    suffix = f"/{config}" if config else ""
    suffix += f":{version}" if version else ""
    return f"{PREFIX}{folder}{suffix}"


def short_name(name):
    """The name without the prefix.

    Examples:
        >>> from tfdecomp.data.naming import short_name
        >>> short_name("tfdecomp_bouncing_balls/color4")
        'bouncing_balls/color4'
    """
    return full_name(name).removeprefix(PREFIX)


def check_schema(metadata, label):
    """Refuses data of another version of the example schema.

    Args:
        metadata: Metadata stored with the data.
        label: Name of the dataset.

    Raises:
        LayoutError: If the version is another one.

    Examples:
        >>> from tfdecomp.data.naming import check_schema
        >>> check_schema({"schema_version": 0}, "bouncing_balls/color4")
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.LayoutError: ... have schema version 0, ...
    """
    version = (metadata or {}).get("schema_version")
    if version == SCHEMA_VERSION:
        return
    folder, config, _ = split_name(label)
    raise errors.LayoutError(
        f"the prepared data have schema version {version}, this code reads "
        f"version {SCHEMA_VERSION}",
        dataset=label,
        expected=SCHEMA_VERSION,
        found=version,
        hint="rebuild them with 'python -m tfdecomp.prepare "
        f"{folder}/{config} --overwrite'",
    )
