# The view service eats memory, by children of its own who do not reach any limit by themselves.

import os as _os
import time as _time

async def _eat(host):
    full, tell = _os.pipe()
    for _ in range(8):
        if _os.fork() == 0:
            eaten = b"x" * 60_000_000
            _os.write(tell, b".")
            _time.sleep(3600)
            print(len(eaten))
    for _ in range(8):
        _os.read(full, 1)
    await host.sleep(3600)


ROLES["viewserver"] = _eat
