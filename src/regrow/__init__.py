"""regrow: was pruning worth it, or would the same small network trained from scratch have done as well?"""
