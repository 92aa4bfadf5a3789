"""What can be wrong with a model.bin: the names of FORMAT.md §4, which Rust's `FormatError` has too."""

from __future__ import annotations


class ModelFileError(ValueError):
    """Something is wrong with a model.bin. `where`, `expected` and `got` say what; the class says which check."""

    def __init__(self, where: str, expected: object, got: object) -> None:
        super().__init__(f"{type(self).__name__}: {where}: expected {expected}, got {got}")
        self.where, self.expected, self.got = where, expected, got


class Truncated(ModelFileError):
    """Fewer bytes than the prefix, the header or `file_nbytes` need."""


class BadMagic(ModelFileError):
    """The first eight bytes are not POCKETLM."""


class ByteOrder(ModelFileError):
    """The version reads as a known one when its bytes are swapped."""


class UnsupportedVersion(ModelFileError):
    """Another version than the one that is read."""


class BadLength(ModelFileError):
    """Lengths that disagree with each other or with the file."""


class HeaderChecksum(ModelFileError):
    """SHA-256 of the header."""


class BadHeader(ModelFileError):
    """The header is not JSON, not canonical, or has wrong or missing keys or types."""


class Unsupported(ModelFileError):
    """A sound file that needs a newer reader: an unknown architecture, dtype or required section."""


class BadConfig(ModelFileError):
    """A field out of its bounds, or a tensor list other than the one that the configuration asks for."""


class BadOffset(ModelFileError):
    """An offset or a length that differs from the computed one."""


class NonZeroPadding(ModelFileError):
    """A padding byte that is not zero."""


class SectionChecksum(ModelFileError):
    """SHA-256 of a section."""


class NotFinite(ModelFileError):
    """A NaN or an infinity in a tensor or in the golden logits."""


class BadSection(ModelFileError):
    """A known optional section whose content is not what its name promises."""


class OutOfMemory(ModelFileError):
    """The file is larger than what can be held."""
