"""Training: by one process or several, by the clock.

pace      the clock of a training: how quick, when to tell, whether the steps still fit the deadline
state     all that a step changes, taken down and put together again
team      processes that train one network: orders from the first one, sums with the same bits for any number
launch    where these processes come from: started here, or by `torchrun`
stepping  one step: forward pass, loss, backward pass, optimizer; by one process or several
train     `train()`: a generator of events
probing   what a network costs and promises here, found out by doing it for a moment
forecast  what a plan promises: accuracy, memory, disk, energy, and what more time would buy
"""
