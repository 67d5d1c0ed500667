"""Measuring kslds on one's own machine: rendering (`ingest`), `encodings`, and the `loader`.

Each returns a `measure.Result`: a table, every single run, and a plot.
"""
