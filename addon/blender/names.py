# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that Blender knows the extension by, and short names for its types."""

from typing import Any, TypeAlias

ROOT_PACKAGE = __package__.removesuffix(".addon.blender")
"""The extension's own package. Blender finds preferences and user folder by it."""

CATEGORY = "Render"
"""The sidebar's tab."""

Context: TypeAlias = Any
Layout: TypeAlias = Any
"""bpy.types.Context and UILayout: the stubs call most of them optional, which it is not where this runs."""
