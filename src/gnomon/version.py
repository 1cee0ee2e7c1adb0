"""The version, alone in its file so that the packaging reads it without importing anything."""

from typing import Final

VERSION: Final = "0.16.0"
