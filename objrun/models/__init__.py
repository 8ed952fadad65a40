"""The parts of a registered model: `objrun.model.Model` is made of these."""
