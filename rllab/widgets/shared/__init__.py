"""What several panels show of estimates and truth: backups, what is known, a line, what if."""
