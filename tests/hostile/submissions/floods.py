# The view service never stops talking.

import threading as _threading

def _talk():
    while True:
        print("x" * 100_000)


async def _flood(host):
    _threading.Thread(target=_talk, daemon=True).start()
    await host.sleep(3600)


ROLES["viewserver"] = _flood
