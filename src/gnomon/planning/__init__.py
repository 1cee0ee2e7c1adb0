"""How a training will run: what was asked, what this machine is, and what follows by the deadline.

hardware  what this machine is; how to make it run well
energy    what a machine draws, assumed
estimate  what a training takes on machines that are not here
memory    what a training step takes of memory, by part
ladder    networks of growing cost, and from how many passes on each is the best
progress  how far a training is, though steps are cut or added on the way
thrift    what a training leaves out for the sake of time: easy rows, pixels
asked     what is asked of a training, and what is left open
plan      arithmetic over measurements, each decision with its reason
"""
