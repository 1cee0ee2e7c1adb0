"""Grid, random and Bayesian search over recipes, by one deadline.

settings    names and values ↔ recipes; the space of each kind of data
draw        the next trial, from the journal alone          ┐
trial       one short training on open data                 │
division    how the time is divided, from what it brings    ├─ search ─▶ search.json, trials.jsonl, result.json, best/
gain        what the best gains, and if it lasts            │
importance  what mattered                                   ┘
shared      trials of others, over a storage
table, telling, page: a search on the terminal, in sentences, as tune.html
"""

from __future__ import annotations

from .python import tune

__all__ = ["tune"]
