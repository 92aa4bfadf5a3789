"""How weights change: optimizers over groups of parameters, and the learning rate of each step."""
