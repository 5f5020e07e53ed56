"""How fast cloudsync is, beside what people would use instead: `make bench`. The method is in
docs/benchmarks.md."""
