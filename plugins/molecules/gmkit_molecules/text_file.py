"""Text files by the line, plain or gzip, in flat memory and with errors that name the line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from gmkit.errors import DataError

_LONGEST = 1 << 20  # bytes of a line; more means that this is no text


def read_lines(path: Path, *, gz: bool = False) -> Iterator[str]:
    """The lines without their ends. Raises DataError."""
    number = 0
    with ExitStack() as stack:
        try:
            file: BinaryIO = stack.enter_context(path.open("rb"))
            source = stack.enter_context(gzip.GzipFile(fileobj=file)) if gz else file
            while line := source.readline(_LONGEST):
                number += 1
                if len(line) == _LONGEST:
                    raise DataError(f"line {number} is over 1 MB: not a text file", file=str(path))
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                yield line.rstrip(b"\r\n").decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"line {number} is not UTF-8 text",
                file=str(path),
                hint="Save the file as UTF-8, or check that it is what its name says.",
            ) from error
        except (EOFError, zlib.error, OSError) as error:
            raise DataError(f"cannot be read: {error}", file=str(path)) from error


class LineWriter:
    """Writes text to a file; equal text gives equal bytes, also in gzip."""

    def __init__(self, path: Path, *, gz: bool = False) -> None:
        self._file = path.open("wb")
        self._out: BinaryIO | gzip.GzipFile = self._file
        if gz:  # no name and no time in the header
            self._out = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, mtime=0)

    def write(self, text: str) -> None:
        """Append ``text`` as UTF-8."""
        self._out.write(text.encode())

    def close(self) -> None:
        """Complete the file."""
        try:
            self._out.close()
        finally:
            self._file.close()
