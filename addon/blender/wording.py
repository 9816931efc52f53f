# SPDX-License-Identifier: GPL-3.0-or-later
"""How things are said in the panel: numbers, states, lines. Pure text; the icons' names are in Blender 4.2 to 5.2."""

from collections.abc import Callable

from .jobs import Connection, Job, Node

MISSING_SHOWN = 8
"""Missing files that the panel lists: each takes two lines or more of a narrow sidebar."""

_STATES = {
    "waiting": ("TEMP", "Waiting"),
    "missing": ("LIBRARY_DATA_BROKEN", "Missing"),
    "uploading": ("EXPORT", "Uploading"),
    "queued": ("TEMP", "Queued"),
    "rendering": ("RENDER_ANIMATION", "Rendering"),
    "encoding": ("FILE_MOVIE", "Encoding"),
    "returning": ("IMPORT", "Returning"),
    "done": ("CHECKMARK", "Done"),
    "failed": ("ERROR", "Failed"),
    "cancelled": ("X", "Cancelled"),
    "superseded": ("LOOP_BACK", "Replaced"),
}
_CONNECTIONS = {
    "none": "UNLINKED",
    "connecting": "SORTTIME",
    "connected": "LINKED",
    "refused": "ERROR",
    "lost": "UNLINKED",
    "unpaired": "UNLINKED",
    "offline": "INTERNET_OFFLINE",
    "ended": "ERROR",
}


def state_icon(job: Job) -> str:
    """Return the icon that stands for the job's state; a single frame's render has a still camera."""
    if _rests(job):
        return "PAUSE"
    if job.state == "rendering" and job.total == 1:
        return "RENDER_STILL"
    return _STATES.get(job.state, ("QUESTION", ""))[0]


def state_label(job: Job) -> str:
    """Return the job's state in one word."""
    if _rests(job):
        return "Paused"
    return _STATES.get(job.state, ("", job.state.capitalize()))[1]


def _rests(job: Job) -> bool:
    """Paused, and what was being rendered then has come to its end."""
    return job.paused and job.state == "queued"


def connection_icon(connection: Connection) -> str:
    """Return the icon that stands for the connection's state."""
    return _CONNECTIONS.get(connection.state, "QUESTION")


def is_usable(node: Node) -> bool:
    """Return whether choosing a node of the list makes sense just now."""
    return node.fits and node.answers


def node_label(node: Node) -> str:
    """Return what stands in the list for a node; its address tells it from another one of the same name.

    >>> node_label(Node("render-box", "render-box-3f9a2c.local", "0.1.0", answers=False))
    'render-box   render-box-3f9a2c.local   does not answer'
    """
    parts = [node.name, node.address]
    if not node.answers:
        parts.append("does not answer")
    elif not node.fits:
        parts.append(f"has version {node.version}, which does not fit")
    return "   ".join(parts)


def duration(seconds: float) -> str:
    """Return a time left the way people say it, two units at most.

    >>> duration(192), duration(7.4), duration(7320)
    ('3m 12s', '7s', '2h 2m')
    """
    whole = max(0, round(seconds))
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days}d {hours_left}h"
    if hours:
        return f"{hours}h {minutes_left}m"
    return f"{minutes}m {seconds_left}s" if minutes else f"{seconds_left}s"


def percent(fraction: float) -> str:
    """Return a fraction of one as a percentage that never says 100% before everything is there.

    >>> percent(0.999), percent(1.0), percent(0.27)
    ('99%', '100%', '27%')
    """
    return f"{int(min(max(fraction, 0.0), 1.0) * 100 + 1e-9)}%"


def size(count: float) -> str:
    """Return a number of bytes with the unit that artists see in their file browser.

    >>> size(900), size(9_100_000), size(2_340_000_000)
    ('900 B', '9.1 MB', '2.34 GB')
    """
    for unit, scale, digits in (("GB", 1e9, 2), ("MB", 1e6, 1), ("KB", 1e3, 0)):
        if count >= scale:
            return f"{count / scale:.{digits}f} {unit}"
    return f"{int(count)} B"


def upload_fraction(job: Job) -> float:
    """Return how much of the file has gone out, 0 to 1."""
    return job.sent_bytes / job.total_bytes if job.total_bytes else 0.0


def bar(job: Job) -> tuple[float, str]:
    """Return the selected job's bar: its factor and what stands on it, ``Frame 12 / 48   27%   ETA 3m 12s``."""
    if job.state == "uploading":
        return upload_fraction(job), f"Uploading   {percent(upload_fraction(job))}"
    if job.state == "done":
        return 1.0, f"Done   {_frames(job)}"
    if job.finished or job.state in ("waiting", "missing", "queued"):
        return job.fraction, state_label(job) + (f"   {job.done} / {job.total}" if job.done else "")
    parts = [_position(job), percent(job.fraction)]
    if job.paused:
        parts.append("pausing")
    elif job.eta_s is not None:
        parts.append(f"ETA {duration(job.eta_s)}")
    return job.fraction, "   ".join(parts)


def detail(job: Job) -> str:
    """Return the line below the bar: what there is to know besides, or an empty string."""
    if job.state == "uploading" and job.total_bytes:
        line = f"{size(job.sent_bytes)} of {size(job.total_bytes)}"
        return f"{line}, {size(job.rate)}/s" if job.rate else line
    parts = []
    if job.state == "rendering":
        parts += _steps(job)
    if job.failed:
        parts.append(f"{job.failed} failed")
    if job.blender:
        parts.append(f"Blender {job.blender}" + (f" on {job.device}" if job.device else ""))
    return "   ".join(parts)


def sentence(job: Job) -> str:
    """Return the job's own line, or an empty string where it says nothing beyond the bar, the detail and the folder."""
    said = _words(f"{state_label(job)} {bar(job)[1]} {detail(job)} {job.folder} with in")
    return "" if said >= _words(job.text) else job.text


def missing_files(job: Job) -> list[str]:
    """Return a line for each file that is missing, as far as a panel can hold them."""
    lines = [f"{each['owner']} {each['reason']}: {each['path']}" for each in job.missing[:MISSING_SHOWN]]
    more = len(job.missing) - len(lines)
    return [*lines, f"and {more} more"] if more else lines


def short_progress(job: Job) -> tuple[float | None, str]:
    """Return what stands in the job's row of the list: a bar's factor or None for a plain word, and the text."""
    if job.state == "uploading":
        return upload_fraction(job), percent(upload_fraction(job))
    if job.state in ("rendering", "encoding", "returning"):
        return job.fraction, percent(job.fraction)
    if job.state == "done" and job.total > 1:
        return None, f"{job.done}/{job.total}"
    return None, state_label(job)


def wrap(text: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """Break `text` into lines of at most `width` as `measure` measures them; a word wider than that (a path) is cut,
    after a slash if there is one.
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if measure(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        *whole, line = _cut(word, width, measure)
        lines += whole
    return [*lines, line] if line else lines


def _cut(word: str, width: float, measure: Callable[[str], float]) -> list[str]:
    pieces = []
    while measure(word) > width and len(word) > 1:
        length = next((n for n in range(len(word) - 1, 1, -1) if measure(word[:n]) <= width), 1)
        start = len(word) - len(word.lstrip("./\\"))
        slash = max(word.rfind("/", start, length), word.rfind("\\", start, length))
        length = slash + 1 if slash > 0 else length
        pieces.append(word[:length])
        word = word[length:]
    return [*pieces, word]


def _words(text: str) -> set[str]:
    return {word.strip(".,:").casefold() for word in text.split()}


def _frames(job: Job) -> str:
    return "1 frame" if job.total == 1 else f"{job.total} frames"


def _position(job: Job) -> str:
    """How many of the job's frames are finished; of a job of one frame, which it is."""
    if job.state == "rendering":
        return f"Frame {job.frames}" if job.total == 1 else f"Frame {job.done} / {job.total}"
    return f"{state_label(job)} {job.delivered} / {job.total}"


def _steps(job: Job) -> list[str]:
    if job.samples:
        return [f"Sample {job.sample or 0} / {job.samples}"]
    return [f"Tile {job.tile or 0} / {job.tiles}"] if job.tiles else []
