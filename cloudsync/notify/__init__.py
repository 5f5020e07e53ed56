"""How a run ended, told to others: health check, Prometheus textfile, webhook. Nothing in here ever
fails a run or holds it up for long."""
