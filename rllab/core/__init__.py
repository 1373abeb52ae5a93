"""The ground: records, settings, errors, notation, files and background work."""
