"""Cards: a README with metadata for the Hub, in which no text from outside is markup.

Web addresses alone become links there, as in every text on the Hub.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

# The Hub's own names of licenses that data and weights often have; for the others, it wants
# "other" and a name.
_LICENSE_NAMES = """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsl-1.0 c-uda cc
    cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0
    cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0
    cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0
    epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 gemma gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0
    llama2 llama3 llama3.1 llama3.2 llama3.3 mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail
    osl-3.0 pddl postgresql unknown unlicense wtfpl zlib
"""
_LICENSES = frozenset(_LICENSE_NAMES.split())


class Markup(str):
    """Text that a template may write as it is, because it was made here."""


def render(template: str, **values: object) -> str:
    """Fill a template of this folder; every value is escaped but those that are `Markup`."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else plain(value),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": code, "fenced": fenced}
    return environment


def plain(value: object) -> Markup:
    r"""Write a value so that it shows as it is, on one line, in Markdown and in HTML.

    >>> plain("<b>*bold*</b>|")
    '&lt;b&gt;\\*bold\\*&lt;/b&gt;\\|'
    """
    text = escape(_visible(" ".join(str(value).split())), quote=False)
    # An underscore inside a word begins nothing.
    return Markup(re.sub(r"([\\`*{}\[\]|~#$!^]|(?<!\w)_|_(?!\w))", r"\\\1", text))


def code(value: object) -> Markup:
    """Write a text as a literal of Python.

    >>> code("somebody/refusal")
    '"somebody/refusal"'
    """
    text = str(value)
    if text.isprintable() and not set(text) & set('"\\`'):
        return Markup(f'"{text}"')
    # A backtick would end a code span; the escape means the same in Python.
    return Markup(ascii(text).replace("`", r"\x60"))


def fenced(text: str) -> Markup:
    """Write a text as a block that shows it line by line, whatever is in it."""
    lines = "\n".join(_visible(line) for line in text.splitlines())
    longest = max(map(len, re.findall(r"`+", lines)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}text\n{lines}\n{fence}")


def metadata(values: Mapping[str, Any]) -> Markup:
    """Write the card's head as YAML between two rules; what is None is left out."""
    from huggingface_hub import CardData

    return Markup(f"---\n{CardData(**values).to_yaml()}\n---")


def license_fields(name: str | None) -> dict[str, str]:
    """Return the metadata of a license, from an SPDX name or the Hub's own.

    >>> license_fields("Apache-2.0"), license_fields("My license")
    ({'license': 'apache-2.0'}, {'license': 'other', 'license_name': 'my-license'})
    """
    if not name:
        return {}
    known = name.strip().lower()
    if known in _LICENSES:
        return {"license": known}
    # The name has to be of these characters; one that has none of them is left out.
    own = re.sub(r"[^a-z0-9.]+", "-", known).strip("-")
    return {"license": "other"} | ({"license_name": own} if own else {})


def _visible(text: str) -> str:
    """A text without characters that are not seen or turn the others round."""
    return "".join(
        " " if character == "\t" else character
        for character in text
        if character == "\t" or not unicodedata.category(character).startswith("C")
    )
