"""What every chapter promises: the rules, each checked, and the tool that executes chapters."""
