"""A site's own jobs: found beside the fleet, run in child processes (`reconciler.own.job`)."""
