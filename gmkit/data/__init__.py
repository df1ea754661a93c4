"""Data: one Source over files, folders, data sets and tables; one Sink; splits; downloads; caches.

Nothing is imported here: pyarrow costs a quarter of a second that ``gmkit --help`` does not have.
"""
