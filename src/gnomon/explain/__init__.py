"""What a network's answer rests on, and what happens inside of it.

values         what is written to `explain/` of a run directory; needs no torch
inputs         a row as something that gradients can be taken of
attribution    gradients, integrated gradients, occlusion, Grad-CAM
checks         whether an attribution deserves trust: deletion, insertion, randomised weights
findings, pictures, rows      an attribution for people: in words, over the row, both together
examples       explanations of some test rows, for the report
files, page    explanations of a user's own files, as a page and in words

trace, columns, cells         a row through the network: operations, layers as people see them, gates over time
bank           training rows in which units answer most, and moments that are alike
follow         which rows an X-ray follows
course         the training's curves, and what was answered at its checkpoints
addends        the terms of a linear part, which add up to the answer
sheet, packing, xray, xray_page    all of that on one page
"""
