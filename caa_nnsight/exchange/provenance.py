"""Provenance as texts inside another tool's file, and what is known of vectors without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace

from caa_nnsight.errors import VectorError
from caa_nnsight.vectors import SCHEMA_VERSION, VectorMeta
from caa_nnsight.versions import other_schema

_VERSION = "schema_version"
_NOTHING_KNOWN = VectorMeta(site="")


def as_texts(meta: VectorMeta) -> dict[str, str]:
    """Every field that says something, as text; what is missing is empty when read back."""
    texts = {name: str(value) for name, value in asdict(meta).items() if value}
    return {_VERSION: SCHEMA_VERSION} | texts


def from_texts(texts: Mapping[str, str], where: str) -> VectorMeta:
    """What `as_texts` wrote.

    Args:
        texts: field -> text; fields that are not ours are left out.
        where: the file, for errors.

    Raises:
        VectorError: another schema version, or a number that is none.
    """
    if texts.get(_VERSION) != SCHEMA_VERSION:
        raise VectorError(other_schema(where, texts.get(_VERSION), SCHEMA_VERSION))
    try:
        known = {
            spec.name: int(texts[spec.name]) if spec.type == "int" else str(texts[spec.name])
            for spec in fields(VectorMeta)
            if spec.name in texts
        }
    except (TypeError, ValueError) as error:
        raise VectorError(f"{where} has damaged provenance ({error}).") from error
    return replace(_NOTHING_KNOWN, **known)


def without_provenance(source: str) -> VectorMeta:
    """For vectors of another tool: where they stand, and nothing that nobody knows.

    Args:
        source: what they were read from.
    """
    return VectorMeta(source=source)


def named(meta: VectorMeta, behavior: str, model: str) -> VectorMeta:
    """With the behavior and the model that the user names; an empty name changes nothing."""
    return replace(meta, behavior=behavior or meta.behavior, model=model or meta.model)
