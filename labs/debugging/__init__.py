"""Stepping forward and backward through a simulated run: what `lab debug` is made of.

`timeline.py` is the run as it was recorded and a place in it, `session.py` what a user does with that: both pure.
`worker.py` runs the submission, in a process of its own, up to a moment, and looks into it there (`looking.py`);
`messages.py` is what is said between the two. `shell.py` reads commands and shows what comes of them.
"""
