"""What the page of a report is drawn from: geometry in Python, all markup in templates."""
