"""The parts of a run: `objrun.run.Run` is made of these."""
