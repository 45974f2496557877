"""Rewards in one line for each trainer: a module each, which imports nothing of its trainer until it is used.

A failure is an exception everywhere, unless the trainer is told otherwise (``on_error``): a wrong 0 poisons training more than a stop.
"""
