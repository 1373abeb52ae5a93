"""The one view engine: components in Python, drawn by the scripts in static/; it knows nothing of learning."""
