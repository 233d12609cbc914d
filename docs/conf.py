"""Sphinx: MyST pages, and the API reference from the docstrings of the installed package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import caa_nnsight

project = "caa_nnsight"
author = "the caa_nnsight authors"
version = release = caa_nnsight.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "markdown_docstrings"]
exclude_patterns = ["_build", "_ext", "example-plugin"]
html_theme = "furo"
html_title = f"caa_nnsight {version}"
html_show_copyright = False

myst_heading_anchors = 3
# Notebooks show the outputs that they were committed with; tests execute them.
nb_execution_mode = "off"
# Docstrings say `name` for code, as Markdown does.
default_role = "code"
napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# Longer ones get a line for each parameter.
python_maximum_signature_line_length = 88
