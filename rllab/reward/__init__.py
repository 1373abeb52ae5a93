"""What a text is worth: the protocol, reward models, programmatic rewards and gold judges."""
