"""What all tests need, however they were started."""

import os
import signal

from hypothesis import HealthCheck, settings


def pytest_configure() -> None:
    """Whoever runs the tests in the background, or under nohup, has them ignore signals that some of them send.

    What they start would inherit that, and likewise the wish for colours where there is no terminal.
    """
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        os.environ.pop(name, None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # How long an example takes is a matter of the machine, and of what else it has to do.
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")
