"""An incident as one Slack thread: what it says, and how it gets there."""
