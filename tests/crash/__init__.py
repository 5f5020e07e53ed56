"""The laws under fire: the command as a process of its own, killed, starved of answers and raced,
over every provider."""
