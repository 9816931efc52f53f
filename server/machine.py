# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine that renders: how busy and how warm it is, where the system tells."""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_QUERY = ("name", "memory.total", "memory.used", "temperature.gpu", "utilization.gpu")
_TIMEOUT_S = 5.0
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz")
"""Linux's drivers for processors, the most exact first; the last is the board's."""
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics card. Bytes, degrees Celsius, part of it that is busy; None: its driver does not tell."""

    name: str
    memory: int | None
    memory_used: int | None
    temperature_c: float | None
    load: float | None


def cpu_load() -> float:
    """Return which part of all cores was busy since the last call, 0 to 1."""
    return float(psutil.cpu_percent()) / 100


def cpu_temperature() -> float | None:
    """Return the processor's temperature, the hottest place of it; None: the system does not tell, as on Windows."""
    sensors: dict[str, list[Any]] = getattr(psutil, "sensors_temperatures", dict)()
    for name in _CPU_SENSORS:
        if readings := [each.current for each in sensors.get(name, ()) if each.current]:
            return float(max(readings))
    return None


def gpus() -> tuple[Gpu, ...]:
    """Return the graphics cards that tell of themselves. Takes a tenth of a second: call it in a thread."""
    return (*_nvidia(), *amd())


def amd(cards: Path = Path("/sys/class/drm")) -> tuple[Gpu, ...]:
    """Return AMD's cards on Linux, whose driver has files for it (the kernel's "drm/amdgpu: GPU thermal, power and
    misc. parameters"). Untested with a card.
    """
    found = []
    for device in sorted(card / "device" for card in cards.glob("card[0-9]*") if "-" not in card.name):
        memory = _said(device / "mem_info_vram_total")
        if memory is None:
            continue  # Another maker's, or another driver.
        warmest = max((each for path in device.glob("hwmon/hwmon*/temp1_input") if (each := _said(path))), default=None)
        busy = _said(device / "gpu_busy_percent")
        found.append(
            Gpu(
                _text(device / "product_name") or "AMD graphics card",
                memory,
                _said(device / "mem_info_vram_used"),
                None if warmest is None else warmest / 1000,
                None if busy is None else busy / 100,
            )
        )
    return tuple(found)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""


def _said(path: Path) -> int | None:
    number = _number(_text(path))
    return None if number is None else int(number)


def _nvidia() -> tuple[Gpu, ...]:
    """By the tool that the driver brings. Untested with a card; the tool's answer is as its manual has it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    command = [tool, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(parse_gpus(said.stdout.splitlines()))


def parse_gpus(lines: Iterable[str]) -> list[Gpu]:
    """Read what nvidia-smi says, a line each: name, MiB, MiB, degrees, percent; "[N/A]" for what a card does not tell.

    >>> parse_gpus(["NVIDIA GeForce RTX 4070, 12282, 811, 54, 7"])[0].temperature_c
    54.0
    """
    found = []
    for line in lines:
        name, *values = (part.strip() for part in line.rsplit(",", len(_QUERY) - 1))
        if len(values) == len(_QUERY) - 1:
            memory, used, temperature, load = map(_number, values)
            found.append(
                Gpu(
                    name,
                    None if memory is None else int(memory * _MIB),
                    None if used is None else int(used * _MIB),
                    temperature,
                    None if load is None else load / 100,
                )
            )
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
