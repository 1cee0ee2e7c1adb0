"""Scores of answers, with 95 % intervals. NumPy alone, float64; imports no torch.

intervals     of proportions, means, and whatever is made of sums over rows or groups of rows
classes       scores of a classification
labels        of a tagging
values        of a regression
"""
