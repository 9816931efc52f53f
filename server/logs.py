# SPDX-License-Identifier: GPL-3.0-or-later
"""The log that stays: a file of JSON lines, for programs and for the morning after."""

import contextlib
import json
import logging
import logging.handlers
import time
from io import TextIOWrapper
from pathlib import Path

from addon.durable import make_folder

FILE_BYTES = 10_000_000
"""From this size on a new file is begun."""

OLDER_FILES = 4
"""Kept beside the newest as <name>.1 to <name>.4: 50 MB in all."""


class JsonLines(logging.Formatter):
    """One object a line: time (UTC), level, logger, job where one is concerned, message, and a traceback as error."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z",
            "level": record.levelname,
            "logger": record.name,
        }
        if isinstance(job := getattr(record, "job", None), str):
            line["job"] = job
        line["message"] = record.getMessage()
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Quiet(logging.handlers.RotatingFileHandler):
    """A line that the disk does not take is on stderr nevertheless; a complaint about each would be no help."""

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        if stream.tell() and not Path(self.baseFilename).read_bytes().endswith(b"\n"):
            stream.write("\n")  # The line before was cut short, by a full disk or a kill.
        return stream

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's own names
        """Let go of the file: what it could not write stays in its buffer. The next line opens it again."""
        stream, self.stream = self.stream, None
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()


def log_to_file(path: Path) -> None:
    """From now on write all that is logged to a file, too. Raises OSError.

    Only for who has the data folder to himself: two programs cannot take turns at one file.
    """
    make_folder(path.parent)
    # A file's name need not be text: as an escape, which JSON knows too, it costs no line.
    handler = _Quiet(path, maxBytes=FILE_BYTES, backupCount=OLDER_FILES, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
