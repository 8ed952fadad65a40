"""A world in which the store, time and chance are the test's: every interleaving can be tried.

- `World`: one bucket, actors that run the product's own code, and who is next.
- `SimStore`: the store that these actors use; each request waits for its turn.
- `DepthFirst`, `RandomOrder`, `Replay`, `Turns`: orders; a trace or a seed gives the same again.
- `Scene`, `explore`, `sample`, `crash`: a world that is tried in every order, in random ones, and
  with a death at every request.
- `Promises`: what must be true of a store at any moment.

What may go wrong is in `FAULTS`.
"""

from objrun.testing.sim.actors import KilledError
from objrun.testing.sim.bucket import Bucket, Written
from objrun.testing.sim.operations import FAULTS, Choice, Operation
from objrun.testing.sim.orders import DepthFirst, RandomOrder, Replay, Turns
from objrun.testing.sim.promises import Promises
from objrun.testing.sim.scenes import Explored, Scene, crash, explore, play, sample
from objrun.testing.sim.world import Limits, Order, SimStore, SimulationError, World

__all__ = [
    "FAULTS",
    "Bucket",
    "Choice",
    "DepthFirst",
    "Explored",
    "KilledError",
    "Limits",
    "Operation",
    "Order",
    "Promises",
    "RandomOrder",
    "Replay",
    "Scene",
    "SimStore",
    "SimulationError",
    "Turns",
    "World",
    "Written",
    "crash",
    "explore",
    "play",
    "sample",
]
