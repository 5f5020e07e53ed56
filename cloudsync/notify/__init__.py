"""Reports how a run ended: health check, Prometheus textfile, webhook. Never fails or delays a
run."""
