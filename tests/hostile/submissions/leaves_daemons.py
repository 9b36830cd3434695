# Every server leaves a daemon behind: it has forked twice, has a session of its own, and is deaf to polite signals.

import os as _os
import signal as _signal
import time as _time

_serve = dict(ROLES)


def _leave():
    if _os.fork() == 0:
        _os.setsid()
        if _os.fork() == 0:
            for number in range(1, 32):
                if number not in (_signal.SIGKILL, _signal.SIGSTOP):
                    _signal.signal(number, _signal.SIG_IGN)
            _time.sleep(3600)
        _os._exit(0)


def _haunted(role):
    async def serve(host, **arguments):
        _leave()
        await role(host, **arguments)

    return serve


ROLES.update((name, _haunted(role)) for name, role in _serve.items())
