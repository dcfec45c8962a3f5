"""What sinks have in common that show data in another program, such as a viewer."""

from __future__ import annotations

from abc import abstractmethod
from types import TracebackType
from typing import Self

from wellfield.storage.base import DataSink


class StreamingBackend(DataSink):
    """A sink that sends data to a running program and gives none back.

    The connection is made by the first ``save``, or before it by ``with``, and lasts until :meth:`close`.
    """

    @abstractmethod
    def connect(self) -> None:
        """Make the connection; nothing happens if it is there."""

    @abstractmethod
    def close(self) -> None:
        """End the connection after everything was sent; nothing happens if there is none."""

    def __enter__(self) -> Self:
        """Connect."""
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()
