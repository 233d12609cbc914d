"""A model provider for Inspect AI: `inspect eval TASK --model caa/MODEL -M vectors=FILE ...`.

Inspect finds it by the entry point `inspect_ai`, and nothing else of this package imports it.
"""
