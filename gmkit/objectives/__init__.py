"""What is wanted of records: measures of a domain, goals on them, a user's own scoring.

Knows nothing of models; ``gmkit.design`` searches for records that an objective likes.
"""
