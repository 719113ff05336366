"""Stored results over time: series that belong together, and where they changed.

series (changepoints) -> words -> render, plots
"""
