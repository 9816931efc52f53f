# SPDX-License-Identifier: GPL-3.0-or-later
"""What graphics cards tell, read from made-up answers: there is no card here."""

from pathlib import Path

from server.machine import Gpu, amd, parse_gpus


def test_amds_driver_tells_by_files(tmp_path: Path) -> None:
    # GIVEN a card that tells all, one that tells little, another maker's, and a connector of the first
    whole = {
        "mem_info_vram_total": "17163091968\n", "mem_info_vram_used": "1048576\n", "gpu_busy_percent": "37\n",
        "product_name": "Radeon PRO W7800\n", "hwmon/hwmon4/temp1_input": "61500\n",
    }  # fmt: skip
    cards = {"card0": whole, "card1": {"mem_info_vram_total": "512\n", "gpu_busy_percent": "n/a"}, "card2": {}}
    for card, files in {**cards, "card0-DP-1": whole}.items():
        (tmp_path / card / "device").mkdir(parents=True)
        for name, text in files.items():
            (tmp_path / card / "device" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / card / "device" / name).write_text(text)
    # THEN the two are told of, each with what there is
    assert amd(tmp_path) == (
        Gpu("Radeon PRO W7800", 17163091968, 1048576, 61.5, 0.37),
        Gpu("AMD graphics card", 512, None, None, None),
    )
    assert amd(tmp_path / "none") == ()


def test_nvidias_tool_leaves_out_what_it_does_not_know() -> None:
    (card,) = parse_gpus(["NVIDIA RTX A4000, 16376, 1024, 55, [N/A]"])
    assert card == Gpu("NVIDIA RTX A4000", 16376 << 20, 1024 << 20, 55.0, None)
