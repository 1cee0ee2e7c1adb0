"""The path from what was asked to a run that is judged.

opening    data to plan on, read and split once for any number of trainings
reopening  a run's data and surroundings when it goes on: the same, or what is not
recipe     all that was asked, TOML in and out; `fit`, `resume`, `finish`
following  what every process of a training does but the first
"""
