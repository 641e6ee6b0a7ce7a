"""The application of the Django tests: orders of products."""
