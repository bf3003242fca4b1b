"""The pages of docs/reference, made from the rows of rules/."""
