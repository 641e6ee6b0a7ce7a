"""What clients see when the writer dies: through Forebay, through others, and through nothing."""
