"""The stepper: a response written token by token, with its lenses."""
