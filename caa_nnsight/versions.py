"""Versions: of the libraries that a result depends on, and of files that another one wrote."""

import sys
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("caa_nnsight", "nnsight", "torch", "transformers", "tokenizers", "numpy")


def library_versions() -> dict[str, str]:
    """Name -> installed version, for manifests and vector files."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def versions_here() -> dict[str, str]:
    """`library_versions`, and that of Python."""
    return library_versions() | {"python": sys.version.split()[0]}


def other_schema(where: object, found: object, read: str) -> str:
    """The sentence for a file of another schema version, whose text may be anybody's."""
    return (
        f"{where} has the schema version {str(found)[:20]!r}, but this version of caa_nnsight "
        f"reads {read}: upgrade caa_nnsight."
    )
