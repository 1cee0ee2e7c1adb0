"""What predicts: a trained network in one file, and what is asked of it.

features     what a network has made of a row just before it answers
familiarity  how far a row lies from the training data
tensorfile   the outside of safetensors files: headers held to bounds, checksums
quantise     tensors in eight bits, and back
chunks       rows through a network in blocks of fixed sizes, several side by side
modelfile    encoder + model + task ↔ one `.safetensors` file; `load(...).predict(...)`
predict      files → answers on the terminal
"""
