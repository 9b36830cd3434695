"""Measurements: each module is one, run by `lab bench NAME` in a process of its own."""
