"""Kubernetes' Gateway API: a third dialect of the same model, for people who write that one."""
