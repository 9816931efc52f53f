# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device renders: Cycles on the GPU where the scene asks for it and there is one, everything else untouched."""

from typing import Any

import bpy

CPU = "CPU"
"""What the processor is called where a device is told."""

BACKENDS = ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI")
"""Cycles' compute backends, best first: on one NVIDIA card OptiX is faster than CUDA, the others exclude each other."""


def gpus() -> list[dict[str, str]]:
    """The GPUs that Cycles can use here, by the best backend that has any: id, name and type (the backend)."""
    backend, devices = _best()
    return [{"id": device.id, "name": device.name, "type": backend} for device in devices if device.type == backend]


def prepare(scene: Any, gpu: str | None) -> tuple[str, str | None]:
    """Set Cycles up for what the scene asks; return the device's name, and a notice when it is not what was asked.

    Of several GPUs only the one with the id `gpu` is used, since beside this Blender there is one for each; with None
    all of them. Blender's own ids say which it is: the environment variables that hide GPUs (CUDA_VISIBLE_DEVICES and
    its like) number them differently for each backend.
    """
    if scene.render.engine != "CYCLES":
        return "", None  # EEVEE and Workbench draw with whatever graphics driver there is; Blender does not tell.
    if scene.cycles.device != "GPU":
        return CPU, None
    backend, devices = _best()
    if not devices:
        return CPU, "This scene asks for a GPU; this node has none, so it renders on the CPU."
    _preferences().compute_device_type = backend
    chosen = gpu if any(device.id == gpu for device in devices) else None
    for device in devices:
        device.use = device.type == backend and chosen in (None, device.id)
    return f"{', '.join(device.name for device in devices if device.use)} ({backend})", None


def _best() -> tuple[str, list[Any]]:
    """The best backend with a GPU and its devices (the CPU is among them), or nothing."""
    preferences = _preferences()
    if preferences is None:
        return "", []
    known = {identifier for identifier, *_ in preferences.get_device_types(bpy.context)}
    for backend in BACKENDS:
        if backend in known:
            devices = list(preferences.get_devices_for_type(backend))
            if any(device.type == backend for device in devices):
                return backend, devices
    return "", []


def _preferences() -> Any:
    cycles = bpy.context.preferences.addons.get("cycles")
    return cycles.preferences if cycles else None
