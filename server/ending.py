# SPDX-License-Identifier: GPL-3.0-or-later
"""Who ends a node, and how: signals, a closed console, and what takes its Blenders along when it is killed."""

import asyncio
import contextlib
import signal
import sys
import threading


class Ending:
    """Asked once, the node lets frames that are almost done come to their end; asked again, it waits for nothing."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._over = threading.Event()

    def ask(self) -> None:
        """From the loop."""
        (self.hurried if self.asked.is_set() else self.asked).set()

    def listen(self) -> None:
        """Heed SIGTERM, Ctrl+C and a terminal that is closed; a node that was started with nohup outlives that."""
        _listen(self)

    def over(self) -> None:
        """The node has ended: whoever waits for that may end the process."""
        self._over.set()

    def close(self, patience_s: float) -> None:
        """From another thread: end at once, and return when that is done, or when the patience is over."""
        self._loop.call_soon_threadsafe(self.ask)
        self._loop.call_soon_threadsafe(self.ask)
        self._over.wait(patience_s)


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    # Written from Microsoft's documentation of console control handlers and of job objects, and not tested.

    _CLOSINGS = (2, 5, 6)
    """CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT: when the handler returns, the process is ended."""

    _CLOSING_S = 4.0
    """Windows waits five seconds for a handler, and then ends the process."""

    _KILL_ON_JOB_CLOSE = 0x2000
    _EXTENDED_LIMITS = 9
    _kept: list[object] = []
    """What must live as long as the process."""

    def _listen(ending: Ending) -> None:
        def on_signal(*_: object) -> None:
            ending._loop.call_soon_threadsafe(ending.ask)

        for number in (signal.SIGINT, signal.SIGBREAK, signal.SIGTERM):
            signal.signal(number, on_signal)

        @ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)
        def on_console(event: int) -> bool:
            """In a thread that Windows starts. The handler of Python's runtime, asked after this, would not wait."""
            if event not in _CLOSINGS:
                return False
            ending.close(_CLOSING_S)
            return True

        _kept.append(on_console)
        ctypes.windll.kernel32.SetConsoleCtrlHandler(on_console, True)

    class _Limits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION; all that is not named here stays 0."""

        _fields_ = (
            ("times", ctypes.c_int64 * 2),
            ("flags", wintypes.DWORD),
            ("sets", ctypes.c_size_t * 2),
            ("processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("classes", wintypes.DWORD * 2),
            ("counters", ctypes.c_uint64 * 6),
            ("memory", ctypes.c_size_t * 4),
        )

    def take_children_along() -> None:
        """Put this process into a job whose processes Windows ends when the last handle to it is closed: with us."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateJobObjectW.restype = wintypes.HANDLE
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        job = wintypes.HANDLE(kernel.CreateJobObjectW(None, None))
        limits = _Limits(flags=_KILL_ON_JOB_CLOSE)
        kernel.SetInformationJobObject(job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits))
        kernel.AssignProcessToJobObject(job, wintypes.HANDLE(kernel.GetCurrentProcess()))
        _kept.append(job)

else:

    def _listen(ending: Ending) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGINT:
                with contextlib.suppress(ValueError, RuntimeError):  # Not in the main thread: a test's node.
                    loop.add_signal_handler(number, ending.ask)

    def take_children_along() -> None:
        """Nothing to do: a worker ends when its stdin does, and on Linux asks the kernel for its end beside."""
