"""`caa play`: a local page on which plain and steered answers stream side by side.

This package sits on top of the core, like the command line, and serves it alone.
"""
