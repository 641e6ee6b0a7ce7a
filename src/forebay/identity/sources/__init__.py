"""Where secrets are kept, behind one asynchronous interface: files, variables, AWS."""
