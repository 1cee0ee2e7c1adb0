"""The path from what was asked to a run that is judged.

recipe     all that was asked, TOML in and out
reading    the rows of a source, decoded by the deadline: all of them, or as many as there is time for
opening    data to plan on, read and split once for any number of trainings
reopening  a run's data and surroundings when it goes on: the same, or what is not
preparing  the plan that is made for the rows, and what it stands on; `look_ahead` for `gnomon plan`
sharing    several processes, or this one alone: whichever is quicker
recording  events stand in the run directory before anyone sees them
fit        from the data to a run directory: `fit`, and `resume` from where it was left
finish     from a run directory to scores, report and model file, after any crash
following  what every process of a training does but the first
"""
