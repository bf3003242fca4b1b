"""Why is it slow, or not loading, and what to do: evidence, a decision tree over it, and a report for a person."""
