"""The value panel: V along a response, learned, sampled and exact."""
