"""Who may connect as whom, in IAM's own JSON. Pure: the caller brings texts, time and address."""

from forebay.identity.policy.places import PolicyError
from forebay.identity.policy.policies import Decision, Policies

__all__ = ["Decision", "Policies", "PolicyError"]
