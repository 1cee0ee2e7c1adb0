"""Smaller models, and what that costs.

thin    a convolutional network with fewer filters, fitted to give what it gave
shrink  a run's model in a smaller file
distil  a network that learns from a larger one's answers
"""
