"""Runs as files: a policy that transformers and TRL load as it is, the rest as safetensors and JSON."""

from rllab.trainer.checkpoints.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]
