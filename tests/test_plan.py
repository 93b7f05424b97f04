"""The plan's arithmetic, with numbers that are known by hand, and its command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "plan.py"


def planned(tmp_path: Path, *words: str) -> tuple[dict, str]:
    """Numbers of the plan of one area, and what it prints."""
    file = tmp_path / "plan.json"
    command = [sys.executable, str(SCRIPT), "--json", str(file), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(file.read_text()), done.stdout


def test_known_rates_give_known_seconds_bytes_requests_and_money(tmp_path):
    # 1 km2 is 10,000 pixels; 730 days are two years
    rates = {
        "core-us-per-pixel-day": 10,
        "store-pixel-days-per-core-s": 1e6,
        "gpu-pixel-days-per-s": 1e5,
        "store-bytes-per-pixel-year": 1000,
        "scene-bytes-per-pixel-year": 500,
        "flop-per-pixel-day": 2e5,
        "store-mb-per-put": 2,
        "scene-mb-per-get": 0.5,
        "core-hour": 36,
        "gpu-hour": 72,
        "store-gb-month": 3,
        "put-per-1000": 5,
        "get-per-1000": 0.5,
    }
    words = [word for name, value in rates.items() for word in (f"--{name}", str(value))]
    found, said = planned(tmp_path, "--area-km2", "1", "--days", "730", *words)
    (one,) = found.values()
    assert one == pytest.approx(
        {
            "area_km2": 1,
            "days": 730,
            "pixel_days": 7.3e6,
            "core_s": 73,
            "storing_core_s": 7.3,
            "gpu_s": 73,
            "flop": 1.46e12,
            "store_bytes": 2e7,
            "scene_bytes": 1e7,
            "put_requests": 10,
            "get_requests": 20,
            "blocks": 1e4 / 1024,
            "stores": 1e4 / 2048**2,
            "money_cores": 0.73,
            "money_requests": 0.06,
            "money_store_per_month": 0.06,
            "money_gpu_and_storing_cores": 1.46 + 0.073,
        }
    )
    assert "73 core-s" in said
    assert "73 GPU-s" in said


def test_without_words_it_prints_the_two_areas_of_the_docs(tmp_path):
    found, said = planned(tmp_path)
    assert found["100 km x 100 km"]["pixel_days"] == 3.65e10
    assert found["Europe"]["core_s"] == pytest.approx(1020 * found["100 km x 100 km"]["core_s"])
    assert "gpu_s" not in found["Europe"]
    # the page holds what the script prints
    page = (SCRIPT.parents[1] / "docs" / "cluster.md").read_text()
    for line in said.splitlines():
        assert line in page


def test_rates_come_from_the_json_of_the_benchmarks_and_flags_go_before_them(tmp_path):
    (tmp_path / "embed.json").write_text(
        json.dumps(
            {
                "pixel_days_per_s": 1e5,
                "flop_per_pixel_day": 1e5,
                "embed_256px_30days_cpu_us_per_pixel_day": 8.0,
                "embed_2048px_30days_cpu_us_per_pixel_day": 9.0,
                "large_over_small_cpu_us_per_pixel_day": 1.1,
            }
        )
    )
    (tmp_path / "store.json").write_text(
        json.dumps({"write_pixel_days_per_s": 2e6, "bytes_per_pixel_year": 5000.0})
    )
    (tmp_path / "gpu.json").write_text(json.dumps({"pixel_days_per_s": 1e7, "flop_per_pixel_day": 1e5}))
    words = ["--area-km2", "1", "--scene-bytes-per-pixel-year", "100"]
    for kind in ("embed", "store", "gpu"):
        words += [f"--{kind}-json", str(tmp_path / f"{kind}.json")]
    ((one,), _) = (
        list(part.values()) if isinstance(part, dict) else part for part in planned(tmp_path, *words)
    )
    assert one["core_s"] == pytest.approx(3.65e6 * 9e-6)
    assert one["gpu_s"] == pytest.approx(0.365)
    assert one["storing_core_s"] == pytest.approx(1.825)
    assert one["store_bytes"] == pytest.approx(5e7)
    assert one["scene_bytes"] == pytest.approx(1e6)
    ((one,), _) = (
        list(part.values()) if isinstance(part, dict) else part
        for part in planned(tmp_path, *words, "--core-us-per-pixel-day", "1")
    )
    assert one["core_s"] == pytest.approx(3.65)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--area-km2", "-1"], "area"),
        (["--area-km2", "nan"], "area"),
        (["--days", "0"], "days"),
        (["--core-hour", "-1"], "core_hour"),
        (["--gpu-pixel-days-per-s", "inf"], "gpu_pixel_days_per_s"),
        (["--embed-json", "nowhere.json"], "nowhere.json"),
        (["--embed-json", str(SCRIPT)], "JSON of a benchmark"),
    ],
)
def test_bad_numbers_are_one_sentence(words, message):
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert message in line
    assert done.stdout == ""
