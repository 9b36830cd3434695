"""A lab that is none: its servers look for ways around the network."""
