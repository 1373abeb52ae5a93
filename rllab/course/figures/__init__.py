"""Figures of the chapters: records in, pictures out."""
