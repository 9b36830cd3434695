"""What `pip install` installs is what is there."""

import configparser
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def test_setup_cfg_lists_every_package() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    folders = {
        file.parent
        for top in ("common", "labs", "lab?_*", "tests/graded", "examples/counter")
        for file in ROOT.glob(f"{top}/**/*.py")
        if "skeleton" not in file.parts  # which is copied, and never imported
    }
    there = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    moved = {name.replace("tests.graded", "labs.graded").replace("examples.counter", "labs.tutorial") for name in there}
    assert listed == moved | {"labs.graded"}
