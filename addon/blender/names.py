# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that Blender knows the extension by."""

ROOT_PACKAGE = __package__.removesuffix(".addon.blender")
"""The extension's own package. Blender looks preferences and the user folder up by it and is silent about any other name."""

CATEGORY = "Render"
"""The sidebar's tab."""
