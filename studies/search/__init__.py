"""The machinery of every study: one parent run, a nested run a trial, any number of workers, one database.

See order (what was asked for), opening, database (where it is kept), locks, leading (who leads, who joins),
supervisor (the workers of one command), worker, claims (who computes which trial), attempt and steps (a trial's runs),
choices (samplers and pruners by name), summary and preset (what is left in the end).
"""

from .claims import latest
from .leading import run
from .opening import GRACE, attempts
from .order import Order, find, names
from .preset import best

__all__ = ["GRACE", "Order", "attempts", "best", "find", "latest", "names", "run"]
