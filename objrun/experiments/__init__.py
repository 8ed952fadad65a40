"""The parts of an experiment: `objrun.experiment.Experiment` is made of these."""
