"""The behaviors that ship with `caa_nnsight`: one small declarative class each, with its data."""
