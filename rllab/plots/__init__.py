"""Records in, plotly figures out; no state and no notebook."""
