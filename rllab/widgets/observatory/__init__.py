"""The observatory of over-optimisation: proxy against gold."""
