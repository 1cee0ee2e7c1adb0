"""The run directory: all that a training leaves behind, and all that it goes on from.

writing      files and folders that are there wholly or not at all; what a system refuses, as one error with numbers
lock         a folder that one process works in at a time
seals        what files of a run were when they were written, so that damage shows; its code is not run unasked
run          the run directory: the only module that knows its file names; atomic writes, checksums
checkpoints  all that decides how a training goes on ↔ files, written by a thread beside the training
"""
