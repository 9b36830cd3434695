# The view service keeps all processors busy, so that the harness may think that the machine is.

import os as _os

_serve = ROLES["viewserver"]


async def _spin(host):
    for _ in range(8 * (_os.cpu_count() or 1)):
        if _os.fork() == 0:
            while True:
                pass
    await _serve(host)


ROLES["viewserver"] = _spin
