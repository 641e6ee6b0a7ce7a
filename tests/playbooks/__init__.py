"""Conversations with the real relay over socket pairs, written as scripts.

scripts/*.playbook   the conversations; ``script`` says how they are written
wording              messages by name, both ways
rig                  the relay, its pool and sessions, with an actor at the far end of every socket
agenda               asyncio's part, played by hand: nothing happens that the script did not ask for
"""
