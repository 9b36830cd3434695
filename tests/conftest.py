"""What all tests need, however they were started."""

import signal


def pytest_configure() -> None:
    """Whoever runs the tests in the background, or under nohup, has them ignore signals that some of them send.

    What they start would inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
