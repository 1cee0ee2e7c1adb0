"""From the rows of a source to a data set that can be trained on, and the linear model that a network must beat.

decoding       rows of a source → rows of a file, by processes
cache          encoded rows in files, bounded in memory and on disk
splits         which rows train, validate, test; which are the same picture twice
fitting        the encoder for a data set: geometry from raw training rows, statistics from encoded ones
sample         some of a source's rows, where time is short or it was asked for
targets        labels as written → class indices, marks or values
dataset        rows → split → fitted encoder → `Dataset` + `DataSpec`
baseline       the linear model
text_baseline  that of texts: TF-IDF and a linear model
"""
