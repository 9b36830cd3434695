"""The simulated world: every server of a run in one process, in virtual time, from one seed."""
