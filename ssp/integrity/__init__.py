"""Views held against a fresh evaluation, and their edges against what they show."""
