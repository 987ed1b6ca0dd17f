"""What `deepseek-r1 bench` measures, and how it keeps the comparison fair."""
