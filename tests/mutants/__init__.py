"""Are the tests any good? The core's decisions and every provider's order of steps are broken on
purpose, one place at a time."""
