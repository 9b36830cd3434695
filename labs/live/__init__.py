"""`lab up`: a cluster of real processes in one's own hands, in the terminal and in the browser."""
