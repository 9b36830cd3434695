# The view service fills the disk: with files, with one that has no name any more, and with folders in folders.

import os as _os

async def _fill(host):
    with open("nameless", "wb") as nameless:
        _os.unlink("nameless")
        here = _os.getcwd()
        for _ in range(2000):
            _os.mkdir("deeper")
            _os.chdir("deeper")
        _os.chdir(here)
        nameless.write(b"x" * 30_000_000)
        for number in range(100):
            with open(f"file-{number}", "wb") as file:
                file.write(b"x" * 2_000_000)
        await host.sleep(3600)


ROLES["viewserver"] = _fill
