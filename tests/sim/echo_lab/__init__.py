"""A lab that does as little as a lab can, for the tests of the simulated world."""
