"""The clinic: runs with a hidden fault, to be found and named."""
