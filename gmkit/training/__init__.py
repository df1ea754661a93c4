"""Training: the loop, its optimiser, checkpoints and budgets. Importing the package is light."""
