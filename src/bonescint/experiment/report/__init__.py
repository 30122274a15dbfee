"""Pages, figures and tables of an evaluation and of an experiment, from typed results."""
