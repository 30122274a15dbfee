"""Learning to read whole-body bone scans: courses of simulated cases, with an answer at once."""
