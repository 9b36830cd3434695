"""The view service: one server that decides who is primary and who is backup."""
