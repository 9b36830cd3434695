"""The process world: real processes, socket files that are hard links, and taps that lose what they relay."""
