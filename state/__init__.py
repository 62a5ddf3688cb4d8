"""What is, and what was done: the API's types, the observed world and the store."""
