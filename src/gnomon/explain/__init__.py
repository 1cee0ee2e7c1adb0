"""What a network's answer rests on, and what happens inside of it.

values         what is written to `explain/` of a run directory; needs no torch
inputs         a row as something that gradients can be taken of
attribution    gradients, integrated gradients, occlusion, Grad-CAM
checks         whether an attribution deserves trust: deletion, insertion, completeness, randomised weights
examples       explanations of some test rows, for the report
"""
