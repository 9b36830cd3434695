"""The report of a run: one page with everything in it that happened, for a browser and nothing else."""
