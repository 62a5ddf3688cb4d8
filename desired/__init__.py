"""What should be: specs, catalog and sources. Imports nothing else of ours."""
