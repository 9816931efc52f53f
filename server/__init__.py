# SPDX-License-Identifier: GPL-3.0-or-later
"""The render node: queues jobs, renders them with headless Blender and streams progress and frames back."""
