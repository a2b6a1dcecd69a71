"""A learner that lives with its user: taught labelled samples here or on a board, looked at, and changed."""
