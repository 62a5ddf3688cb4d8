"""Users, groups, roles, tokens, pools, and who may do what."""
