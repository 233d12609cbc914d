"""The command line: thin commands over the Python API, imported late so that help is fast."""

from caa_nnsight.cli.app import main

__all__ = ["main"]
