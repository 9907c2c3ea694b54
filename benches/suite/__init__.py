"""`make bench`: runs the workers side by side and holds the ratios against the budgets."""
